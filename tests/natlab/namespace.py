"""Namespaces as tests use them: places to run programs in and to open sockets in."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from tests.natlab.channel import Channel, ChannelClosed, Message
from tests.natlab.keeper import SEARCH_PATH

if TYPE_CHECKING:
    from tests.natlab.sites import Site

ROOT = Path(__file__).resolve().parents[2]
"""The repository: what a program that imports the tests or the product needs on its path."""

File = str | os.PathLike[str] | int | IO[Any]
"""Where a program's output goes: a path (appended to) or what :class:`subprocess.Popen` takes."""


class LaboratoryError(Exception):
    """The laboratory could not do what it was asked; the text says why."""


class Helper:
    """The near end of one of the laboratory's own processes. Safe to use from several threads."""

    def __init__(self, name: str, channel: Channel) -> None:
        self.name = name
        self._channel = channel
        self._lock = threading.Lock()

    def receive(self) -> tuple[Message, list[int]]:
        """Wait for the next message."""
        try:
            reply, descriptors = self._channel.receive()
        except ChannelClosed:
            raise LaboratoryError(f"the laboratory's {self.name} has ended") from None
        if "error" in reply:
            raise LaboratoryError(reply["error"])
        return reply, descriptors

    def ask(
        self, command: str, descriptors: list[int] | None = None, **arguments: Any
    ) -> tuple[Message, list[int]]:
        """Have a command carried out; the answer, and descriptors that are now the caller's."""
        with self._lock:
            try:
                self._channel.send({"do": command, **arguments}, descriptors)
            except ChannelClosed:
                raise LaboratoryError(f"the laboratory's {self.name} has ended") from None
            return self.receive()

    def close(self) -> None:
        """Let the process end."""
        self._channel.close()


class Keeper(Helper):
    """The keeper process and, started by it, the core process (``core``)."""

    def __init__(self, seed: int, refuse: bool) -> None:
        near, far = Channel.pair()
        super().__init__("keeper", near)
        core_near, core_far = Channel.pair()
        self.core = Helper("core", core_near)
        options = (far.fileno(), core_far.fileno(), os.getpid(), seed, int(refuse))
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-m", "tests.natlab.keeper", *map(str, options)],
            pass_fds=[far.fileno(), core_far.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            # ctrl-C and a kill of the whole process group are for the tests: the keeper cleans up after them.
            start_new_session=True,
        )
        far.close()
        core_far.close()
        try:
            hello, _ = self.receive()
        except BaseException:
            self.close()
            raise
        self.folder = Path(hello["folder"])
        self.core_pid: int = hello["core"]
        self.user_namespace: bool = hello["user_namespace"]

    def close(self) -> None:
        """End both processes and wait until they are gone, with all that still ran in the namespaces."""
        self.core.close()
        super().close()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Namespace:
    """One network namespace. Made by :meth:`Namespace.build`, gone when the laboratory is."""

    def __init__(self, keeper: Keeper, name: str, descriptor: int, inode: int) -> None:
        self.name = name
        self.inode = inode
        self.processes: list[subprocess.Popen[Any]] = []
        self._keeper = keeper
        self._descriptor = descriptor

    @property
    def path(self) -> str:
        """A path that means this namespace to ``ip link ... netns PATH`` and ``nsenter --net=PATH``."""
        return f"/proc/{self._keeper.process.pid}/fd/{self._descriptor}"

    def configure(
        self,
        ip: Sequence[str] = (),
        nft: str = "",
        sysctl: Mapping[str, str] | None = None,
        tun: str | None = None,
    ) -> int | None:
        """Make settings, a TUN device, links (lines for ``ip -batch``) and nftables rules, in this order.

        ``sysctl``: by path below /proc/sys. Returns the descriptor of the TUN device, which is the caller's.
        """
        _, descriptors = self._keeper.ask(
            "build", namespace=self._descriptor, tun=tun, sysctl=dict(sysctl or {}), ip=list(ip), nft=nft
        )
        return descriptors[0] if descriptors else None

    def settle(self, *devices: str) -> None:
        """Wait until these devices, just set up, carry packets; for what has a peer or is a bridge."""
        self._keeper.ask("settle", namespace=self._descriptor, devices=devices)

    def forget_connections(self) -> None:
        """Empty its connection tracking, translations included."""
        self._keeper.ask("flush_conntrack", namespace=self._descriptor)

    def socket(
        self,
        family: int = socket.AF_INET,
        kind: int = socket.SOCK_STREAM,
        protocol: int = 0,
    ) -> socket.socket:
        """A socket of this namespace, for use in the calling process."""
        _, descriptors = self._keeper.ask(
            "socket", namespace=self._descriptor, family=family, kind=kind, protocol=protocol
        )
        return socket.socket(fileno=descriptors[0])

    def command(self, argv: Sequence[str | os.PathLike[str]]) -> list[str]:
        """The command that runs ``argv`` in here; it becomes that program, under the same pid."""
        enter = [shutil.which("nsenter", path=SEARCH_PATH) or "nsenter", f"--net={self.path}"]
        if self._keeper.user_namespace:
            enter += [f"--user=/proc/{self._keeper.process.pid}/ns/user", "--preserve-credentials"]
        return [*enter, "--", *(os.fspath(argument) for argument in argv)]

    def start(
        self,
        argv: Sequence[str | os.PathLike[str]],
        stdin: int | IO[Any] | None = subprocess.DEVNULL,
        stdout: File | None = None,
        stderr: File | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program in here. The laboratory ends it at the latest when it ends itself.

        Parameters as for :class:`subprocess.Popen`, except that outputs may be paths and that ``stdin`` is
        empty unless said otherwise.
        """
        with contextlib.ExitStack() as opened:

            def file(target: File | None) -> int | IO[Any] | None:
                if isinstance(target, str | os.PathLike):
                    return opened.enter_context(open(target, "ab"))
                return target

            process = subprocess.Popen(
                self.command(argv), stdin=stdin, stdout=file(stdout), stderr=file(stderr), env=env, cwd=cwd
            )
        self.processes.append(process)
        return process

    def run(
        self,
        argv: Sequence[str | os.PathLike[str]],
        timeout: float = 60.0,
        input: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program in here to its end; its output is text. Raises TimeoutExpired after ``timeout`` s."""
        stdin = subprocess.DEVNULL if input is None else None
        return subprocess.run(
            self.command(argv),
            timeout=timeout,
            input=input,
            stdin=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=env,
            cwd=cwd,
        )


class Host(Namespace):
    """A machine of a site. ``addresses``: its own ones, IPv4 first; ``site``: where it is."""

    def __init__(
        self, keeper: Keeper, name: str, descriptor: int, inode: int, site: Site, addresses: list[str]
    ) -> None:
        super().__init__(keeper, name, descriptor, inode)
        self.site = site
        self.addresses = addresses

    @property
    def address(self) -> str:
        """Its first address."""
        return self.addresses[0]

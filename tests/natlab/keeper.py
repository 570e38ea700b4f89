"""The process that owns a laboratory's namespaces, so that they end with it.

It holds each network namespace by an open descriptor and nothing else: no name, no mount, no idle process.
It ends when the laboratory's process ends, in whatever way, and first kills whatever still runs inside.
It is the only process that configures anything, always inside a namespace that it has made: the first
thing it does is to leave the machine's own one for good.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import Any, NoReturn

from tests.natlab import core, kernel
from tests.natlab.channel import Channel, ChannelClosed, Message

# An ordinary user's PATH often lacks the folders where ip and nft are.
SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"))

# What a namespace inherits of these depends on the machine: say them all, so that all machines do the same.
_SYSCTLS = {
    "net/ipv4/ip_forward": "0",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv6/conf/all/disable_ipv6": "0",
    "net/ipv6/conf/default/disable_ipv6": "0",
    # Duplicate address detection would keep each IPv6 address unusable for a second or more.
    "net/ipv6/conf/all/accept_dad": "0",
    "net/ipv6/conf/default/accept_dad": "0",
    # No router in here advertises: hosts need not solicit.
    "net/ipv6/conf/all/accept_ra": "0",
    "net/ipv6/conf/default/accept_ra": "0",
}
# Where this exists, frames between two hosts of a LAN would pass the router's conntrack.
_BRIDGE_SYSCTL = "net/bridge/bridge-nf-call-iptables"

_SWEEP_SECONDS = 60.0
_SETTLE_SECONDS = 60.0


class KeeperError(Exception):
    """Something could not be built; the text says what and why."""


class Keeper:
    """Answers commands (``do_NAME``) until the laboratory closes the channel or ends."""

    def __init__(self, control: Channel, core_pid: int) -> None:
        self._control = control
        self._core_pid = core_pid
        self._inodes: dict[int, int] = {}  # by descriptor

    def run(self, parent: int) -> None:
        """``parent``: a pid descriptor of the laboratory's process."""
        while True:
            ready, _, _ = select.select([self._control.fileno(), parent], [], [])
            if parent in ready:
                return
            try:
                message, _descriptors = self._control.receive()
            except ChannelClosed:
                return
            command = message.pop("do")
            descriptors: list[int] = []
            try:
                reply, descriptors = getattr(self, f"do_{command}")(**message)
            except (KeeperError, OSError) as error:
                reply = {"error": str(error)}
            try:
                self._control.send(reply, descriptors)
            except ChannelClosed:
                return
            for descriptor in descriptors:
                os.close(descriptor)

    def do_build(
        self, namespace: int | None, tun: str | None, sysctl: dict[str, str], ip: list[str], nft: str
    ) -> tuple[Message, list[int]]:
        """Make a namespace (None), or go on with one; in it, in order: settings, a TUN device, links, rules.

        Answers with the namespace, which is a descriptor of this process, and with the TUN's descriptor.
        """
        if namespace is None:
            kernel.unshare(kernel.CLONE_NEWNET)
            namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            self._inodes[namespace] = kernel.network_namespace("/proc/self/ns/net") or 0
            sysctl = {**_SYSCTLS, **sysctl}
        else:
            kernel.enter(namespace)
        for key, value in sysctl.items():
            _set(key, value)
        if os.path.exists(f"/proc/sys/{_BRIDGE_SYSCTL}"):
            _set(_BRIDGE_SYSCTL, "0")
        devices = [self._tun(tun)] if tun is not None else []
        if ip:
            _run(["ip", "-batch", "-"], "\n".join(ip) + "\n")
        if nft:
            _run(["nft", "-f", "-"], nft)
        return {"namespace": namespace, "inode": self._inodes[namespace]}, devices

    def _tun(self, name: str) -> int:
        try:
            return kernel.open_tun(name)
        except OSError as error:
            hint = " (its mode must be 0666 for ordinary users)" if isinstance(error, PermissionError) else ""
            raise KeeperError(f"no TUN device from /dev/net/tun: {error.strerror}{hint}") from error

    def do_socket(self, namespace: int, family: int, kind: int, protocol: int) -> tuple[Message, list[int]]:
        """A socket that lives in the namespace, wherever its user is."""
        kernel.enter(namespace)
        return {}, [socket.socket(family, kind, protocol).detach()]

    def do_settle(self, namespace: int, devices: list[str]) -> tuple[Message, list[int]]:
        """Wait until these devices carry packets."""
        kernel.enter(namespace)
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not all(kernel.is_running(device) for device in devices):
            if time.monotonic() > deadline:
                raise KeeperError(f"no carrier: {' '.join(devices)}")
            time.sleep(0.001)
        return {}, []

    def do_flush_conntrack(self, namespace: int) -> tuple[Message, list[int]]:
        """Forget all connections and translations of the namespace."""
        kernel.enter(namespace)
        kernel.flush_conntrack()
        return {}, []

    def sweep(self) -> None:
        """Kill whatever runs in the namespaces; all of it was started there by the laboratory's users."""
        for namespace in self._inodes:
            # A closed connection that nobody acknowledges any more would keep its namespace for two minutes.
            kernel.enter(namespace)
            _set("net/ipv4/tcp_orphan_retries", "1")
        deadline = time.monotonic() + _SWEEP_SECONDS
        inodes = set(self._inodes.values())
        while time.monotonic() < deadline:
            strays = [pid for pid in kernel.processes_in(inodes) if pid not in (os.getpid(), self._core_pid)]
            if not strays:
                return
            for pid in strays:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.002)  # They may have forked meanwhile: look again.


def _set(key: str, value: str) -> None:
    try:
        with open(f"/proc/sys/{key}", "w", encoding="ascii") as stream:
            stream.write(value)
    except OSError as error:
        raise KeeperError(f"{key} cannot be set: {error.strerror}") from error


def _run(argv: list[str], text: str) -> None:
    done = subprocess.run(
        argv,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, "PATH": SEARCH_PATH, "LC_ALL": "C"},
    )
    if done.returncode != 0:
        raise KeeperError(f"{' '.join(argv)} failed: {done.stdout.strip()}\n{text}")


def _leave_the_machine() -> bool:
    """Move to a network namespace of our own; true if that took a user namespace."""
    try:
        kernel.unshare(kernel.CLONE_NEWNET)
        return False
    except PermissionError:
        pass
    try:
        kernel.new_user_namespace()
        kernel.unshare(kernel.CLONE_NEWNET)
    except OSError as error:
        raise KeeperError(f"no namespaces for this user: {error.strerror}") from error
    return True


def _start_core(channel: Channel, others: list[int], options: dict[str, Any]) -> int:
    keeper = os.getpid()
    pid = os.fork()
    if pid:
        channel.close()
        return pid
    try:
        kernel.die_with_parent(keeper)
        for descriptor in others:
            os.close(descriptor)
        core.main(channel, **options)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def main(control_descriptor: str, core_descriptor: str, parent: str, seed: str, refuse: str) -> int:
    """Two channels to the laboratory (one for the core) and its pid; the core's options."""
    control = Channel(socket.socket(fileno=int(control_descriptor)))
    channel = Channel(socket.socket(fileno=int(core_descriptor)))
    # Whoever stops us, the namespaces are swept first; ctrl-C is the laboratory's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _stop)
    try:
        watch = os.pidfd_open(int(parent))
        user_namespace = _leave_the_machine()
    except (KeeperError, OSError) as error:
        control.send({"error": str(error)})
        return 1
    core_pid = _start_core(channel, [control.fileno(), watch], {"seed": int(seed), "refuse": refuse == "1"})
    folder = tempfile.mkdtemp(prefix="natlab-")
    keeper = Keeper(control, core_pid)
    try:
        control.send({"folder": folder, "core": core_pid, "user_namespace": user_namespace})
        keeper.run(watch)
    except ChannelClosed:
        pass
    finally:
        keeper.sweep()
        shutil.rmtree(folder, ignore_errors=True)
        os.kill(core_pid, signal.SIGKILL)
        os.waitpid(core_pid, 0)
    return 0


def _stop(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

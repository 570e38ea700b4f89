"""Where both ends of a benchmark run: on loopback, or in two network namespaces with a veth pair between them."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """``address``: at which the near end reaches the far one.  ``near``, ``far``: what a command begins with."""

    name: str
    address: str
    near: tuple[str, ...] = ()
    far: tuple[str, ...] = ()


LOOPBACK = Place("loopback", "127.0.0.1")


@contextmanager
def veth() -> Iterator[Place | None]:
    """Two namespaces, gone at the end; None where this user may not make any (it takes root, ip and nsenter)."""
    if os.geteuid() or not (shutil.which("ip") and shutil.which("nsenter") and shutil.which("unshare")):
        yield None
        return
    holders = [_holder() for _ in range(2)]
    try:
        near, far = (("nsenter", f"--net=/proc/{holder.pid}/ns/net", "--") for holder in holders)
        link = f"link add end type veth peer name end netns {holders[1].pid}"
        _run(near, "ip", *link.split())
        for enter, address in ((near, "10.77.0.1/24"), (far, "10.77.0.2/24")):
            _run(enter, "ip", "address", "add", address, "dev", "end")
            _run(enter, "ip", "link", "set", "end", "up")
            _run(enter, "ip", "link", "set", "lo", "up")
        yield Place("veth", "10.77.0.2", near, far)
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()


def _holder() -> subprocess.Popen[bytes]:
    """A process with a namespace of its own, which lives as long as it does."""
    command = ["unshare", "--net", "sh", "-c", "echo; exec sleep 86400"]
    holder = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    return holder


def _run(enter: Sequence[str], *command: str) -> None:
    subprocess.run([*enter, *command], check=True, stdin=subprocess.DEVNULL)

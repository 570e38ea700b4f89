"""What becomes of a connection when the network under it changes, shown with sockets that only send and wait.

It decides what a session above can rely on: often nothing at all tells that a connection is dead.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

from tests.natlab.behaviour import APD, Behaviour
from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import Host
from tests.natlab.nats import Nat
from tests.natlab.probes import DEADLINE, connected, expect, fence, listening
from tests.natlab.routers import Masquerade
from tests.natlab.sites import Profile

_NEAR = 0.002
_PORT = 9000


class _Held:
    """A connection from a host behind a router to one on the core."""

    def __init__(self, lab: Laboratory, outer: Host, inner: Host, near: socket.socket, far: socket.socket) -> None:
        self.lab, self.outer, self.inner, self.near, self.far = lab, outer, inner, near, far

    def from_inside(self) -> str:
        """What becomes of bytes that the inner host sends: ``arrives``, ``reset`` or ``silent``."""
        return self._outcome(self.inner, self.near, self.far)

    def from_outside(self) -> str:
        """The same for the outer one."""
        return self._outcome(self.outer, self.far, self.near)

    def _outcome(self, sender: Host, sending: socket.socket, receiving: socket.socket) -> str:
        sending.send(b"x")
        # What comes back for an echo request comes behind whatever came back for the byte.
        fence(sender, self.outer.address if sender is self.inner else self.inner.site.ipv4[0])
        for waiting, outcome in ((receiving, "arrives"), (sending, "reset")):
            waiting.setblocking(False)
            try:
                if waiting.recv(1) == b"x":
                    return outcome
            except BlockingIOError:
                continue
            except ConnectionResetError:
                return "reset"
        return "silent"


@contextlib.contextmanager
def _held(profile: Profile) -> Iterator[_Held]:
    with Laboratory(one_way=_NEAR) as lab:
        broker, alice = lab.broker(), lab.site("alice", profile)
        with listening(broker, broker.address, _PORT) as listener, connected(alice, broker.address, _PORT) as near:
            far = listener.accept()[0]
            with far:
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                yield _Held(lab, broker, alice, near, far)


def _after_reboot(profile: Profile) -> tuple[str, str, str]:
    """What is sent from outside, what then is sent from inside; and, after another reboot, first from inside."""
    with _held(profile) as held:
        held.lab.reboot_router("alice")
        outside, inside = held.from_outside(), held.from_inside()
    with _held(profile) as held:
        held.lab.reboot_router("alice")
        return outside, inside, held.from_inside()


def reboot_tells_nobody() -> str:
    """A connection through a router that has rebooted is dead or not, and who is told of it, by the router."""
    shown = {}
    for name, profile, expected in (
        # Linux takes up what comes from inside, as if nothing had happened.
        ("kernel, silent", Masquerade(), ("silent", "arrives", "arrives")),
        ("kernel, reset", Masquerade(stray="reset"), ("reset", "reset", "arrives")),
        ("kernel, strict, silent", Masquerade(strict=True), ("silent", "silent", "silent")),
        ("kernel, strict, reset", Masquerade(strict=True, stray="reset"), ("reset", "silent", "silent")),
        # It takes it up, under another port, for which there is no connection.
        ("kernel, random ports", Masquerade(ports="fully-random"), ("silent", "reset", "reset")),
        ("user space, silent", Nat(), ("silent", "silent", "silent")),
        ("user space, reset", Nat(Behaviour(stray="reset")), ("reset", "silent", "silent")),
        ("symmetric", Nat(Behaviour(mapping=APD, allocation="sequential")), ("silent", "silent", "silent")),
    ):
        seen = _after_reboot(profile)
        expect(seen == expected, f"{name}: {seen} instead of {expected}")
        shown[name] = f"{seen[0]}/{seen[2]}"
    return "from outside/inside: " + ", ".join(f"{name} {what}" for name, what in shown.items())


def rebooting() -> str:
    """Nothing passes while a router reboots, nor does it keep what came to it meanwhile."""
    with _held(Masquerade()) as held:
        with held.lab.rebooting("alice"), held.lab.capture() as core:
            held.near.send(b"x")
            held.far.send(b"y")
            fates = {packet.fate for packet in core.packets()}
        expect(fates == {"link down"}, f"{fates}")
        # Sent again by both kernels, after the shortest timeout.
        for waiting, byte in ((held.far, b"x"), (held.near, b"y")):
            waiting.settimeout(DEADLINE)
            expect(waiting.recv(2) == byte, "not the byte that was sent")
    return "what was sent meanwhile is sent again by the kernels, and taken up"


def new_address() -> str:
    """A host's new address: the old connection is silent for good, new ones work."""
    with _held(Masquerade()) as held:
        before, after = held.inner.address, held.inner.address[:-2] + "77"
        held.lab.readdress(held.inner, after)
        outcome = held.from_outside()
        try:
            held.near.send(b"x")
        except OSError as error:
            outcome = f"{error.errno}"
        expect(outcome == "silent", f"the outer one's byte: {outcome}")
        with connected(held.inner, held.outer.address, _PORT) as again:
            local = again.getsockname()[0]
        expect(local == after, f"{local} instead of {after}")
    return f"{before}, then {after}: nothing tells either side, a new connection is from the new address"


def another_network() -> str:
    """A host that is plugged into another router: the same."""
    with _held(Masquerade()) as held:
        lab, alice = held.lab, held.inner
        before = alice.address
        lab.site("cafe", Nat())
        lab.move(alice, "cafe")
        expect(alice.site.name == "cafe" and alice.address != before, f"{alice.site.name}, {alice.address}")
        held.far.send(b"x")
        try:
            held.near.send(b"x")
            sent = "nothing"
        except OSError as error:
            sent = f"errno {error.errno}"
        with connected(alice, held.outer.address, _PORT) as again:
            local = again.getsockname()[0]
        expect(local == alice.address, f"{local} instead of {alice.address}")
        for waiting in (held.near, held.far):
            waiting.setblocking(False)
            try:
                expect(not waiting.recv(1), "a byte arrived over the old connection")
                raise AssertionError("the old connection was closed")
            except BlockingIOError:
                pass
    return f"{before}, then {alice.address} behind another router; {sent} tells of it"


BEHAVIOURS: tuple[Callable[[], str], ...] = (reboot_tells_nobody, rebooting, new_address, another_network)

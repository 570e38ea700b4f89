"""What the routers do, shown."""

from __future__ import annotations

from tests.natlab.laboratory import Laboratory
from tests.natlab.probes import DEADLINE, connected, expect, fence, listening, meet
from tests.natlab.routers import Masquerade

_PORT = 9000


def masquerade() -> str:
    """A router shows one public address, keeps a free source port and changes one that is taken."""
    with Laboratory() as lab:
        broker, alice = lab.broker(), lab.site("alice", Masquerade())
        second = alice.site.host("second")
        with listening(broker, broker.address, _PORT) as listener:
            seen: list[tuple[str, int]] = []
            with (
                connected(alice, broker.address, _PORT, 5000),
                connected(second, broker.address, _PORT, 5000),
            ):
                for _ in range(2):
                    accepted, address = listener.accept()
                    accepted.close()
                    seen.append(address)
    public = alice.site.ipv4[0]
    expect(seen[0] == (public, 5000), f"{alice.address}:5000 was seen as {seen[0]}")
    expect(seen[1][0] == public and seen[1][1] != 5000, f"{second.address}:5000 was seen as {seen[1]}")
    return f"{alice.address}:5000 is {public}:5000, {second.address}:5000 is {public}:{seen[1][1]}"


def one_lan() -> str:
    """Two hosts of one LAN talk to each other past the router's translation and the core."""
    with Laboratory() as lab:
        alice = lab.site("alice", Masquerade())
        second = alice.site.host("second")
        with (
            lab.capture() as core,
            lab.capture(second) as lan,
            listening(second, second.address, _PORT) as listener,
            connected(alice, second.address, _PORT),
        ):
            seen = listener.accept()[1]
        expect(seen[0] == alice.address, f"{alice.address} was seen as {seen[0]}")
        expect(not core.tcp(), "the core saw it")
        expect(lan.tcp(receiver="second")[0].flags == "S", "the capture in the LAN shows no SYN")
    return f"{alice.address} is seen as itself; nothing at the core"


def stray_reset() -> str:
    """A stock router refuses a SYN that nobody asked for."""
    with Laboratory() as lab:
        broker, alice = lab.broker(), lab.site("alice", Masquerade(stray="reset"))
        with lab.capture() as core:
            try:
                with connected(broker, alice.site.ipv4[0], 5999):
                    raise AssertionError("a stray SYN was accepted")
            except ConnectionRefusedError:
                pass
        flags = [segment.flags for segment in core.tcp()]
    expect(flags == ["S", "RA"], f"SYN and RST expected: {flags}")
    return "SYN, then RST from the router"


def stray_silent() -> str:
    """A silent router says nothing to it."""
    with Laboratory() as lab:
        broker, alice = lab.broker(), lab.site("alice", Masquerade(stray="silent"))
        with lab.capture() as core, broker.socket() as stray:
            stray.setblocking(False)
            stray.connect_ex((alice.site.ipv4[0], 5999))
            fence(broker, alice.site.ipv4[0])
            segments = core.tcp()
    expect({segment.flags for segment in segments} == {"S"}, f"only SYNs expected: {segments}")
    return "SYN, then nothing, while an echo request is answered"


def _simultaneous(first: Masquerade, second: Masquerade) -> str:
    with Laboratory() as lab:
        alice, bob = lab.site("alice", first), lab.site("bob", second)
        # Far apart, so that the SYNs cross even if a busy machine is late with the second one.
        lab.one_way("alice", "bob", 0.1)
        with lab.capture() as core:
            one, two = meet(alice, 5000, alice.site.ipv4[0], bob, 6000, bob.site.ipv4[0])
            with one, two:
                one.sendall(b"ping")
                expect(two.recv(10) == b"ping", "the first one's bytes did not arrive")
                two.sendall(b"pong")
                expect(one.recv(10) == b"pong", "the second one's bytes did not arrive")
        sides = ("alice", "bob"), ("bob", "alice")
        flags = [[segment.flags for segment in core.tcp(*side)] for side in sides]
    for sent in flags:
        expect(sent[:2] == ["S", "SA"], f"SYN, then SYN+ACK expected from both: {flags}")
    return "SYNs crossed, both connected, bytes both ways"


def simultaneous_open_reset() -> str:
    """Two hosts behind routers that answer with RST meet if their SYNs cross."""
    return _simultaneous(Masquerade(stray="reset"), Masquerade(stray="reset"))


def simultaneous_open_silent() -> str:
    """So do two behind silent ones."""
    return _simultaneous(Masquerade(stray="silent"), Masquerade(stray="silent"))


def same_private_network() -> str:
    """Two sites may use the same private network, and their hosts the same address."""
    home = Masquerade(stray="reset", lan="192.168.1.0/24")
    shown = _simultaneous(home, home)
    return f"both 192.168.1.10: {shown}"


def reboot() -> str:
    """A router that reboots knows its connections no more, and works for new ones."""
    with Laboratory() as lab:
        broker, alice = lab.broker(), lab.site("alice", Masquerade(stray="reset"))
        with listening(broker, broker.address, _PORT) as listener:
            with connected(alice, broker.address, _PORT):
                accepted = listener.accept()[0]
                with accepted:
                    accepted.settimeout(DEADLINE)
                    lab.reboot_router("alice")
                    accepted.send(b"are you there?")
                    try:
                        accepted.recv(1)
                        raise AssertionError("the router still knows the connection")
                    except ConnectionResetError:
                        pass
            with connected(alice, broker.address, _PORT):
                pass
    return "what comes for the old connection is reset, a new one works"


BEHAVIOURS = (
    masquerade,
    one_lan,
    stray_reset,
    stray_silent,
    simultaneous_open_reset,
    simultaneous_open_silent,
    same_private_network,
    reboot,
)

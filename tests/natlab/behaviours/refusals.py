"""What a NAT does with SYNs that cross, with RST and ICMP, and when it forgets; shown."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from tests.natlab.behaviour import AD, APD, EI, Behaviour
from tests.natlab.examination import Address, Contact, Examination, bound
from tests.natlab.firewalls import Firewall
from tests.natlab.laboratory import Laboratory
from tests.natlab.nats import Nat
from tests.natlab.probes import connected, expect, meet
from tests.natlab.sites import Profile

_NEAR = 0.002
_PORT = 25000


@contextlib.contextmanager
def _home(behaviour: Behaviour) -> Iterator[tuple[Laboratory, Examination]]:
    with Laboratory(one_way=_NEAR) as lab:
        broker = lab.broker()
        with Examination(lab, broker, lab.site("alice", Nat(behaviour))) as examination:
            yield lab, examination


def _half_open(examination: Examination, port: int, remote: Address) -> None:
    """A SYN to an endpoint where nobody listens; its RST comes back."""
    with bound(examination.host, (examination.host.address, port)) as dialled:
        try:
            dialled.connect(remote)
            raise AssertionError(f"somebody listens at {remote}")
        except ConnectionRefusedError:
            pass


def crossing_syns() -> str:
    """A SYN that crosses the host's own is let in (RFC 5382 REQ-2), dropped or refused."""
    shown = {}
    for crossing in ("allowed", "dropped", "refused"):
        with _home(Behaviour(crossing=crossing)) as (lab, examination):
            contact = examination.dial(5000)
            # Far apart, so that the SYNs cross even if a busy machine is late with the second one.
            lab.one_way("alice", "broker", 0.1)
            remote = (examination.addresses[1], 7005)
            public = (contact.public[0], _PORT)
            with bound(examination.host, (examination.host.address, _PORT)) as dialled:
                dialled.setblocking(False)
                dialled.connect_ex(remote)
                shown[crossing] = examination.knock(remote, public, contact)
    expected = {"allowed": "accepted", "dropped": "silent", "refused": "reset"}
    expect(shown == expected, f"{shown} instead of {expected}")
    return ", ".join(f"{setting}: {seen}" for setting, seen in shown.items())


def contacts() -> str:
    """Who was contacted through another mapping of the same private endpoint is let in, or not."""
    shown = {}
    for scope in ("mapping", "endpoint"):
        behaviour = Behaviour(mapping=APD, filtering=AD, allocation="random", contacts=scope)
        with _home(behaviour) as (_lab, examination):
            first, other = examination.addresses
            contact = examination.dial(_PORT, (first, 9000))
            examination.dial(_PORT, (other, 9000))
            examination.listen(_PORT)
            shown[scope] = examination.knock((other, 7008), contact.public, contact)
    expect(shown == {"mapping": "silent", "endpoint": "accepted"}, f"{shown}")
    return ", ".join(f"by {scope}: {seen}" for scope, seen in shown.items())


def reset_on_half_open() -> str:
    """An RST reaches the host; the NAT keeps the half-open connection (its peer may still come in), or not."""
    shown = {}
    for forgets in (False, True):
        with _home(Behaviour(reset_forgets=forgets)) as (_lab, examination):
            contact = examination.dial(5000)
            remote = (examination.addresses[1], 7006)
            _half_open(examination, _PORT, remote)
            examination.listen(_PORT)
            shown[forgets] = examination.knock(remote, (contact.public[0], _PORT), contact)
    expect(shown == {False: "accepted", True: "silent"}, f"by reset_forgets: {shown}")
    return "kept: the same peer's SYN is let in; forgotten: it is unsolicited"


def refusals_pass() -> str:
    """A NAT's RST or ICMP for a stray SYN reaches its sender behind another NAT (RFC 5382 REQ-9)."""
    for stray in ("reset", "icmp"):
        with Laboratory(one_way=_NEAR) as lab:
            alice = lab.site("alice", Nat(Behaviour(stray=stray)))
            bob = lab.site("bob", Nat(Behaviour(allocation="random")))
            for _ in range(2):  # an error ends no mapping (REQ-10): the second one comes through as well
                try:
                    with connected(bob, alice.site.ipv4[0], 5999, 6000):
                        raise AssertionError("a stray SYN was accepted")
                except ConnectionRefusedError:
                    pass
            kept = lab.mappings("bob")
            expect(len(kept) == 1 and kept[0]["inside"] == f"{bob.address}:6000", f"{stray}: {kept}")
    return "refused at once by RST and by ICMP, twice; the mapping of the sender stays"


def syn_timeout() -> str:
    """A half-open connection is known for its timeout and no longer (RFC 5382 REQ-5: four minutes)."""
    with _home(Behaviour()) as (lab, examination):
        contact = examination.dial(5000)
        shown = []
        for port, seconds in ((_PORT, 180), (_PORT + 1, 300)):
            remote = (examination.addresses[1], port)
            _half_open(examination, port, remote)
            examination.listen(port)
            lab.age("alice", seconds)
            shown.append(examination.knock(remote, (contact.public[0], port), contact))
    expect(shown == ["accepted", "silent"], f"{shown}")
    return "after 3 minutes the peer is let in, after 5 it is not"


def idle_timeout() -> str:
    """An idle connection is known for two hours and four minutes (REQ-5); each packet begins them anew."""
    with _home(Behaviour()) as (lab, examination):
        contact = examination.dial(5000)
        for _ in range(2):
            lab.age("alice", 7400)
            contact.fence()
        lab.age("alice", 7500)
        expect(not _knows(lab, contact), "it is still known")
        _expect_dead(contact, examination.dial(5001))
    return "used every 7,400 s it works, after 7,500 s nothing passes"


def closing() -> str:
    """A closed connection is known for the shorter time, an aborted one no more at all."""
    with _home(Behaviour()) as (lab, examination):
        contact, fence = examination.dial(5000), examination.dial(5001)
        contact.near.close()
        contact.far.close()
        fence.fence()
        expect(_knows(lab, contact), "a closed connection is forgotten at once")
        lab.age("alice", 300)
        expect(not _knows(lab, contact), "a closed connection is known after five minutes")
        expect(_knows(lab, fence), "an open connection is not known after five minutes")
    return "after FINs the mapping stays for four minutes"


def reboot_user_space() -> str:
    """A NAT that reboots forgets: nothing of an old connection passes, and a new one works."""
    with _home(Behaviour(filtering=EI)) as (lab, examination):
        contact = examination.dial(5000)
        lab.reboot_router("alice")
        _expect_dead(contact, examination.dial(5001))
    return "an old connection is silent both ways, a new one works"


def _knows(lab: Laboratory, contact: Contact) -> bool:
    """Whether the NAT has a mapping of this public endpoint."""
    address, port = contact.public
    return any(mapping["public"] == f"{address}:{port}" for mapping in lab.mappings("alice"))


def _expect_dead(contact: Contact, fence: Contact) -> None:
    contact.far.send(b"in")
    contact.near.send(b"out")
    fence.fence()
    for end, name in ((contact.near, "in"), (contact.far, "out")):
        end.setblocking(False)
        try:
            raise AssertionError(f"what was sent {name} arrived: {end.recv(10)!r}")
        except BlockingIOError:
            pass


def _meets(profile: Profile, six: bool) -> None:
    with Laboratory() as lab:
        alice, bob = lab.site("alice", profile), lab.site("bob", profile)
        lab.one_way("alice", "bob", 0.1)
        nat = isinstance(profile, Nat)
        own = [host.site.ipv4[0] if nat else host.addresses[-1 if six else 0] for host in (alice, bob)]
        one, two = meet(alice, 5000, own[0], bob, 6000, own[1])
        with one, two:
            one.sendall(b"ping")
            expect(two.recv(10) == b"ping", "the bytes did not arrive")


def simultaneous_open_user_space() -> str:
    """Two hosts behind the strictest NATs that RFC 5382 allows meet if their SYNs cross."""
    _meets(Nat(Behaviour(filtering=APD, stray="reset")), six=False)
    return "SYNs crossed, both connected"


def simultaneous_open_firewalls() -> str:
    """So do two behind firewalls, over IPv4 and IPv6."""
    for six in (False, True):
        _meets(Firewall(stray="reset", ipv4="none" if six else "public", ipv6=six), six)
    return "SYNs crossed over IPv4 and IPv6, both connected"


BEHAVIOURS: tuple[Callable[[], str], ...] = (
    crossing_syns,
    contacts,
    reset_on_half_open,
    refusals_pass,
    syn_timeout,
    idle_timeout,
    closing,
    reboot_user_space,
    simultaneous_open_user_space,
    simultaneous_open_firewalls,
)

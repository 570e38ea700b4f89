"""Hairpins, carriers and topologies, shown."""

from __future__ import annotations

from collections.abc import Callable

from tests.natlab.behaviour import EI, Behaviour
from tests.natlab.examination import Examination, bound
from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import Host
from tests.natlab.nats import Nat
from tests.natlab.probes import connected, expect, fence, listening, meet, round_trip
from tests.natlab.routers import Masquerade
from tests.natlab.sites import Open
from tests.natlab.topologies import TOPOLOGIES, build

_NEAR = 0.002
_PORT = 9000


def _guests(lab: Laboratory, behaviour: Behaviour) -> tuple[Host, Host, str]:
    """Two hosts that see each other only at the public address, which is the last item."""
    alice = lab.site("alice", Nat(behaviour, isolated=True))
    return alice, alice.site.host("second"), alice.site.ipv4[0]


def isolated_lan() -> str:
    """Hosts of an isolated LAN do not see each other, only their router."""
    with Laboratory(one_way=_NEAR) as lab:
        lab.broker()
        alice, second, public = _guests(lab, Behaviour())
        with lab.capture(second) as lan, alice.socket() as dialled:
            dialled.setblocking(False)
            dialled.connect_ex((second.address, _PORT))
            fence(alice, public)
            fence(second, public)
            expect(not lan.tcp(), "a SYN arrived")
    return "a SYN to a neighbour's address arrives nowhere"


def hairpin_external() -> str:
    """A host reaches another one at its public endpoint, and is seen with its own (RFC 5382 REQ-8)."""
    with Laboratory(one_way=_NEAR) as lab:
        broker = lab.broker()
        alice, second, public = _guests(lab, Behaviour(filtering=EI, hairpin="external"))
        with Examination(lab, broker, second) as examination:
            at = examination.dial(5000).public
            with examination.listen(5000) as listener, connected(alice, *at, 6000):
                accepted, seen = listener.accept()
                accepted.close()
    expect(seen == (public, 6000), f"{alice.address}:6000 was seen as {seen}")
    return f"{alice.address}:6000 is seen as {seen[0]}:{seen[1]}"


def hairpin_filters() -> str:
    """A hairpin filters too: with the strictest filtering both have to dial."""
    with Laboratory(one_way=_NEAR) as lab:
        broker = lab.broker()
        alice, second, public = _guests(lab, Behaviour(hairpin="external"))
        with Examination(lab, broker, second) as examination:
            contact = examination.dial(5000)
            examination.listen(5000)
            with bound(alice, (alice.address, 6000)) as dialled, lab.capture(second) as lan:
                dialled.setblocking(False)
                dialled.connect_ex(contact.public)
                fence(alice, public)
                contact.fence()
                expect("S" not in [segment.flags for segment in lan.tcp()], "a stranger's SYN arrived")
            one, two = meet(alice, 6001, public, second, 5001, public)
            one.close()
            two.close()
    return "one that dials alone is filtered, two that dial each other meet"


def hairpin_internal() -> str:
    """With internal source what arrives is from the private endpoint (RFC 4787 REQ-9a violated)."""
    with Laboratory(one_way=_NEAR) as lab:
        broker = lab.broker()
        alice, second, public = _guests(lab, Behaviour(filtering=EI, hairpin="internal"))
        with Examination(lab, broker, second) as examination:
            contact = examination.dial(5000)
            with bound(alice, (alice.address, 6000)) as dialled, lab.capture(second) as lan:
                dialled.setblocking(False)
                dialled.connect_ex(contact.public)
                fence(alice, public)
                contact.fence()
                sources = [(each.src, each.sport) for each in lan.tcp() if each.flags == "S"]
    expect(sources == [(alice.address, 6000)], f"SYNs from {sources}")
    return f"the SYN arrives from {alice.address}:6000"


def hairpin_none() -> str:
    """Without hairpin the public address is a stranger's: here one that answers RST."""
    with Laboratory(one_way=_NEAR) as lab:
        broker = lab.broker()
        alice, second, _public = _guests(lab, Behaviour(filtering=EI, stray="reset"))
        with Examination(lab, broker, second) as examination:
            at = examination.dial(5000).public
            examination.listen(5000)
            try:
                with connected(alice, *at):
                    raise AssertionError("there is a hairpin")
            except ConnectionRefusedError:
                pass
    return "refused by the NAT itself"


def carrier() -> str:
    """Two homes behind one carrier: one public address, addresses of RFC 6598 inside, apart from each other."""
    shown = []
    for isolated in (True, False):
        with Laboratory(one_way=_NEAR) as lab:
            broker = lab.broker()
            isp = lab.carrier("isp", Behaviour(hairpin="external", filtering=EI), isolated=isolated)
            homes = [lab.site("alice", Masquerade(), carrier=isp), lab.site("bob", Open(), carrier=isp)]
            seen: list[str] = []
            for host in homes:
                with Examination(lab, broker, host) as examination:
                    seen.append(examination.dial(5000 + len(seen)).public[0])
            expect(set(seen) == {isp.ipv4[0]}, f"seen as {seen}")
            with (
                lab.capture() as core,
                bound(homes[0], (homes[0].address, 6000)) as dialled,
                listening(homes[1], homes[1].address, _PORT),
            ):
                dialled.setblocking(False)
                dialled.connect_ex((homes[1].address, _PORT))
                # What passes the carrier's network passes it in order: an echo by way of the carrier.
                fence(homes[0], isp.ipv4[0])
                shown.append([segment.dst for segment in core.tcp("alice", "bob")])
    expect(shown == [[], [homes[1].address]], f"by isolation: {shown}")
    return f"both are {seen[0]}; {homes[1].address} can be dialled only where subscribers are not apart"


def carrier_hairpins() -> str:
    """Subscribers meet at the carrier's address where it has a hairpin, with home NATs of their own."""
    outcomes = {}
    for hairpin in ("external", "none"):
        behaviour = Behaviour(filtering=EI, hairpin=hairpin, stray="reset")
        with Laboratory(one_way=_NEAR) as lab:
            broker = lab.broker()
            isp = lab.carrier("isp", behaviour)
            home = Nat(Behaviour(filtering=EI))
            alice, bob = (lab.site(name, home, carrier=isp) for name in ("alice", "bob"))
            with Examination(lab, broker, bob) as examination:
                at = examination.dial(5000).public
                with examination.listen(5000) as listener:
                    try:
                        with connected(alice, *at, 6000):
                            accepted, seen = listener.accept()
                            accepted.close()
                            outcomes[hairpin] = f"seen as {seen[0]}:{seen[1]}"
                    except ConnectionRefusedError:
                        outcomes[hairpin] = "refused"
    expect(outcomes == {"external": f"seen as {isp.ipv4[0]}:6000", "none": "refused"}, f"{outcomes}")
    return ", ".join(f"{hairpin}: {outcome}" for hairpin, outcome in outcomes.items())


def carrier_reboot() -> str:
    """A carrier that reboots takes its subscribers' mappings with it, the home router keeps its own."""
    with Laboratory(one_way=_NEAR) as lab:
        broker = lab.broker()
        isp = lab.carrier("isp", Behaviour(stray="reset"))
        alice = lab.site("alice", Nat(), carrier=isp)
        with Examination(lab, broker, alice) as examination:
            contact = examination.dial(5000)
            lab.reboot_carrier("isp")
            contact.far.send(b"are you there?")
            try:
                contact.far.recv(1)
                raise AssertionError("the carrier still knows the connection")
            except ConnectionResetError:
                pass
            expect(len(lab.mappings("alice")) == 1, "the home router has forgotten it")
            examination.dial(5001)
    return "what comes for the old connection is reset, a new one works"


def topologies() -> str:
    """Each topology is built, its hosts reach the broker, and addresses and delays are as it says."""
    for name in TOPOLOGIES:
        with Laboratory(one_way=_NEAR if name != "apart" else 0.01) as lab:
            broker = lab.broker()
            pair = build(lab, name)
            with listening(broker, broker.address, _PORT):
                trips = [round_trip(host, broker.address, _PORT, 1) for host in (pair.first, pair.second)]
            least = {"unequal": (0.01, 0.3), "far": (0.3, 0.3), "neighbours": (0.16, 0.16)}.get(name, (0, 0))
            expect(trips[0] >= least[0] and trips[1] >= least[1], f"{name}: round trips {trips}")
            one, two = pair.first.address, pair.second.address
            expect((one == two) == (name == "same-private-address"), f"{name}: {one} and {two}")
            if name == "decoy":
                expect([decoy.address for decoy in pair.decoys] == [two, one], "the decoys are elsewhere")
    return ", ".join(TOPOLOGIES)


BEHAVIOURS: tuple[Callable[[], str], ...] = (
    isolated_lan,
    hairpin_external,
    hairpin_filters,
    hairpin_internal,
    hairpin_none,
    carrier,
    carrier_hairpins,
    carrier_reboot,
    topologies,
)

"""Which ports and addresses a NAT in user space hands out, shown; and that each profile is what its name says."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable
from dataclasses import replace

from tests.natlab.behaviour import APD, EI, Behaviour
from tests.natlab.examination import Address, Examination, bound
from tests.natlab.firewalls import Firewall
from tests.natlab.laboratory import Laboratory
from tests.natlab.nats import CarrierHome, Nat
from tests.natlab.nature import Nature, nature
from tests.natlab.probes import expect
from tests.natlab.profiles import PROFILES
from tests.natlab.routers import Masquerade
from tests.natlab.sites import Open, Profile

# Here nothing depends on delays.
_NEAR = 0.002


def _examine(*kinds: type[Profile]) -> str:
    """All profiles of these kinds: four endpoints for the mapping, strangers for the filtering, eight ports for
    the allocation, a port without mapping for what is unsolicited."""
    wrong = []
    names = [name for name, profile in PROFILES.items() if isinstance(profile, kinds)]
    with Laboratory(seed=3, one_way=_NEAR) as lab:
        broker = lab.broker()
        for name in names:
            host = lab.site(name, PROFILES[name])
            for family in nature(PROFILES[name]).families:
                with Examination(lab, broker, host, family) as examination:
                    found = examination.nature()
                promised = nature(PROFILES[name], family)
                asked = Nature(promised.mapping, promised.filtering, promised.allocation, promised.unsolicited)
                if found != asked:
                    wrong.append(f"{name} over IPv{family} is {found} instead of {asked}")
    expect(not wrong, "; ".join(wrong))
    return f"{len(names)} as promised: {', '.join(names)}"


def profiles_user_space() -> str:
    """Each profile with a NAT in user space maps, filters, allocates and refuses as it says."""
    return _examine(Nat)


def profiles_kernel() -> str:
    """So does each one whose router is a kernel, and each without any NAT."""
    return _examine(Open, Masquerade, Firewall)


def profiles_carriers() -> str:
    """So does each one with a carrier in front."""
    return _examine(CarrierHome)


def port_conflict() -> str:
    """Preserved ports: of two hosts with one port the second gets the next free one."""
    with Laboratory(one_way=_NEAR) as lab:
        broker, alice = lab.broker(), lab.site("alice", Nat())
        second = alice.site.host("second")
        with Examination(lab, broker, alice) as one:
            ports = [one.dial(port).public[1] for port in (5000, 5001)]
            # Other ports of the broker: where two listen, connections go to either.
            with Examination(lab, broker, second, ports=(9002, 9003)) as two:
                ports.append(two.dial(5000).public[1])
    expect(ports == [5000, 5001, 5002], f"5000, 5001 and again 5000 became {ports}")
    return "5000 and 5001 are kept, another host's 5000 becomes 5002"


def sequential() -> str:
    """Each destination's port is one, or two, after the one before."""
    shown = []
    for step in (1, 2):
        with Laboratory(one_way=_NEAR) as lab:
            broker = lab.broker()
            profile = Nat(Behaviour(mapping=APD, allocation="sequential", step=step))
            with Examination(lab, broker, lab.site("alice", profile)) as examination:
                ports = [port for _address, port in examination.seen(5000)]
        expect(ports == [ports[0] + step * number for number in range(4)], f"by {step}: {ports}")
        shown.append(f"by {step}: {ports}")
    return ", ".join(shown)


def random_by_seed() -> str:
    """Random ports have no pattern, and the laboratory's seed decides them."""

    def ports(seed: int) -> list[Address]:
        with Laboratory(seed=seed, one_way=_NEAR) as lab:
            broker = lab.broker()
            profile = Nat(Behaviour(mapping=APD, allocation="random"))
            with Examination(lab, broker, lab.site("alice", profile)) as examination:
                return examination.seen(5000)

    first = ports(1)
    expect(first == ports(1), "the same seed, other ports")
    expect(not set(first) & set(ports(2)), "another seed, the same ports")
    return f"{[port for _address, port in first]}, again with the same seed"


def few_ports() -> str:
    """Where all ports are taken a new connection gets none; one that ends (RST) frees its own."""
    profile = Nat(Behaviour(mapping=APD, allocation="random", ports=(40000, 40002)))
    with Laboratory(one_way=_NEAR) as lab:
        broker, alice = lab.broker(), lab.site("alice", profile)
        with Examination(lab, broker, alice) as examination:
            contacts = [examination.dial(port) for port in (5000, 5001, 5002)]
            with lab.capture() as core, bound(alice, (alice.address, 5003)) as dialled:
                dialled.setblocking(False)
                expect(dialled.connect_ex((broker.address, 9000)) == errno.EINPROGRESS, "no dial")
                contacts[0].fence()
                expect(not [segment for segment in core.tcp() if segment.flags == "S"], "a SYN passed")
            contacts[1].near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            contacts[1].near.close()
            again = examination.dial(5004)
    expect(again.public == contacts[1].public, f"{again.public} instead of {contacts[1].public}")
    return f"three ports: a fourth connection sends nothing; after an RST {again.public[1]} is given again"


def pools() -> str:
    """Paired: each host has one address of the pool. Arbitrary: each mapping gets the next one."""
    with Laboratory(one_way=_NEAR) as lab:
        broker = lab.broker()
        behaviour = Behaviour(mapping=APD, pool=4)
        paired = lab.site("paired", Nat(behaviour))
        hosts = (
            paired,
            paired.site.host("second"),
            lab.site("arbitrary", Nat(replace(behaviour, pooling="arbitrary"))),
        )
        seen = []
        for host in hosts:
            with Examination(lab, broker, host) as examination:
                seen.append([address for address, _port in examination.seen(5000)])
    first, second, arbitrary = map(set, seen)
    expect(len(first) == len(second) == 1 and first != second, f"paired: {seen}")
    expect(len(arbitrary) == 4, f"arbitrary: {seen}")
    return f"paired {first | second}, arbitrary {seen[2]}"


def follows_answers() -> str:
    """What comes in through an address-dependent mapping is answered through the same one."""
    profile = Nat(Behaviour(mapping=APD, filtering=EI, allocation="random"))
    with Laboratory(one_way=_NEAR) as lab:
        broker, alice = lab.broker(), lab.site("alice", profile)
        with Examination(lab, broker, alice) as examination:
            contact = examination.dial(5000)
            examination.listen(5000)
            answer = examination.knock((examination.addresses[1], 7010), contact.public, contact)
    expect(answer == "accepted", f"a stranger's SYN got: {answer}")
    return "a stranger's SYN is answered from the endpoint that it was sent to"


BEHAVIOURS: tuple[Callable[[], str], ...] = (
    profiles_user_space,
    profiles_kernel,
    profiles_carriers,
    port_conflict,
    sequential,
    random_by_seed,
    few_ports,
    pools,
    follows_answers,
)

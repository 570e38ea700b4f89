"""The kinds of connection by name, for matrices of all pairs and for ``python -m tests.natlab``.

A profile holds settings only: each site of each laboratory may have the same one.
"""

from __future__ import annotations

from tests.natlab.behaviour import AD, APD, EI, Behaviour
from tests.natlab.firewalls import Firewall
from tests.natlab.nats import CarrierHome, Nat
from tests.natlab.nature import nature
from tests.natlab.routers import Masquerade
from tests.natlab.sites import Open, Profile

_CARRIER = Behaviour(filtering=APD, allocation="random", hairpin="external")


def _symmetric(**settings: object) -> Nat:
    return Nat(Behaviour(**{"mapping": APD, "allocation": "sequential", **settings}))  # type: ignore[arg-type]


PROFILES: dict[str, Profile] = {
    "open": Open(),
    "open6": Open(ipv6=True),
    # One public endpoint for all destinations.
    "eim-eif": Nat(Behaviour(filtering=EI)),
    "eim-eif-random": Nat(Behaviour(filtering=EI, allocation="random")),
    "eim-adf": Nat(Behaviour(filtering=AD)),
    "eim-adf-reset": Nat(Behaviour(filtering=AD, stray="reset")),
    "eim-apdf-silent": Nat(Behaviour()),
    "eim-apdf-reset": Nat(Behaviour(stray="reset")),
    "eim-apdf-icmp": Nat(Behaviour(stray="icmp")),
    "eim-apdf-reset-forgets": Nat(Behaviour(stray="reset", reset_forgets=True)),
    "eim-apdf-seq1": Nat(Behaviour(allocation="sequential")),
    "eim-apdf-random": Nat(Behaviour(allocation="random")),
    "eim-apdf-hairpin": Nat(Behaviour(hairpin="external")),
    "eim-apdf-short": Nat(Behaviour(syn_timeout=5.0, idle_timeout=60.0)),
    "no-simultaneous-open": Nat(Behaviour(crossing="dropped")),
    "no-simultaneous-open-reset": Nat(Behaviour(crossing="refused", stray="reset")),
    # One for each address.
    "adm-adf-seq1": _symmetric(mapping=AD, filtering=AD),
    "adm-apdf-seq1": _symmetric(mapping=AD),
    "adm-apdf-random": _symmetric(mapping=AD, allocation="random"),
    # One for each destination.
    "sym-preserved": _symmetric(allocation="preserved"),
    "sym-seq1": _symmetric(),
    "sym-seq1-reset": _symmetric(stray="reset"),
    "sym-seq2": _symmetric(step=2),
    "sym-random": _symmetric(allocation="random"),
    "sym-random-reset": _symmetric(allocation="random", stray="reset"),
    "sym-random-adf": _symmetric(allocation="random", filtering=AD),
    "sym-random-adf-endpoint": _symmetric(allocation="random", filtering=AD, contacts="endpoint"),
    "sym-random-eif": _symmetric(allocation="random", filtering=EI),
    # 64 ports, as a subscriber may have of a carrier's address.
    "few-ports": _symmetric(allocation="random", ports=(40000, 40063)),
    # Four addresses.
    "pool-paired": Nat(Behaviour(pool=4)),
    "pool-arbitrary": Nat(Behaviour(pool=4, pooling="arbitrary")),
    "sym-pool-paired": _symmetric(pool=4),
    "sym-pool-arbitrary": _symmetric(pool=4, pooling="arbitrary"),
    "kernel-masq-silent": Masquerade(stray="silent"),
    "kernel-masq-reset": Masquerade(stray="reset"),
    "kernel-random": Masquerade(stray="silent", ports="random"),
    "kernel-random-reset": Masquerade(stray="reset", ports="random"),
    "kernel-fully-random": Masquerade(stray="silent", ports="fully-random"),
    "kernel-fully-random-reset": Masquerade(stray="reset", ports="fully-random"),
    "firewall4-drop": Firewall(),
    "firewall4-reject": Firewall(stray="reset"),
    "firewall4-icmp": Firewall(stray="icmp"),
    # No IPv4 at all: only another one with IPv6, and a broker's IPv6 address, can be reached.
    "firewall6-drop": Firewall(ipv4="none", ipv6=True),
    "firewall6-reject": Firewall(stray="reset", ipv4="none", ipv6=True),
    "firewall6-icmp": Firewall(stray="icmp", ipv4="none", ipv6=True),
    # An ordinary home with both: IPv4 is hopeless, IPv6 is not.
    "random4-firewall6-drop": Firewall(ipv4="fully-random", ipv6=True),
    "cgn-home": CarrierHome(Masquerade(stray="reset"), _CARRIER),
    "cgn-home-sym": CarrierHome(Masquerade(), Behaviour(mapping=APD, allocation="sequential")),
    "cgn-phone": CarrierHome(Open(), _CARRIER),
}
"""By name. The names say mapping, filtering, and what else is not as usual."""

SHORT_NAMES: dict[str, Profile] = {"silent": Masquerade(stray="silent"), "reset": Masquerade(stray="reset")}
"""What one types when any router will do."""


def table() -> str:
    """All of them and what they do."""
    short = {EI: "independent", AD: "address", APD: "address+port", "none": "-"}
    heading = ("profile", "mapping", "filtering", "allocation", "stray SYN", "crossing", "hairpin", "IPv")
    rows = [heading]
    for name, profile in PROFILES.items():
        what = nature(profile, nature(profile).families[0])
        crossing, hairpin = "yes" if what.crossing else "no", "yes" if what.hairpin else "no"
        families = "+".join(map(str, what.families))
        nat = what.mapping != "none"
        rows.append(
            (
                name,
                short[what.mapping],
                short[what.filtering],
                what.allocation if nat else "-",
                what.unsolicited,
                crossing,
                hairpin if nat else "-",
                families,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(heading))]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

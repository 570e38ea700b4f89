"""Findings in plain words.  Pure: no terminal, no network; plain ASCII without names of strangers."""

from __future__ import annotations

from p2phole.behaviour import ADDRESS, INDEPENDENT, PORT, Behaviour
from p2phole.check.findings import Findings, Meeting
from p2phole.check.outlook import KINDS, Kind, Outlook, outlook, own_firewall, remedies

MEANING = {
    "mapping": {
        "none": "no NAT: seen outside as it is",
        INDEPENDENT: "one outside port, whoever is dialled",
        ADDRESS: "another outside port for each address",
        PORT: "another outside port for each connection",
        "unknown": "takes a broker with two addresses",
    },
    "filtering": {
        "none": "everybody is let in",
        INDEPENDENT: "everybody is let in, once it dials out",
        ADDRESS: "lets in the addresses that were dialled",
        PORT: "lets in only what answers a dial",
        "unknown": "takes a broker with two addresses",
    },
    "allocation": {
        "preserved": "the outside port is the local port",
        "sequential": "outside ports count up: can be told",
        "random": "outside ports cannot be told",
        "unknown": "too few outside ports were seen",
    },
    "unsolicited": {
        "silent": "what comes unasked gets no answer",
        "reset": "what comes unasked gets a refusal (RST)",
        "icmp": "what comes unasked gets an ICMP error",
        "unknown": "nothing was turned away",
    },
}
"""Finding to word to meaning.  Where the filtering is unknown, an unknown answer is too."""

_OUT = {
    "none": "This machine is seen outside as it is, without a NAT",
    INDEPENDENT: "This network shows everybody one outside port",
    ADDRESS: "This network takes another outside port for each address that is dialled",
    PORT: "This network takes another outside port for each connection",
    "unknown": "Whether this network shows everybody one outside port was not found out",
}
_IN = {
    "none": "and whoever connects is let in.",
    INDEPENDENT: "and whoever connects there is let in.",
    ADDRESS: "and only whom it has dialled is let in.",
    PORT: "and only what answers a dial is let in: both sides must dial at the same moment.",
    "unknown": "and whom it lets in was not found out.",
}
_SCOPE = {
    "machine": "The broker is on this machine: this says nothing of any network.",
    "private": "The broker is in a private network: this says nothing of the internet.",
    "ipv6": "About IPv6 only, by which the broker was reached; the other side needs it.",
}
_REMEDY = {
    "silence": "let the router drop stray SYNs instead of answering them",
    "network": "use another network; an ordinary home router will do",
    "firewall": "allow incoming TCP to the peer's port (--port) in the firewall",
    "mapping": "have the router map a port to the peer (--map-port)",
}
NO_REMEDY = {"unproven", "nothing-to-dial", "unreachable", "busy", "lost", "broker", "gone"}
"""Reasons that have nothing to do with how the two networks behave: what they say themselves is all."""


def meaning(nat: Behaviour) -> list[tuple[str, str, str]]:
    """Finding, word and meaning, of each of the four."""
    rows = [(name, word, MEANING[name][word]) for name in MEANING for word in (getattr(nat, name),)]
    if nat.filtering == nat.unsolicited == "unknown":
        rows[3] = ("unsolicited", "unknown", "nothing was seen of it")
    return rows


def summary(nat: Behaviour) -> str:
    """What this network does, in a sentence."""
    how = {"random": ", at random", "sequential": ", in sequence"}.get(nat.allocation, "") if nat.is_hard else ""
    return f"{_OUT[nat.mapping]}{how}, {_IN[nat.filtering]}"


def kinds(found: Findings) -> list[tuple[Kind, Outlook]]:
    """What is to be expected with each kind of other side that can be met where this was found out."""
    ipv6 = found.observed.ip.version == 6
    return [(kind, outlook(found.nat, kind.behaviour)) for kind in KINDS if kind.ipv6 or not ipv6]


def caveats(found: Findings) -> list[str]:
    """What the findings are not about, and where it is a firewall that turns connections away."""
    said = [_SCOPE[found.scope]] if found.scope in _SCOPE else []
    if own_firewall(found.nat):
        does = "drops" if found.nat.unsolicited == "silent" else "refuses"
        said.append(f"No NAT: a firewall on this machine or just before it {does} stray SYNs.")
    return said


def notes(found: Findings) -> list[str]:
    """What has to be known to read the findings, and the outlook by kinds, right."""
    said = caveats(found)
    if "unknown" in (found.nat.mapping, found.nat.filtering):
        said.append("What is unknown here takes a broker with a second address (--probe-address).")
    if not found.nat.lets_in and any(way.direct and not kind.behaviour.lets_in for kind, way in kinds(found)):
        said.append("No broker can see if a router refuses connections that cross on their way.")
    return said


def advice(found: Findings) -> list[str]:
    """What to do about the kinds of other sides for which it does not work; empty where it does."""
    failing = [kind for kind, way in kinds(found) if not (way.direct and way.sure)]
    if not failing:
        return []
    said: list[str] = []
    for word in dict.fromkeys(word for kind in failing for word in remedies(found.nat, kind.behaviour)):
        said.append(f"Here: {_REMEDY[word]}.")
    if found.observed.ip.version == 4:
        said.append(f"Or on both sides: {_ipv6(found)}.")
    return said


def pair_advice(found: Findings, meeting: Meeting) -> tuple[list[str], list[str], list[str]]:
    """What would help a pair that failed: here, there, and on both sides together."""
    if meeting.reason in NO_REMEDY:
        return [], [], []
    both = []
    if found.observed.ip.version == 4:
        both.append(_ipv6(found))
    if meeting.reason == "no-hairpin":
        # One router before both: what is mapped there is reached from outside only.
        another = "use another network"
        return [another], [another], [*both, "be in one local network"]
    here = [_REMEDY[word] for word in remedies(found.nat, meeting.theirs)]
    there = [_REMEDY[word] for word in remedies(meeting.theirs, found.nat)]
    return here, there, both


def _ipv6(found: Findings) -> str:
    return "use IPv6" if found.ipv6 else "use IPv6 (this machine has no such address now)"


def unexpected(found: Findings, meeting: Meeting) -> str:
    """A sentence where the pair should have worked by what both networks were found to do, else nothing."""
    way = outlook(found.nat, meeting.theirs)
    if meeting.reason not in ("silent", "refused") or not way.direct:
        return ""
    if not way.sure:
        return "It depends on what had not been found out of both networks when they started: try again."
    return (
        "By what was found out of both networks it should work: a firewall on one of the two machines, or a "
        "router that refuses connections which cross, may be in the way."
    )

"""Findings in plain words.  Pure: no terminal, no network; plain ASCII without names of strangers."""

from __future__ import annotations

from p2phole.behaviour import ADDRESS, INDEPENDENT, PORT, Behaviour
from p2phole.check.findings import Findings, Meeting
from p2phole.check.outlook import KINDS, Kind, Outlook, outlook, own_firewall, remedies
from p2phole.punch.prediction import is_random

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
        "unknown": "the broker could not find out",
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
    "none": "This machine is seen outside as it is, there is no NAT",
    INDEPENDENT: "This network shows one outside port to everybody, so others can be told where to connect",
    "unknown": "Whether this network shows one outside port to everybody could not be found out",
}
_IN = {
    "none": "and whoever connects is let in.",
    INDEPENDENT: "and whoever connects there is let in.",
    ADDRESS: "and whom it has dialled is let in.",
    PORT: "and only what answers a dial is let in: both sides must dial at the same moment.",
    "unknown": "and whom it lets in could not be found out.",
}
_SCOPE = {
    "machine": "The broker is on this machine: all this says nothing of any network.",
    "private": "The broker is in a private network: all this says nothing of the way to the internet.",
    "ipv6": "The broker was reached over IPv6: all this is about IPv6, and the other side needs it too.",
    "ipv4": "",
}
_REMEDY = {
    "silence": "let the router drop what comes unasked, instead of answering it with RST",
    "network": "use another network; an ordinary home router will do",
    "firewall": "allow incoming TCP to the peer's port (fixed by --port) in the firewall",
    "mapping": "map a TCP port of the router to this machine's peer (fixed by --port)",
}
_ELSEWHERE = {"mapping": "map a TCP port of the router to that machine's peer (fixed by --port)"}
NO_REMEDY = {"unproven", "nothing-to-dial", "unreachable", "lost", "broker", "gone"}
"""Reasons that have nothing to do with how the two networks behave: what they say themselves is all."""


def meaning(nat: Behaviour) -> list[tuple[str, str, str]]:
    """Finding, word and meaning, of each of the four."""
    rows = [(name, word, MEANING[name][word]) for name in MEANING for word in (getattr(nat, name),)]
    if nat.filtering == nat.unsolicited == "unknown":
        rows[3] = ("unsolicited", "unknown", "the broker could not find out")
    return rows


def summary(nat: Behaviour) -> str:
    """What this network does, in a sentence."""
    if nat.is_hard:
        how = (
            "at random, so nobody can be told where to connect"
            if is_random(nat)
            else "in sequence, so the next one can be told"
            if nat.allocation == "sequential"
            else "so nobody knows it before"
        )
        out = f"This network takes another outside port for each {_each(nat)}, {how}"
    else:
        out = _OUT[nat.mapping]
    return f"{out}, {_IN[nat.filtering]}"


def _each(nat: Behaviour) -> str:
    return "address that is dialled" if nat.mapping == ADDRESS else "connection"


def kinds(found: Findings) -> list[tuple[Kind, Outlook]]:
    """What is to be expected with each kind of other side that can be met where this was found out."""
    ipv6 = found.observed.ip.version == 6
    return [(kind, outlook(found.nat, kind.behaviour)) for kind in KINDS if kind.ipv6 or not ipv6]


def notes(found: Findings) -> list[str]:
    """What has to be known to read the findings right."""
    nat, said = found.nat, []
    if scope := _SCOPE[found.scope]:
        said.append(scope)
    if own_firewall(nat):
        does = "drops" if nat.unsolicited == "silent" else "refuses"
        said.append(f"There is no NAT: a firewall on this machine or just before it {does} what arrives unasked.")
    if nat.mapping == "unknown" or nat.filtering == "unknown":
        said.append("A broker with a second address (--probe-address) finds out what is unknown here.")
    if any(way.technique != "none" and not nat.lets_in and not kind.behaviour.lets_in for kind, way in kinds(found)):
        said.append("Not seen from a broker: a router that refuses connections which cross on their way.")
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
        have = "this machine has an address" if found.ipv6 else "this machine has none now"
        said.append(f"Or use IPv6 on both sides ({have}).")
    return said


def pair_advice(found: Findings, meeting: Meeting) -> tuple[list[str], list[str], list[str]]:
    """What would help a pair that failed: here, there, and on both sides together."""
    if meeting.reason in NO_REMEDY:
        return [], [], []
    both = []
    if found.observed.ip.version == 4:
        have = "this machine has an address" if found.ipv6 else "this machine has none now"
        both.append(f"use IPv6 ({have})")
    if meeting.reason == "no-hairpin":
        # One router before both: what is mapped there is reached from outside only.
        another = "use another network"
        return [another], [another], [*both, "be in one local network"]
    here = [_REMEDY[word] for word in remedies(found.nat, meeting.theirs)]
    there = [_ELSEWHERE.get(word, _REMEDY[word]) for word in remedies(meeting.theirs, found.nat)]
    return here, there, both


def unexpected(found: Findings, meeting: Meeting) -> str:
    """A sentence where the pair should have worked by what both networks were found to do, else nothing."""
    if meeting.reason not in ("silent", "refused") or not outlook(found.nat, meeting.theirs).direct:
        return ""
    return (
        "By what was found out of both networks it should work: a firewall on one of the two machines, or a "
        "router that refuses connections which cross, may be in the way."
    )

"""Why a start came to nothing, in a word for programs and a sentence for people.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

REASONS = {
    "unproven": "What answered could not prove to be the peer that the broker named: somebody is in between, "
    "or the peer's key has changed while we were being introduced; let both sides restart.",
    "nothing-to-dial": "None of the addresses that the other side has may be dialled from here, and nothing "
    "came in: let both sides reach the broker by an address that is not of a private network.",
    "refused": "A router, or the other machine, refuses the connections that should cross: try again, allow "
    "incoming TCP in the firewall of one side, or use another network on one side.",
    "unreachable": "This machine has no route to any address of the other side: check this machine's network, "
    "and that both sides have IPv4 or both have IPv6.",
    "silent": "Nothing came back from the other side: a router or firewall on one of the two sides drops "
    "the connections, or maps every one to a new port: allow incoming TCP on one side, use IPv6, or another "
    "network.",
    "lost": "A connection came about but ended before both sides had proved who they are: try again.",
    "broker": "The broker did not bring about another start: check that it can be reached.",
    "gone": "The other side has left the room: nothing to do until it is back.",
}


@dataclass(frozen=True, slots=True)
class Report:
    """Why a start came to nothing: the last outcome of each dial, and why contenders fell out."""

    outcomes: dict[str, str] = field(default_factory=dict)
    drops: dict[str, int] = field(default_factory=dict)


def reason(report: Report) -> str:
    """The word of :data:`REASONS` that fits what was seen best."""
    if report.drops.get("unproven"):
        return "unproven"
    outcomes = set(report.outcomes.values())
    if not outcomes:
        return "nothing-to-dial"
    if outcomes <= {"unreachable"}:
        return "unreachable"
    if outcomes & {"refused", "spent"}:
        return "refused"
    if "silent" in outcomes:
        return "silent"
    return "lost" if outcomes & {"lost", "connected", "elsewhere"} else "unreachable"

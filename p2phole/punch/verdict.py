"""What two NATs allow, and why a start came to nothing: a word for programs, a sentence for people.  Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from p2phole.behaviour import Behaviour
from p2phole.punch.prediction import is_random

REASONS = {
    "secret": "The other side has another secret: compare the two secret files, and the name of the room; or "
    "somebody who does not know the secret, perhaps the broker, tried to get in.",
    "locked": "The secret was tried wrongly too often, so that strangers may try it once an hour now: wait, "
    "restart this side, or keep the other side's key with p2phole id keep.",
    "unconfirmed": "There is a connection, but the proof of the secret did not come through the broker: try "
    "again, or use another broker.",
    "changed": "Whoever calls itself so has another key than the one that was kept under this name: somebody may "
    "be in between, or the other side has made a new key; ask it by another way, then forget the old key.",
    "unproven": "What answered could not prove to be the peer that the broker named: somebody is in between, "
    "or the peer's key has changed while we were being introduced; let both sides restart.",
    "nothing-to-dial": "None of the addresses that the other side has may be dialled from here, and nothing "
    "came in: let both sides reach the broker by an address that is not of a private network.",
    "symmetric": "Both networks give each connection an outside port that nobody can tell, so over IPv4 there is "
    "no direct connection: use IPv6, map a port at one side's router, or use another network on one side.",
    "no-hairpin": "Both sides are behind one router, which does not lead connections back inside: be in one local "
    "network, use IPv6, or use another network on one side.",
    "answers": "One network gives each connection a random outside port, and the other side's router answers "
    "stray connections with RST, which closes what was opened by chance: drop them there, or map a port there.",
    "refused": "A router, or the other machine, refuses the connections that should cross: try again, allow "
    "incoming TCP in the firewall of one side, or use another network on one side.",
    "unreachable": "This machine has no route to any address of the other side: check this machine's network, "
    "and that both sides have IPv4 or both have IPv6.",
    "busy": "This peer has sent as much to the other side's address, or in all, as it may in a minute: nothing to "
    "do, it is tried again.",
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
    held: bool = False
    """Whether there was a connection that waited for a proof."""


def technique(mine: Behaviour, theirs: Behaviour) -> str:
    """What it takes to connect two peers whose NATs behave so, by their outside endpoints.

    ``one port``: where the broker saw them will do; ``prediction``; ``birthday``; or ``none``.  What is
    unknown counts as what is most common, so that only ``none`` is a statement that nothing will do.
    """
    hard = [each for each in (mine, theirs) if each.is_hard]
    easy = [each for each in (mine, theirs) if not each.is_hard]
    if not hard or (easy and easy[0].lets_in):
        return "one port"
    if not any(is_random(each) for each in hard):
        return "prediction"
    return "birthday" if easy else "none"


def spoilt(mine: Behaviour, theirs: Behaviour) -> bool:
    """Whether a birthday is a matter of luck: what the two sides open by chance is closed by both routers' answers
    to what is stray.  Where only one of them answers, one side's tries or the other's ports outlast it."""
    both = all(each.unsolicited in ("reset", "icmp") for each in (mine, theirs))
    return both and technique(mine, theirs) == "birthday"


def reason(report: Report, mine: Behaviour, theirs: Behaviour, one_address: bool) -> str:
    """The word of :data:`REASONS` that fits best: what is known of both NATs comes before what was seen.

    ``one_address``: the broker saw both at one address.
    """
    if report.drops.get("unproven"):
        return "unproven"
    if report.held:
        return "unconfirmed"
    outcomes = set(report.outcomes.values())
    if one_address and outcomes and "connected" not in outcomes:
        return "no-hairpin"
    if outcomes == {"unreachable"}:
        return "unreachable"  # one has no IPv4, or no IPv6: NATs do not come into it
    takes = technique(mine, theirs)
    if takes == "none":
        return "symmetric"
    easy = theirs if mine.is_hard else mine
    # What the other side knows of its own NAT may have come after the introduction.
    answered = easy.unsolicited in ("reset", "icmp") or (mine.is_hard and outcomes & {"refused", "unreachable"})
    if takes == "birthday" and answered:
        return "answers"
    return _seen(outcomes)


def _seen(outcomes: set[str]) -> str:
    if not outcomes:
        return "nothing-to-dial"
    if outcomes <= {"unreachable"}:
        return "unreachable"
    if outcomes & {"refused", "spent"}:
        return "refused"
    if "busy" in outcomes:
        return "busy"
    if "silent" in outcomes:
        return "silent"
    return "lost" if outcomes & {"lost", "connected", "elsewhere"} else "unreachable"

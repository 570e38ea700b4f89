"""The findings for programs: one JSON object.  Pure.

========== ===========================================================================================
``direct`` whether a direct connection is possible: with the peer that was asked for, else with an
           ordinary home router on the other side; null where the check came to no result
``error``  only then: the line that is on standard error too; no other key is there
``broker`` as it was given
``local``, ``observed``
           ``"ip:port"``: this end of the connection to the broker, and how the broker saw it
``scope``  what the findings are about: ``ipv4`` or ``ipv6``; ``private`` or ``machine``, where the
           broker is in a private network or on this machine, and the internet was not looked at
``nat``    ``mapping``, ``filtering``, ``allocation``, ``unsolicited``, as in the event of that name
``firewall`` true: there is no NAT, so a firewall on this machine or just before it turns connections
           away; false: that cannot be said
``ipv6``   whether this machine has an IPv6 address that others could dial
``summary`` what this network does, a sentence
``others`` a list, one object for each kind of other side: ``kind`` (a word), ``name``, ``nat`` (as
           above), ``technique`` (``one port``, ``prediction``, ``birthday``, ``none``), ``sure`` (false:
           it depends on what is unknown), ``seconds`` (``[usual, most]``, null for ``none``)
``notes``, ``advice``
           lists of sentences
``peer``   null, or of the one that was asked for: ``name``, ``nat``, ``direct``; then either
           ``candidate``, ``remote``, ``seconds``, or ``reason`` (a word), ``detail`` (its sentence),
           ``unexpected`` (a sentence, or empty) and ``advice``: ``here``, ``there`` and ``both``, lists
========== ===========================================================================================

Keys may be added; none goes away.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from p2phole.check import words
from p2phole.check.findings import Findings, Meeting
from p2phole.check.outlook import SECONDS, own_firewall
from p2phole.punch.verdict import REASONS
from p2phole.text import harmless_json


def as_json(found: Findings) -> str:
    """The findings as one line of JSON."""
    return _line(
        {
            "direct": found.direct,
            "broker": found.broker,
            "local": str(found.local),
            "observed": str(found.observed),
            "scope": found.scope,
            "nat": asdict(found.nat),
            "firewall": own_firewall(found.nat),
            "ipv6": found.ipv6,
            "summary": words.summary(found.nat),
            "others": [
                {
                    "kind": kind.word,
                    "name": kind.name,
                    "nat": asdict(kind.behaviour),
                    "technique": way.technique,
                    "sure": way.sure,
                    "seconds": SECONDS.get(way.technique),
                }
                for kind, way in words.kinds(found)
            ],
            "notes": words.notes(found),
            "advice": words.advice(found),
            "peer": None if found.meeting is None else _meeting(found, found.meeting),
        }
    )


def error_as_json(error: str) -> str:
    """The line for a check that came to no result."""
    return _line({"direct": None, "error": error})


def _meeting(found: Findings, meeting: Meeting) -> dict[str, Any]:
    told = {"name": meeting.peer, "nat": asdict(meeting.theirs), "direct": meeting.direct}
    if meeting.direct:
        return {**told, "candidate": meeting.candidate, "remote": meeting.remote, "seconds": meeting.seconds}
    advice = dict(zip(("here", "there", "both"), words.pair_advice(found, meeting), strict=True))
    return {
        **told,
        "reason": meeting.reason,
        "detail": REASONS[meeting.reason],
        "unexpected": words.unexpected(found, meeting),
        "advice": advice,
    }


def _line(value: object) -> str:
    return harmless_json(json.dumps(value, ensure_ascii=False)) + "\n"

"""Names of people: one's own for somebody, and what somebody claims.  Pure."""

from __future__ import annotations

import re
import unicodedata

from p2phole.text import MAXIMUM_NAME, check_name, harmless

# White space, and what takes no ink beside it (see text.py): two names that differ by it only look the same.
_INKLESS = re.compile("[\\s\u2800\ufe00-\ufe0f\U000e0100-\U000e01ef]+")


def looks(name: str) -> str:
    """What is equal for names that look the same: case, width, composition and white space do not count.

    Letters of different scripts that look alike do.
    """
    folded = unicodedata.normalize("NFKC", name).casefold()
    return _INKLESS.sub("", unicodedata.normalize("NFKC", folded))


def check_own_name(name: str) -> str:
    """``name`` if somebody can be kept under it.

    :raises ValueError: with a sentence: see :func:`~p2phole.text.check_name`; or it has one of the marks by which
        those are told apart who are not kept.
    """
    check_name(name, "name")
    for mark in "?#":
        if mark in name:
            raise ValueError(f"the name holds {mark!r}, which marks people who are not kept: leave it out")
    return name


def claim(claimed: str) -> str:
    """A name from somebody else, fit to be shown and kept in a file."""
    text = harmless(claimed)[:MAXIMUM_NAME]
    return text if looks(text) else "?"

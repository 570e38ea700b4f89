"""Text from strangers, made fit for a terminal, a log line and a JSON line.  Pure.

What is *harmful* here: whatever a terminal obeys, whatever renders as nothing, and whatever cannot be
encoded.  That is C0, DEL and C1, the line and paragraph separators, Unicode's default ignorable code points
(UCD, ``DerivedCoreProperties.txt``: bidirectional marks, embeddings, overrides and isolates, zero-width
characters, invisible fillers, tags), the interlinear annotation marks, and lone surrogates.

Of the default ignorable only the variation selectors stay, U+FE00 to U+FE0F and U+E0100 to U+E01EF: without
them emoji and Han names come out wrong.  The zero-width joiner does not: a joined emoji shows its parts.
"""

from __future__ import annotations

import re

MAXIMUM_NAME = 64  # characters, for names and rooms

_HARMFUL = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # soft hyphen, joiners, Arabic mark, fillers
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f"  # zero-width, separators, embeddings, overrides, isolates
    "\u3164\ufeff\uffa0\ufff0-\ufffb"  # Hangul fillers, byte order mark, annotations
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"  # shorthand and musical format controls
    "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"  # tags, and what is reserved beside them
    "\ud800-\udfff"  # lone surrogates: a str has no others
    "]"
)

# What takes no ink even where it is no white space: the blank Braille pattern and lone variation selectors.
_INKLESS = re.compile("[\\s\u2800\ufe00-\ufe0f\U000e0100-\U000e01ef]*")


def harmless(text: str) -> str:
    """``text`` with each harmful character as a visible escape: ``\\x1b``, ``\\u202e``, ``\\U000e0041``.

    The result is one line, can be encoded as UTF-8, and is left alone by a second call.
    """
    return _HARMFUL.sub(lambda match: _escape(ord(match[0])), text)


def without_harm(text: str) -> str:
    """``text`` with the harmful characters left out."""
    return _HARMFUL.sub("", text)


def harmless_json(line: str) -> str:
    """The JSON text ``line``, harmful characters as JSON's own escapes: a reader gets the same strings.

    ``line`` is one document on one line, as :func:`json.dumps` writes it: outside its strings it has nothing
    that this could touch.
    """
    return _HARMFUL.sub(lambda match: _escape_json(match[0]), line)


def check_name(text: str, what: str) -> str:
    """``text`` if it will do as the name of a person or a room; ``what`` is "name" or "room".

    :raises ValueError: with a sentence: it has not 1 to 64 characters, only white space, or a harmful one.
    """
    if not text:
        raise ValueError(f"the {what} is empty: give it 1 to {MAXIMUM_NAME} characters")
    if len(text) > MAXIMUM_NAME:
        raise ValueError(f"the {what} has {len(text)} characters: {MAXIMUM_NAME} are allowed")
    if found := _HARMFUL.search(text):
        escape = _escape(ord(found[0]))
        raise ValueError(f"the {what} holds {escape}, which a terminal would obey or hide: leave it out")
    if _INKLESS.fullmatch(text):
        raise ValueError(f"the {what} is only white space: nobody would see it")
    return text


def _escape(code: int) -> str:
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _escape_json(character: str) -> str:
    code = ord(character)
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    # JSON has only four digits: what is beyond goes as its UTF-16 surrogate pair (RFC 8259, section 7).
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"

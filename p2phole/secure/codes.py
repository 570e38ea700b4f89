"""Codes for two people: ``7-velvet-ocean``.  The number finds the room, the words are the secret.  Pure."""

from __future__ import annotations

import difflib
import hmac
import re
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from p2phole.secure.words import BITS, Entropy, word_list, words_of
from p2phole.text import harmless

MOST_NUMBER = 999_999
WORDS = 2
"""22 bits: enough where there is one guess."""
EXAMPLE = "7-velvet-ocean"

_LONGEST = 64  # characters; the longest code has 24
# Between the words: white space, and what keyboards and chats make of a hyphen.
_BETWEEN = re.compile("[\\s\\-_\u2010-\u2015\u2212]+")
_NUMBER = re.compile("[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class Code:
    """One code; as text it is in its canonical form."""

    number: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return "-".join((str(self.number), *self.words))

    @property
    def secret(self) -> bytes:
        """What the two have in common and nobody else: the words without the number."""
        return "-".join(self.words).encode("ascii")


def make(number: int, entropy: Entropy) -> Code:
    """A code with that number and two random words.

    :raises ValueError: the number, which the broker chose, is not from 1 to 999,999.
    """
    if not 1 <= number <= MOST_NUMBER:
        raise ValueError(f"{number} cannot be the number of a code")
    bits = BITS * WORDS
    size = -(-bits // 8)
    return Code(number, words_of(int.from_bytes(entropy(size), "big") >> (size * 8 - bits), WORDS))


def mark(code: Code, key: Ed25519PrivateKey) -> str:
    """What a code that was typed is recognised by: 64 hexadecimal digits.

    Keyed, since 22 bits are soon tried out: without this peer's own key the mark tells nothing of the words.
    """
    return hmac.digest(key.private_bytes_raw(), f"p2phole typed code 1\0{code}".encode(), "sha256").hex()


def parse(text: str) -> Code:
    """A code as somebody has typed or pasted it: in any case, with spaces around it or instead of hyphens.

    :raises ValueError: with a sentence that says which part is wrong, and what may be meant.
    """
    number, *words = _parts(text)
    if not _NUMBER.fullmatch(number) or int(number) == 0:
        raise ValueError(f"{_shown(text)} has no number up to {MOST_NUMBER} in front: a code is like {EXAMPLE}")
    for word in words:
        if word not in word_list():
            raise ValueError(f"{_shown(word)} is not a word of any code{_nearest(word)}")
    if len(words) != WORDS:
        raise ValueError(f"{_shown(text)} has not {WORDS} words after its number: a code is like {EXAMPLE}")
    return Code(int(number), tuple(words))


def complete(text: str) -> list[str]:
    """The canonical beginnings of codes that ``text`` may become with its last word whole, sorted."""
    number, *words = _parts(text, ended=False)
    if not _NUMBER.fullmatch(number) or not 0 < len(words) <= WORDS:
        return []
    *whole, last = words
    if any(word not in word_list() for word in whole):
        return []
    return ["-".join((number, *whole, word)) for word in word_list() if word.startswith(last)]


def _parts(text: str, ended: bool = True) -> list[str]:
    if len(text) > _LONGEST:
        return [text]
    text = text.strip() if ended else text.lstrip()
    return _BETWEEN.split(text.lower())


def _nearest(word: str) -> str:
    found = difflib.get_close_matches(word, word_list(), n=3, cutoff=0.7)
    return f": is it {' or '.join(found)}?" if found else f": a code is like {EXAMPLE}"


def _shown(text: str) -> str:
    text = harmless(text)
    return f"'{text}'" if len(text) <= _LONGEST else f"'{text[:_LONGEST]}...'"

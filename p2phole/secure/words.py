"""Numbers as words that people can read, type and say aloud: secrets, fingerprints, codes.  Pure.

The words are the English list of BIP 39: 2,048 of them (11 bits each), 3 to 8 letters ``a`` to ``z``, no two
with the same first four.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mnemonic import Mnemonic

Entropy = Callable[[int], bytes]
"""That many random bytes, as :func:`secrets.token_bytes` gives them."""

BITS = 11
"""What one word stands for."""
SECRET_BYTES = 16
PHRASE_WORDS = 6


@cache
def word_list() -> tuple[str, ...]:
    """The 2,048 words, sorted."""
    return tuple(_mnemonic().wordlist)


def secret(entropy: Entropy) -> str:
    """A secret of 128 bits: twelve words (the last one holds BIP 39's checksum of 4 bits too).

    They are joined by hyphens: where white space ends or doubles nobody sees, and the secret is all its bytes.
    """
    words: str = _mnemonic().to_mnemonic(entropy(SECRET_BYTES))
    return words.replace(" ", "-")


def phrase(fingerprint: str) -> str:
    """The first 66 bits of a fingerprint (64 hexadecimal digits) as six words, for two people to compare aloud.

    A key with the same phrase takes 2^66 tries.
    """
    digits = -(-PHRASE_WORDS * BITS // 4)
    number = int(fingerprint[:digits], 16) >> (digits * 4 - PHRASE_WORDS * BITS)
    return " ".join(words_of(number, PHRASE_WORDS))


def words_of(number: int, count: int) -> tuple[str, ...]:
    """``number``, 0 to 2^(11 * count) - 1, as that many words, the highest bits first."""
    words, mask = word_list(), (1 << BITS) - 1
    return tuple(words[number >> (BITS * place) & mask] for place in reversed(range(count)))


@cache
def _mnemonic() -> Mnemonic:
    # Imported when it is wanted: a peer in an open room does without.
    from mnemonic import Mnemonic

    return Mnemonic("english")

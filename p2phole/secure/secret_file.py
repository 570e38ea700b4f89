"""The file that holds a room's secret, and whether the secret is any good."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from p2phole.errors import LocalError

MOST_BYTES = 65_536
SHORTEST = 12
FEWEST_DIFFERENT = 5
FEWEST_WORDS = 4

_NO_LETTERS = re.compile(r"[\W\d_]+")


class SecretUnreadable(LocalError):
    """The secret file {path} cannot be read ({why}): check the path, its owner and its mode."""


class NotASecret(LocalError):
    """The secret file {path} {what}: it must hold one line of text, as 'p2phole secret' prints it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What the members of a room have in common, 1 to 65,536 bytes, and what to warn the user of, in sentences."""

    value: bytes
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        return "Secret(...)"  # so that no log line ever holds it


def read_secret(path: Path) -> Secret:
    """The secret in that file: its one line without its end, in Unicode's form NFC, encoded as UTF-8.

    The file may be a pipe, as in ``--secret-file <(pass show room)``.  Raises :class:`SecretUnreadable` or
    :class:`NotASecret`.
    """
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SecretUnreadable(path=path, why=error.strerror or error) from None
    except ValueError:  # a NUL in the path
        raise SecretUnreadable(path=repr(str(path)), why="not a path") from None
    if len(content) > MOST_BYTES:
        raise NotASecret(path=path, what=f"has more than {MOST_BYTES} bytes")
    try:
        text = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise NotASecret(path=path, what="is not text in UTF-8") from None
    if not text.strip():
        raise NotASecret(path=path, what="is empty")
    if re.search("[\r\n]", text):
        # gpg would take the first line in silence; more often it is the wrong file.
        raise NotASecret(path=path, what="has more than one line")
    # Two keyboards make different bytes of the same letters (RFC 8265, section 4.2.2).
    value = unicodedata.normalize("NFC", text).encode()
    if len(value) > MOST_BYTES:
        raise NotASecret(path=path, what=f"has more than {MOST_BYTES} bytes")
    return Secret(value, tuple(_warnings(path, status, text)))


def weakness(secret: str) -> str | None:
    """Why somebody who tries likely secrets would come to this one, in a few words; None: nothing speaks for it.

    It sees what is short or simple.  It has no list of passwords that others have used.
    """
    if len(secret) < SHORTEST:
        return f"has fewer than {SHORTEST} characters"
    if len(set(secret)) < FEWEST_DIFFERENT:
        return f"has fewer than {FEWEST_DIFFERENT} different characters"
    if secret in (secret + secret)[1:-1]:
        return "is the same thing several times"
    if secret.isdigit() and len(secret) < 2 * SHORTEST:
        return "has digits only"
    words = [part for part in _NO_LETTERS.split(secret) if part]
    digits = sum(character.isdigit() for character in secret)
    # Capitals in the middle, or many digits, are not how words are written.
    usual = all(word in (word.lower(), word.upper(), word.capitalize()) for word in words)
    if len(words) < FEWEST_WORDS and digits <= len("2026") and usual:
        return "is hardly more than a word or two" if len(words) < 3 else f"has only {len(words)} words"
    return None


def _warnings(path: Path, status: os.stat_result, text: str) -> list[str]:
    found = []
    if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
        found.append(f"The secret file {path} is open to other users of this machine: chmod 600 {path}")
    if text != text.strip():
        found.append(f"The secret in {path} begins or ends with white space, which is part of it.")
    if why := weakness(text):
        found.append(f"The secret in {path} is weak: it {why}. 'p2phole secret' makes a strong one.")
    return found

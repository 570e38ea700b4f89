"""The people that this user knows, as keys: state in, state out.  Pure.

*Kept*: a name of the user's own choosing for a key, a pin.  *Met*: who was there recently, by the name that they
claimed, so that there is somebody to keep.  *Passing*: keys that a meeting by code has left for a day, with what
the code is recognised by where it was typed here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from p2phole.errors import LocalError
from p2phole.secure.names import check_own_name, claim, looks
from p2phole.text import harmless

HOWS = ("secret", "code", "pinned", "tofu")
"""How a key was authenticated: ``tofu`` is the word of the broker, all others are proofs."""

MOST_KEPT = 1_000
MOST_MET = 64
MOST_PASSING = 64
PASSING_SECONDS = 86_400
LATEST = 253_402_300_799
"""Seconds since the epoch: the end of the year 9999, the last that a date can show."""
SHORTEST_START = 4
"""Hexadecimal digits that may stand for a fingerprint where a person gives them."""

_SAME_MINUTE = 60
_FINGERPRINT = re.compile("[0-9a-f]{64}")
_START = re.compile(f"[0-9a-f]{{{SHORTEST_START},64}}")


class NotKept(LocalError):
    """Nobody is kept as {name}: 'p2phole id list' shows who is."""


class NameTaken(LocalError):
    """{name} is kept already, with the key {start}...: choose another name, or forget that one first."""


class KeyKept(LocalError):
    """The key {start}... is kept already, as {name}: 'p2phole id rename' gives it another name."""


class TooManyKept(LocalError):
    """{count} people are kept, and no more can be: forget somebody first."""


class NobodyMet(LocalError):
    """Nobody who goes by {text}, or whose fingerprint begins so, was met recently: 'p2phole id list' shows who
    was; anybody else is kept by the whole fingerprint."""


class SeveralMet(LocalError):
    """Several who go by {text} were met recently: give the start of the fingerprint of one of them ({starts})."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A pin: the user's own name for a key, since when."""

    name: str
    fingerprint: str
    since: int


@dataclass(frozen=True, slots=True)
class Met:
    """Somebody who was there: the name claimed last, how the key was proven (once is enough), when last."""

    fingerprint: str
    claimed: str
    how: str
    at: int


@dataclass(frozen=True, slots=True)
class Passing:
    """A key that may come back without a new code, within :data:`PASSING_SECONDS`.

    ``mark``: of the code that was typed here, while it may be typed again; see :func:`~p2phole.secure.codes.mark`.
    """

    fingerprint: str
    at: int
    mark: str = ""


@dataclass(frozen=True, slots=True)
class People:
    """All of it.  Times are whole seconds since the epoch, by whatever clock the machine had."""

    kept: tuple[Kept, ...] = ()
    met: tuple[Met, ...] = ()
    passing: tuple[Passing, ...] = ()

    # -- questions

    def kept_as(self, name: str) -> Kept | None:
        """Who is kept under that name, or under one that looks the same."""
        return next((one for one in self.kept if looks(one.name) == looks(name)), None)

    def kept_with(self, fingerprint: str) -> Kept | None:
        """Who is kept with that key."""
        return next((one for one in self.kept if one.fingerprint == fingerprint), None)

    def is_known(self, fingerprint: str, now: float) -> bool:
        """Kept, or met by code within a day."""
        if self.kept_with(fingerprint) is not None:
            return True
        return any(one.fingerprint == fingerprint and _lasts(one, now) for one in self.passing)

    def met_by(self, mark: str, now: float) -> str | None:
        """Whose key the code with that mark has left, within a day."""
        found = (one.fingerprint for one in self.passing if mark and one.mark == mark and _lasts(one, now))
        return next(found, None)

    def shown(self, claimed: str, fingerprint: str) -> str:
        """How to call somebody who has that key and claims that name.

        By the user's own name for the key; else by the claimed name, which is marked where it is the name of
        somebody else: ``bob?ab12``, with the start of the fingerprint.
        """
        if (kept := self.kept_with(fingerprint)) is not None:
            return kept.name
        claimed = claim(claimed)
        return claimed if self.kept_as(claimed) is None else f"{claimed}?{fingerprint[:4]}"

    def find_met(self, text: str) -> str:
        """The fingerprint that a person means by a claimed name, a fingerprint or its start, or ``bob?ab12``.

        Raises :class:`NobodyMet` or :class:`SeveralMet`.
        """
        start = text.lower()
        if _FINGERPRINT.fullmatch(start):
            return start
        name, mark, digits = text.rpartition("?")
        found = [
            one.fingerprint
            for one in self.met
            if looks(one.claimed) == looks(text)
            or (_START.fullmatch(start) and one.fingerprint.startswith(start))
            or (mark and looks(one.claimed) == looks(name) and one.fingerprint.startswith(digits.lower()))
        ]
        if not found:
            raise NobodyMet(text=harmless(text))
        if len(found) > 1:
            raise SeveralMet(text=harmless(text), starts=", ".join(one[:16] for one in found))
        return found[0]

    # -- changes

    def keep(self, name: str, fingerprint: str, now: float) -> People:
        """With that pin.  Raises :class:`NameTaken`, :class:`KeyKept`, :class:`TooManyKept`; ValueError: see
        :func:`~p2phole.secure.names.check_own_name`."""
        check_fingerprint(fingerprint)
        check_own_name(name)
        same_name, same_key = self.kept_as(name), self.kept_with(fingerprint)
        if same_key is not None and same_key is same_name:
            return self
        if same_key is not None:
            raise KeyKept(name=same_key.name, start=fingerprint[:16])
        if same_name is not None:
            raise NameTaken(name=same_name.name, start=same_name.fingerprint[:16])
        if len(self.kept) >= MOST_KEPT:
            raise TooManyKept(count=MOST_KEPT)
        return replace(self, kept=(*self.kept, Kept(name, fingerprint, _whole(now))))

    def forget(self, name: str) -> People:
        """Without that pin, nor what a code has left for its key.  Raises :class:`NotKept`."""
        gone = self._kept(name)
        return replace(
            self,
            kept=tuple(one for one in self.kept if one is not gone),
            passing=tuple(one for one in self.passing if one.fingerprint != gone.fingerprint),
        )

    def rename(self, old: str, new: str) -> People:
        """With another name for a pin.  Raises :class:`NotKept`, :class:`NameTaken` or ValueError."""
        check_own_name(new)
        before, other = self._kept(old), self.kept_as(new)
        if other is not None and other is not before:
            raise NameTaken(name=other.name, start=other.fingerprint[:16])
        return replace(self, kept=tuple(replace(one, name=new) if one is before else one for one in self.kept))

    def meet(self, fingerprint: str, claimed: str, how: str, now: float, mark: str = "") -> People:
        """After a meeting; ``how`` is one of :data:`HOWS`; ``mark``: of the code, where it was typed here."""
        if how not in HOWS:
            raise ValueError(f"nobody is met by {how!r}")
        at = _whole(now)
        before = next((one for one in self.met if one.fingerprint == fingerprint), None)
        proof = before.how if before is not None and how == "tofu" else how
        found = Met(check_fingerprint(fingerprint), claim(claimed), proof, at)
        if before is not None and 0 <= at - before.at < _SAME_MINUTE and how != "code":
            # A connection that comes and goes is no reason to write a file each time.
            found = replace(found, at=before.at)
        met = self.met if found == before else (*(one for one in self.met if one is not before), found)
        passing = self.passing
        if how == "code":
            left = Passing(fingerprint, at, mark)
            lasting = (one for one in passing if not _same(one, left) and _lasts(one, now))
            passing = (*lasting, left)[-MOST_PASSING:]
        return replace(self, met=_fewer(met), passing=passing)

    def use_up(self, mark: str) -> People:
        """The code with that mark is not to be typed again; the key that it has left is known all the same."""
        used = next((one for one in self.passing if mark and one.mark == mark), None)
        if used is None:
            return self
        bare = replace(used, mark="")
        return replace(
            self, passing=(*(one for one in self.passing if one is not used and not _same(one, bare)), bare)
        )

    def _kept(self, name: str) -> Kept:
        found = self.kept_as(name)
        if found is None:
            raise NotKept(name=harmless(name))
        return found


def check_fingerprint(text: str) -> str:
    """``text`` if it is 64 hexadecimal digits in lower case, or ValueError."""
    if not _FINGERPRINT.fullmatch(text):
        raise ValueError("a fingerprint that is none")
    return text


def _whole(now: float) -> int:
    return min(max(int(now), 0), LATEST)


def _same(one: Passing, other: Passing) -> bool:
    return (one.fingerprint, one.mark) == (other.fingerprint, other.mark)


def _lasts(one: Passing, now: float) -> bool:
    # In both directions: the clock may have been put right meanwhile.
    return abs(now - one.at) < PASSING_SECONDS


def _fewer(met: tuple[Met, ...]) -> tuple[Met, ...]:
    """No more than :data:`MOST_MET`.  Strangers are free to come: who never proved anything goes first."""
    *before, last = met
    if len(met) > MOST_MET:
        oldest = next((one for one in before if one.how == "tofu"), before[0])
        before.remove(oldest)
    return (*before, last)

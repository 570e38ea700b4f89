"""The table of attacks: what each one does, in a sentence, and where it is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

Told = dict[str, object]
"""What an attack did and what it got: a number or a word for each of a few words."""
Attack = Callable[[argparse.Namespace], Told]


@dataclass(frozen=True)
class Mode:
    """``seconds`` and ``count``: what is taken where the command line says nothing else."""

    does: str
    module: str
    seconds: float = 10.0
    count: int = 0

    def load(self, name: str) -> Attack:
        """The function; its module is imported only now."""
        attack: Attack = getattr(import_module(f"tests.hostile.{self.module}"), name.replace("-", "_"))
        return attack


BROKER = {
    "swap-keys": Mode("names its own key in place of each member's", "brokers", 30),
    "swap-endpoints": Mode("names its own endpoint in place of each member's, and listens there", "brokers", 30),
    "swap-both": Mode(
        "puts a peer of its own on either side between two members, and passes texts on", "brokers", 30
    ),
    "replay": Mode("says introductions and letters again and again, to either member", "brokers", 30, 200),
    "change-letters": Mode("changes a bit in every letter", "brokers", 30),
    "reflect-letters": Mode("brings every letter back to who wrote it, in the other one's name", "brokers", 30),
    "withhold-letters": Mode("brings no letters", "brokers", 30),
    "join": Mode("registers in the room itself, over several keys, and guesses at the secret", "brokers", 30, 3),
    "forbidden": Mode("names members at addresses and ports that nobody may dial", "liars", 10),
    "victims": Mode("names hundreds of members at one third address, and baits birthdays", "liars", 30, 600),
    "garbage": Mode("says protocol lines with something wrong in them", "liars", 10, 20_000),
}
PEER = {
    "wrong-secret": Mode("tries wrong secrets, each with a new key, connection and address", "strangers", 30, 13),
    "claim-name": Mode("calls itself as somebody whom the others know", "members", 6),
    "impostor": Mode("registers with the key and the instance of another member", "strangers", 10),
    "garbage": Mode("says lines that are no protocol, also to a direct port", "noise", 120, 100_000),
    "raw": Mode("sends bytes of other protocols, and of none, to the broker and to a direct port", "noise", 60),
    "slow": Mode("holds connections that say a byte now and then", "crowds", 15, 2_000),
    "deaf": Mode("registers, asks for much, and never reads", "crowds", 15, 500),
    "scanner": Mode("looks for an answer at a direct port without knowing anything", "noise", 5.5),
    "burn-codes": Mode("asks for numbers of codes, and guesses at those of others", "strangers", 10, 200),
    "flood": Mode("as an authenticated member, breaks each rule of the direct protocol", "members", 120),
    "reflect": Mode("as a member, names forbidden addresses and a third party's as its own", "strangers", 10, 8),
}
MODES = {"broker": BROKER, "peer": PEER}


def shown(side: str, name: str, told: Told) -> str:
    """The line that an attack prints in the end."""
    return f"{side} {name}: " + ", ".join(f"{what} {value}" for what, value in told.items())


def table() -> str:
    """All of it, for people."""
    lines = []
    for side, modes in MODES.items():
        lines += [f"{side} MODE:", *(f"  {name:<17} {mode.does}" for name, mode in modes.items())]
    return "\n".join(lines)

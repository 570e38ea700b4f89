"""What a NAT does, as settings: the words are those of RFC 4787 (UDP), RFC 5382 (TCP) and RFC 7857."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

Dependence = Literal["endpoint-independent", "address-dependent", "address-and-port-dependent"]
Stray = Literal["silent", "reset", "icmp"]

EI: Final[Dependence] = "endpoint-independent"
AD: Final[Dependence] = "address-dependent"
APD: Final[Dependence] = "address-and-port-dependent"


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """One NAT. Defaults: what RFC 5382 asks of one, with the strictest filtering that it allows.

    ``mapping`` (RFC 4787 4.1): on what of the destination the public endpoint depends.
    ``filtering`` (RFC 4787 5): who may send to it: anyone, contacted addresses, contacted endpoints.
    ``contacts``: contacted through this ``mapping``, as a NAT that looks up whole connections has it, or through
    any of the same private ``endpoint``, which is how RFC 4787 puts it. The same where the mapping is one.
    ``allocation`` (RFC 4787 4.2): which public port a new mapping gets. ``preserved``: that of the host, where
    it is taken the next free one; ``sequential``: ``step`` after the one before; ``random``.
    ``ports``: first and last one that it hands out; where none is left, new connections are dropped.
    ``pool``, ``pooling`` (RFC 4787 REQ-2): how many public addresses there are, and whether a host keeps its
    own one (``paired``) or each mapping gets the next (``arbitrary``).
    ``stray`` (RFC 5382 REQ-4): what an unsolicited SYN gets, at once. RFC 5382 wants silence for 6 s.
    ``hairpin`` (RFC 4787 6, RFC 5382 REQ-8): ``none``: what a host sends to a public address of its NAT is
    unsolicited; ``external``: it arrives with the sender's public source; ``internal``: with its private one.
    ``crossing`` (RFC 5382 REQ-2): a SYN from outside where the host's own SYN has passed and no answer yet;
    ``dropped`` and ``refused`` (with RST) are violations.
    ``reset_forgets``: an incoming RST ends a half-open connection; otherwise its timeout does (RFC 7857 2.2).
    ``syn_timeout``, ``idle_timeout`` (RFC 5382 REQ-5): seconds for connections that are half-open or closing,
    and for established ones.
    """

    mapping: Dependence = EI
    filtering: Dependence = APD
    contacts: Literal["mapping", "endpoint"] = "mapping"
    allocation: Literal["preserved", "sequential", "random"] = "preserved"
    step: int = 1
    ports: tuple[int, int] = (1024, 65535)
    pool: int = 1
    pooling: Literal["paired", "arbitrary"] = "paired"
    stray: Stray = "silent"
    hairpin: Literal["none", "external", "internal"] = "none"
    crossing: Literal["allowed", "dropped", "refused"] = "allowed"
    reset_forgets: bool = False
    syn_timeout: float = 240.0
    idle_timeout: float = 7440.0

    def __post_init__(self) -> None:
        first, last = self.ports
        if not 1 <= first <= last <= 65535:
            raise ValueError(f"no such ports: {first} to {last}")
        if self.step < 1 or self.pool < 1:
            raise ValueError("a step and a pool are at least 1")

    def as_message(self) -> dict[str, Any]:
        """For the channel to the core."""
        return asdict(self)

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Behaviour:
        """The inverse; JSON has made a list of the tuple."""
        return cls(**{**message, "ports": tuple(message["ports"])})

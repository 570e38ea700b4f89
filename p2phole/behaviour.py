"""How a NAT behaves, in the words of RFC 4787 and RFC 5382.  Pure."""

from __future__ import annotations

from dataclasses import dataclass

INDEPENDENT = "endpoint-independent"
ADDRESS = "address-dependent"
PORT = "address-and-port-dependent"

MAPPINGS = FILTERINGS = ("none", INDEPENDENT, ADDRESS, PORT, "unknown")
ALLOCATIONS = ("preserved", "sequential", "random", "unknown")
ANSWERS = ("silent", "reset", "icmp", "unknown")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What is known of the NAT before one peer; each is ``unknown`` rather than guessed.

    ``mapping`` (RFC 4787 4.1) and ``filtering`` (5): of which remote endpoints they depend; ``none``: there
    is no NAT, no filter.  ``allocation`` (4.2.1): the outside ports of new mappings.  ``unsolicited``
    (RFC 5382 4.3): what a stray SYN gets.
    """

    mapping: str = "unknown"
    filtering: str = "unknown"
    allocation: str = "unknown"
    unsolicited: str = "unknown"

    @property
    def is_hard(self) -> bool:
        """Whether what one remote endpoint sees says nothing of what another one will see."""
        return self.mapping in (ADDRESS, PORT)

    @property
    def lets_in(self) -> bool:
        """Whether somebody from an address that was spoken to is let in from any port, or anybody is."""
        return self.filtering in ("none", INDEPENDENT, ADDRESS)


UNKNOWN = Behaviour()

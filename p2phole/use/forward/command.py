"""``p2phole forward``: reach what listens on the other side, and let it reach what is allowed here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.python.usage import UsageError

from p2phole.options import Given, coerced
from p2phole.peer.use import Use
from p2phole.use import options, running
from p2phole.use.forward.options import ForwardOptions
from p2phole.use.forward.specs import Plan, Target, target


class Options(ForwardOptions, options.Options):
    """As ssh has them; ``through``: what standard input and output are joined with."""

    longdesc = (
        "Forwards connections as ssh does: -L from here to there, -R from there to here, -W one of standard input "
        "and output. ADDR is where to listen (default: loopback; * is everywhere), PORT 0 is any; in place of "
        "HOST:PORT and of [ADDR:]PORT a path is a Unix socket. What the other side may reach is what is allowed "
        "here, letter by letter, and nothing by default; a port may be *."
    )
    opt_L = ForwardOptions.opt_forward
    opt_R = ForwardOptions.opt_remote_forward
    through: Target | None = None

    def opt_W(self, text: str) -> None:
        """HOST:PORT there to join with standard input and output"""
        self.through = coerced(Given(text, "-W", 0), target)

    def settle(self) -> None:
        super().settle()
        if self.through is None:
            return
        for key in ("forward", "remote-forward"):
            if any(each.rank == 0 for each in self.every(key)):
                raise UsageError(f"-W and --{key} exclude each other: start one for each")
        if self.settings.events == "-":
            raise UsageError("--events: with -W standard output is for what the other side sends: name a file")
        if self.asks:
            raise UsageError("-W: standard input is for the other side: give the CODE that you were told")
        self.plan = Plan(allow=self.plan.allow, allow_listen=self.plan.allow_listen)


def run(given: Options) -> int:
    """What ``p2phole forward`` runs, to its exit status."""
    # What ssh runs as its ProxyCommand writes on ssh's terminal.
    return running.run("forward", given, lambda reactor: _uses(given, reactor), quiet=given.through is not None)


def _uses(given: Options, reactor: Any) -> Sequence[Use]:
    from p2phole.use.forward.forwarding import Forwarding

    settings = given.settings
    uses: list[Use] = [Forwarding(reactor, given.plan)]
    if given.through is not None:
        from p2phole.use.forward.through import Through

        uses.append(Through(reactor, given.through, alone=given.by_code or settings.to is not None))
    elif given.by_code:
        uses.append(running.UntilTheyLeave())
    return uses

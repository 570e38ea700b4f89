"""The options for what is forwarded and allowed, the same for the service and for people."""

from __future__ import annotations

from p2phole.options import ConfigurableOptions, coerced
from p2phole.use.forward.specs import Plan, allowed, allowed_to_listen, forward


class ForwardOptions(ConfigurableOptions):
    """For classes that have other options, too; checked, they are in :attr:`plan`."""

    plan: Plan

    def opt_forward(self, text: str) -> None:
        """[ADDR:]PORT:HOST:PORT, to there; repeatable"""
        self.collect("forward", text)

    def opt_remote_forward(self, text: str) -> None:
        """[ADDR:]PORT:HOST:PORT, from there; repeatable"""
        self.collect("remote-forward", text)

    def opt_allow(self, text: str) -> None:
        """HOST:PORT that the others may reach; repeatable"""
        self.collect("allow", text)

    def opt_allow_listen(self, text: str) -> None:
        """[ADDR:]PORT to listen on for others; repeatable"""
        self.collect("allow-listen", text)

    def settle(self) -> None:
        super().settle()
        self.plan = Plan(
            forwards=tuple(coerced(each, forward) for each in self.every("forward")),
            remote_forwards=tuple(coerced(each, forward) for each in self.every("remote-forward")),
            allow=tuple(coerced(each, allowed) for each in self.every("allow")),
            allow_listen=tuple(coerced(each, allowed_to_listen) for each in self.every("allow-listen")),
        )

"""``twistd p2pbroker``: its options, and its service."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.python.usage import UsageError

from p2phole import launch
from p2phole.broker.settings import DEFAULT_PORT, BrokerSettings, LimitSettings
from p2phole.coercion import (
    HIGHEST_PORT,
    address_literal,
    broker_address,
    limit,
    port,
    port_or_zero,
    server_endpoint,
)
from p2phole.options import ConfigurableOptions, coerced

_DEFAULTS = LimitSettings()
LIMITS: tuple[tuple[str, int, str], ...] = (
    ("max-connections", _DEFAULTS.max_connections, "connections in all"),
    ("max-per-address", _DEFAULTS.max_per_address, "connections from one address"),
    ("max-room-members", _DEFAULTS.max_room_members, "members in one room"),
    ("registration-rate", _DEFAULTS.registration_rate, "a minute, by address and key"),
    ("introduction-rate", _DEFAULTS.introduction_rate, "a minute, by address and key"),
    ("invitation-rate", _DEFAULTS.invitation_rate, "a minute, by address"),
    ("line-rate", _DEFAULTS.line_rate, "lines a second on a connection"),
    ("byte-rate", _DEFAULTS.byte_rate, "bytes a second on a connection"),
)
"""Options with their defaults; each is the field of :class:`LimitSettings` of that name."""


class Options(ConfigurableOptions):
    """What a broker can be told; checked, it is in :attr:`settings`."""

    section = "p2pbroker"
    longdesc = "Introduces peers to each other, and never sees what they say to each other."
    optParameters: ClassVar[list[list[Any]]] = [
        ["port", None, None, f"TCP port, IPv4 and IPv6 (default: {DEFAULT_PORT})"],
        ["probe-port", None, None, "second port, shows their NAT (default: PORT+1)"],
        ["probe-address", None, None, "second address of this machine for the same"],
        *([name, None, None, f"{text} (default: {default})"] for name, default, text in LIMITS),
    ]
    optFlags: ClassVar[list[list[Any]]] = [
        ["log-addresses", None, "log whose connections are closed, and why"],
    ]
    settings: BrokerSettings

    def opt_listen(self, endpoint: str) -> None:
        """endpoint instead of --port, repeatable"""
        self.collect("listen", endpoint)

    def opt_public_name(self, name: str) -> None:
        """HOST[:PORT] as peers give to --broker, repeatable"""
        self.collect("public-name", name)

    def settle(self) -> None:
        listen, number = self.every("listen"), self.given("port")
        if listen and number:
            # The one that was given nearer replaces the other: a file's port does not forbid --listen.
            if listen[0].rank == number.rank:
                raise UsageError(f"{listen[0].where} and {number.where} exclude each other: give one of them")
            if listen[0].rank < number.rank:
                number = None
            else:
                listen = []
        main = coerced(number, port) if number else DEFAULT_PORT
        # Behind an endpoint there may be no port of this machine at all, and nobody said which ones are free.
        probe = self.value("probe-port", port_or_zero, 0 if listen or main == HIGHEST_PORT else main + 1)
        if probe == main and not listen:
            raise UsageError(f"--probe-port {probe} is --port too: give another one, or 0 for none")
        self.settings = BrokerSettings(
            port=main,
            listen=tuple(coerced(endpoint, server_endpoint) for endpoint in listen),
            probe_port=probe,
            probe_address=self.value("probe-address", address_literal, None),
            limits=LimitSettings(
                **{name.replace("-", "_"): self.value(name, limit, default) for name, default, _text in LIMITS}
            ),
            log_addresses=self.flag("log-addresses"),
            public_names=tuple(str(coerced(name, broker_address)) for name in self.every("public-name")),
        )


def makeService(options: Options) -> IService:
    """What twistd runs."""
    from twisted.internet import reactor

    return launch.under_twistd(reactor, partial(_build, reactor, options.settings))


def run(options: Options) -> int:
    """What ``p2phole broker`` runs, to its exit status."""
    from twisted.internet import reactor

    return launch.run(reactor, partial(_build, reactor, options.settings))


def _build(reactor: Any, settings: BrokerSettings, fail: launch.Fail) -> IService:
    # Imported when it is wanted: --help is quick without.
    from p2phole.broker.service import make_broker

    return make_broker(reactor, settings, fail)

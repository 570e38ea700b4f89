"""``twistd p2pbroker``: its options, and its service."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from twisted.application.service import IService
from twisted.python.usage import UsageError

from p2phole import launch
from p2phole.broker.settings import DEFAULT_PORT, BrokerSettings
from p2phole.coercion import HIGHEST_PORT, address_literal, broker_address, port, port_or_zero, server_endpoint
from p2phole.options import ConfigurableOptions, coerced


class Options(ConfigurableOptions):
    """What a broker can be told; checked, it is in :attr:`settings`."""

    section = "p2pbroker"
    longdesc = "Introduces peers to each other, and never sees what they say to each other."
    optParameters: ClassVar[list[list[Any]]] = [
        ["port", None, None, f"TCP port, IPv4 and IPv6 (default: {DEFAULT_PORT})"],
        ["probe-port", None, None, "second port, shows peers their NAT (default: PORT+1)"],
        ["probe-address", None, None, "second address of this machine for the same"],
    ]
    settings: BrokerSettings

    def opt_listen(self, endpoint: str) -> None:
        """endpoint instead of --port, repeatable; no probe port"""
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

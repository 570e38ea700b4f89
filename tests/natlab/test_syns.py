"""What a peer sends while it meets another one, by what leaves its host: how many SYNs, and to whom never."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network

import pytest
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import IPAddress
from tests.natlab.scenario import require_laboratory
from tests.natlab.trials import Result, trial

pytestmark = pytest.mark.natlab

MOST = 12
"""SYNs of one side to one endpoint of the other."""

PAIRS = (
    ("kernel-masq-silent", "kernel-masq-silent", "apart"),
    ("kernel-masq-reset", "kernel-masq-reset", "apart"),
    ("kernel-masq-silent", "kernel-masq-reset", "unequal"),
    ("kernel-masq-reset", "kernel-masq-reset", "unequal"),
    ("kernel-masq-reset", "kernel-masq-reset", "far"),
    ("kernel-masq-reset", "kernel-masq-reset", "neighbours"),
    ("eim-apdf-reset", "eim-apdf-icmp", "apart"),
    ("open", "eim-adf-reset", "apart"),
    ("firewall4-reject", "eim-eif", "apart"),
    ("firewall6-reject", "firewall6-drop", "apart"),
    ("kernel-masq-reset", "kernel-masq-silent", "decoy"),
    ("eim-apdf-reset", "eim-apdf-silent", "same-private-address"),
)
"""None of them needs a prediction."""

# The contract's words: RFC 1918, 6598, 3927, 4193, 4291 2.5.6; loopback, multicast, unspecified, broadcast.
FORBIDDEN = [
    ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16"),
        *("127.0.0.0/8", "224.0.0.0/4", "0.0.0.0/8", "255.255.255.255/32"),
        *("fc00::/7", "fe80::/10", "::1/128", "::/128", "ff00::/8"),
    )
]


def forbidden(ip: IPAddress) -> bool:
    """Whether nobody at another outside address may dial it."""
    return any(ip.version == network.version and ip in network for network in FORBIDDEN)


class SynTests(SynchronousTestCase):
    def setUp(self) -> None:
        require_laboratory()

    def check(self, result: Result) -> None:
        self.assertTrue(result.direct and any(result.syns), result)
        for own, syns in zip(result.own, result.syns, strict=True):
            for endpoint, count in syns.items():
                self.assertLessEqual(count, MOST, endpoint)
                self.assertFalse(forbidden(endpoint.ip), endpoint)
                self.assertNotIn(endpoint.ip, [ip_address(address) for address in own])
                self.assertGreaterEqual(endpoint.port, 1024)

    def test_few_and_to_nobody_else(self) -> None:
        """Twelve pairs, two laboratories at a time."""
        with ThreadPoolExecutor(2) as pool:
            results = pool.map(lambda pair: trial(pair[0], pair[1], pair[2], seed=1), PAIRS)
            for pair, result in zip(PAIRS, results, strict=True):
                with self.subTest(pair=pair):
                    self.check(result)

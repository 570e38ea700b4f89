"""The service of a peer, from its start to its end."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer.service import PeerService
from p2phole.peer.settings import BrokerAddress, PeerSettings
from tests.doubles import FakePeople
from tests.secure.parties import LEADER
from tests.system.world import BROKER, World, interfaces_of


class StopTests(SynchronousTestCase):
    def test_before_it_was_started(self) -> None:
        host = World().site("alice")
        service = PeerService(
            host,
            PeerSettings(broker=BrokerAddress(BROKER, 9000), name="alice", key_file=Path("unused"), port=4000),
            self.fail,
            [],
            interfaces=lambda: interfaces_of(host),
            credentials=LEADER,
            people=FakePeople(),
        )
        for _ in range(2):  # the port is free again
            service.privilegedStartService()
            stopped = service.stopService()
            host.network.advance(1)
            self.assertIsNone(self.successResultOf(stopped))
            self.assertEqual(list(host.getDelayedCalls()), [])

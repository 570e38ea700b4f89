"""The service of a peer, from its start to its end."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from twisted.trial.unittest import SynchronousTestCase

from p2phole.peer.service import MOST_HURRYING, PeerService
from p2phole.peer.settings import BrokerAddress, PeerSettings
from tests.doubles import FakePeople
from tests.secure.parties import LEADER
from tests.support.network import Host
from tests.system.world import BROKER, World, interfaces_of


class ServiceTests(SynchronousTestCase):
    def service(self, host: Host) -> PeerService:
        return PeerService(
            host,
            PeerSettings(broker=BrokerAddress(BROKER, 9000), name="alice", key_file=Path("unused"), port=4000),
            self.fail,
            [],
            interfaces=lambda: interfaces_of(host),
            credentials=LEADER,
            people=FakePeople(),
        )

    def test_few_waiting_sessions_are_in_a_hurry_and_many_are_not(self) -> None:
        service = self.service(World().site("alice"))
        for waiting, may in ((0, True), (MOST_HURRYING, True), (MOST_HURRYING + 1, False)):
            members = [SimpleNamespace(conversation=SimpleNamespace(is_awaited=n < waiting)) for n in range(100)]
            self.patch(service, "_members", members)
            self.assertIs(service.may_hurry(), may)

    def test_stopped_before_it_was_started(self) -> None:
        host = World().site("alice")
        service = self.service(host)
        for _ in range(2):  # the port is free again
            service.privilegedStartService()
            stopped = service.stopService()
            host.network.advance(1)
            self.assertIsNone(self.successResultOf(stopped))
            self.assertEqual(list(host.getDelayedCalls()), [])

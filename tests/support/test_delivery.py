"""Whatever is done to a connection on the memory network, what arrives is a prefix of what was written."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.support.recorder import HalfCloser
from tests.support.test_memory_tcp import Pair

SIDES = st.sampled_from(["alice", "bob"])
WRITES = st.tuples(SIDES, st.just("write"), st.integers(1, 200_000))
PAUSES = st.tuples(st.just(""), st.just("wait"), st.sampled_from([0.0, 0.005, 0.02, 0.1]))
CUTS = st.tuples(st.just(""), st.just("cut"), st.floats(0.01, 3))
ENDS = st.tuples(SIDES, st.sampled_from(["close", "abort", "half"]), st.just(0))


class DeliveryTests(SynchronousTestCase):
    """Whatever is done in whatever order, each side gets a prefix of what the other wrote."""

    @settings(max_examples=150, deadline=None, database=None)
    @given(
        actions=st.lists(st.one_of(WRITES, WRITES, PAUSES, ENDS, CUTS), max_size=12),
        chop=st.booleans(),
        mss=st.sampled_from([536, 1460, 16_384]),
        seed=st.integers(0, 1000),
    )
    def test_prefix(self, actions: list[tuple[str, str, float]], chop: bool, mss: int, seed: int) -> None:
        pair = Pair(HalfCloser, chop=chop, mss=mss, seed=seed)
        dialled, accepted = pair.connect()
        protocols = {"alice": dialled, "bob": accepted}
        written = {"alice": bytearray(), "bob": bytearray()}
        ended: dict[str, str] = {}
        for side, what, amount in actions:
            protocol = protocols.get(side)
            if what == "wait":
                pair.network.advance(amount)
            elif what == "cut":
                pair.network.cut(pair.alice, pair.bob)
                pair.network.advance(amount)
                pair.network.restore(pair.alice, pair.bob)
            elif protocol is not None and protocol.lost is None and ended.get(side) not in ("close", "abort"):
                if what == "write" and side not in ended:
                    start = len(written[side])
                    data = bytes((start + offset) % 251 for offset in range(int(amount)))
                    written[side] += data
                    protocol.transport.write(data)
                elif what == "close":
                    protocol.transport.loseConnection()
                elif what == "abort":
                    protocol.transport.abortConnection()
                elif what == "half" and side not in ended:
                    protocol.transport.loseWriteConnection()
                if what != "write":
                    ended[side] = what
        pair.network.advance(300)
        for side, other in (("alice", "bob"), ("bob", "alice")):
            received = protocols[other].received
            self.assertEqual(received, bytes(written[side][: len(received)]))
            # A side that closes does not read on, and resets who still writes to it, as TCP has it.
            if not {"close", "abort"} & set(ended.values()):
                self.assertEqual(received, bytes(written[side]))
            elif ended == {side: "close"} and not written[other]:
                self.assertEqual(received, bytes(written[side]))
                self.assertTrue(protocols[other].read_ended or protocols[other].lost)

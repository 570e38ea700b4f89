"""Why a start came to nothing."""

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from p2phole.punch.verdict import REASONS, Report, reason
from p2phole.secure.channel import DROP_REASONS

OUTCOMES = ("silent", "refused", "unreachable", "elsewhere", "connected", "lost", "spent")


class ReasonTests(SynchronousTestCase):
    def test_what_tells_most(self) -> None:
        for outcomes, drops, word in (
            ((), (), "nothing-to-dial"),
            (("silent",), (), "silent"),
            (("silent", "refused"), (), "refused"),
            (("silent", "unreachable"), (), "silent"),
            (("unreachable", "unreachable"), (), "unreachable"),
            (("spent",), (), "refused"),
            (("connected",), ("slow",), "lost"),
            (("lost",), ("stranger",), "lost"),
            (("elsewhere",), (), "lost"),
            (("unreachable", "lost"), ("stranger",), "lost"),
            (("silent",), ("unproven",), "unproven"),
            ((), ("unproven",), "unproven"),
        ):
            report = Report({str(at): one for at, one in enumerate(outcomes)}, dict.fromkeys(drops, 1))
            self.assertEqual(reason(report), word, (outcomes, drops))

    def test_every_report_has_a_reason(self) -> None:
        for outcomes in (*product(OUTCOMES), *product(OUTCOMES, OUTCOMES), ()):
            for drop in (None, *DROP_REASONS):
                report = Report({str(at): one for at, one in enumerate(outcomes)}, {drop: 1} if drop else {})
                self.assertIn(reason(report), REASONS)

    def test_each_says_what_to_change(self) -> None:
        for word, sentence in REASONS.items():
            self.assertRegex(word, "^[a-z-]+$")
            self.assertRegex(sentence, r"^[A-Z].*: .*\.$")

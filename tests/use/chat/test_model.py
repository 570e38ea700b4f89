"""Who is here, what was said, and how far it has come."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.chat import model as chat_model
from p2phole.use.chat.model import Kind, Mark, Transcript, Way

NEAR = Way("lan", "192.168.1.2:4000", 0.001)
FAR = Way("direct", "203.0.113.2:4000", 0.05)


class Scene:
    """A transcript, and people in it."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.changes = 0
        self.it = Transcript(lambda: self.at, self.changed)

    def changed(self) -> None:
        self.changes += 1

    def comes(self, key: str, fingerprint: str | None = None) -> None:
        self.it.came(key, key, fingerprint or key * 8, "tofu")
        self.it.here(key, NEAR)

    def marks(self) -> list[Mark]:
        return [entry.mark for entry in self.it.entries if entry.kind is Kind.SAID]


class TranscriptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.scene = Scene()
        self.it = self.scene.it

    def test_sent_and_arrived(self) -> None:
        self.scene.comes("bob")
        self.assertEqual(self.it.say("hello"), ["bob"])
        self.assertEqual(self.scene.marks(), [Mark.SENT])
        self.it.arrived("bob")
        self.assertEqual(self.scene.marks(), [Mark.ARRIVED])
        self.it.arrived("bob")  # of what nobody has said nothing is told

    def test_what_is_said_to_somebody_who_is_away_waits(self) -> None:
        self.scene.comes("bob")
        self.it.say("one")
        self.it.away("bob")
        self.assertEqual(self.it.say("two\x1b"), [])
        self.assertEqual(self.scene.marks(), [Mark.QUEUED, Mark.QUEUED])
        self.it.here("bob", FAR)
        self.assertEqual(self.it.release("bob"), ["two\x1b"])  # as it was typed
        self.assertEqual((self.scene.marks(), self.it.release("bob")), ([Mark.SENT, Mark.SENT], []))
        self.it.arrived("bob")
        self.assertEqual(self.scene.marks(), [Mark.ARRIVED, Mark.SENT])

    def test_who_was_started_again_gets_what_was_not_sent(self) -> None:
        """And nothing twice: of what was sent nobody knows whether it arrived."""
        self.scene.comes("bob")
        self.it.say("sent")
        self.it.away("bob")
        self.it.say("held")
        self.scene.comes("bob anew", fingerprint="bob" * 8)
        self.assertEqual(self.it.release("bob anew"), ["held"])
        self.assertEqual(self.it.say("next"), ["bob anew"])
        self.assertEqual(self.scene.marks(), [Mark.QUEUED, Mark.SENT, Mark.SENT])
        for _ in range(2):
            self.it.arrived("bob anew")
        self.it.left("bob")
        self.assertEqual(self.scene.marks(), [Mark.LOST, Mark.ARRIVED, Mark.ARRIVED])

    def test_who_was_started_again_before_anybody_noticed(self) -> None:
        self.scene.comes("bob")
        self.scene.comes("bob anew", fingerprint="bob" * 8)
        self.assertEqual(self.it.say("for both"), ["bob", "bob anew"])
        self.it.away("bob")
        self.assertEqual(self.it.say("for one"), ["bob anew"])
        self.it.here("bob", NEAR)  # two at a time, after all
        self.assertEqual(self.it.say("for both"), ["bob", "bob anew"])

    def test_who_is_behind_counts(self) -> None:
        for name in ("bob", "carol"):
            self.scene.comes(name)
        self.assertEqual(self.it.say("all"), ["bob", "carol"])
        self.it.arrived("carol")
        self.assertEqual(self.scene.marks(), [Mark.SENT])
        self.it.away("bob")
        self.assertEqual(self.scene.marks(), [Mark.QUEUED])
        self.it.left("bob")
        self.assertEqual(self.scene.marks(), [Mark.LOST])

    def test_before_anybody_has_come(self) -> None:
        self.assertEqual((self.it.say("one"), self.it.say("two")), ([], []))
        self.assertEqual((self.scene.marks(), self.it.unsaid), ([Mark.QUEUED] * 2, 2))
        self.it.came("bob", "bob", "f", "tofu")
        self.it.greet("bob", "hello")
        self.assertEqual((self.scene.marks(), self.it.unsaid), ([Mark.QUEUED] * 3, 0))
        self.it.here("bob", NEAR)
        self.assertEqual(self.it.release("bob"), ["one", "two", "hello"])
        self.it.arrived("bob")
        self.assertEqual(self.scene.marks(), [Mark.ARRIVED, Mark.SENT, Mark.SENT])

    def test_too_much_that_waits(self) -> None:
        self.patch(chat_model, "MOST_HELD", 2)
        for full in (False, False, True):
            self.assertEqual(self.it.is_full, full)
            self.it.say("x")
        self.it.came("bob", "bob", "f", "tofu")
        self.assertTrue(self.it.is_full)
        self.it.here("bob", NEAR)
        self.it.release("bob")
        self.assertFalse(self.it.is_full)

    def test_to_one_only(self) -> None:
        for name in ("bob", "carol"):
            self.scene.comes(name)
        self.it.to = self.it.named("carol")
        self.assertEqual(self.it.say("secret"), ["carol"])
        self.assertEqual(self.it.entries[-1].who, "carol")
        self.it.left("carol")
        with self.assertRaises(LookupError) as caught:
            self.it.say("secret, too")
        self.assertEqual(caught.exception.args, ("carol",))
        self.assertEqual(len(self.it.entries), 1)
        self.scene.comes("carol again", fingerprint="carol" * 8)
        self.assertEqual(self.it.say("still"), ["carol again"])
        self.it.to = None
        self.assertEqual(self.it.say("everybody"), ["bob", "carol again"])

    def test_names(self) -> None:
        for name in ("bob", "Carol", "carol", "Dave"):
            self.scene.comes(name)
        for typed, found in (("bob", "bob"), ("carol", "carol"), ("CAROL", None), ("dave", "Dave"), ("d", None)):
            person = self.it.named(typed)
            self.assertEqual(person and person.name, found)
        self.it.renamed("bob", "bob#1234")
        self.assertIsNone(self.it.named("bob"))

    def test_since_when(self) -> None:
        self.scene.comes("bob")
        for at, step, since in (
            (1001.0, lambda: self.it.here("bob", FAR), 1000.0),
            (1002.0, lambda: self.it.away("bob"), 1002.0),
            (1003.0, lambda: self.it.away("bob"), 1002.0),
            (1004.0, lambda: self.it.here("bob", NEAR), 1004.0),
        ):
            self.scene.at = at
            step()
            self.assertEqual(self.it.person("bob").since, since)

    def test_drawn_only_where_something_has_changed(self) -> None:
        self.scene.comes("bob")
        before = self.scene.changes
        self.it.here("bob", NEAR)
        self.assertEqual(self.scene.changes, before)
        self.it.here("bob", FAR)
        self.assertEqual(self.scene.changes, before + 1)

    def test_all_that_comes_is_harmless(self) -> None:
        self.it.came("bob", "b\x07ob", "f", "tofu")
        self.it.heard("bob", "\x1b[2J\u202etxt\n")
        self.it.note("\x9b1m")
        self.it.warn("\x00")
        self.assertEqual(self.it.person("bob").name, r"b\x07ob")
        self.assertEqual(
            [(entry.who, entry.text) for entry in self.it.entries],
            [(r"b\x07ob", r"\x1b[2J\u202etxt\x0a"), ("", r"\x9b1m"), ("", r"\x00")],
        )

    def test_what_is_kept_is_bounded(self) -> None:
        self.patch(chat_model, "MOST_ENTRIES", 3)
        self.patch(chat_model, "MOST_CHARACTERS", 20)
        self.scene.comes("bob")
        self.it.say("0")
        for number in range(1, 5):
            self.it.heard("bob", str(number))
        self.assertEqual([entry.text for entry in self.it.entries], ["2", "3", "4"])
        self.it.heard("bob", "x" * 19)
        self.assertEqual([entry.text for entry in self.it.entries], ["4", "x" * 19])
        self.assertEqual((self.it.added, self.it.undelivered), (6, 1))
        self.it.arrived("bob")  # also what does not show any more
        self.assertEqual(self.it.undelivered, 0)

    @given(
        st.lists(
            st.tuples(st.sampled_from(["say", "here", "away", "arrived", "left", "came"]), st.sampled_from("ab"))
        )
    )
    def test_what_is_due_is_what_has_not_arrived(self, steps: list[tuple[str, str]]) -> None:
        """Against a model that counts."""
        it = Transcript(lambda: 0.0)
        due: dict[str, int] = {}
        here: set[str] = set()
        unsaid = 0
        for step, key in steps:
            if step == "say":
                self.assertEqual(it.say("x"), [each for each in due if each in here])
                unsaid += not due
                due = {each: count + 1 for each, count in due.items()}
            elif step == "came" and key not in due:
                it.came(key, key, key, "tofu")
                due[key], unsaid = unsaid, 0
            elif key not in due:
                continue
            elif step == "here":
                held = len(it.person(key).held)
                it.here(key, NEAR)
                here.add(key)
                self.assertEqual(len(it.release(key)), held)
            elif step == "away":
                it.away(key)
                here.discard(key)
            elif step == "arrived" and len(it.person(key).held) < due[key]:
                it.arrived(key)
                due[key] -= 1
            elif step == "left":
                it.left(key)
                here.discard(key)
                del due[key]
            self.assertEqual([len(person.due) for person in it.people], list(due.values()))
            self.assertEqual(it.unsaid, unsaid)
            for entry in it.entries:
                due_to_some = any(entry in person.due for person in it.people)
                self.assertEqual(entry.mark is Mark.ARRIVED, not (entry.unsaid or entry.lost or due_to_some))

"""A transcript as rows of a terminal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.text import harmless
from p2phole.use.chat import view as chat_view
from p2phole.use.chat.model import Mark, Transcript, Way
from p2phole.use.chat.view import Row, View, cut, rows_of, status, who, width_of, wrap

NEAR = Way("lan", "192.168.1.2:4000", 0.0004)
FAR = Way("direct", "203.0.113.2:4000", 0.0123)


def plain(row: Row) -> str:
    return "".join(text for _, text in row)


class RowsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(chat_view, "clock", lambda at: f"00:{at:02.0f}")
        self.it = Transcript(lambda: 7)
        self.it.came("bob", "bob", "b" * 64, "tofu")
        self.it.here("bob", FAR)
        self.view = View(self.it)

    def shown(self, width: int, height: int) -> list[str]:
        rows = self.view.rows(width, height)
        self.assertEqual(len(rows), height)
        return [plain(row) for row in rows]

    def test_every_kind(self) -> None:
        self.it.heard("bob", "hello")
        self.it.say("hi")
        self.it.note("note")
        self.it.warn("warning")
        self.assertEqual(
            self.shown(80, 5),
            ["", "00:07    bob: hello", "00:07 ✓  you: hi", "00:07 -- note", "00:07 !! warning"],
        )
        self.assertEqual(self.shown(40, 4), ["   bob: hello", "✓  you: hi", "-- note", "!! warning"])

    def test_marks(self) -> None:
        self.it.say("x")
        seen = []
        for step in (self.it.away, lambda key: self.it.here(key, FAR), self.it.arrived):
            step("bob")
            seen.append(self.shown(40, 1)[0])
        self.it.say("x")
        self.it.lost("bob")
        seen += self.shown(40, 1)
        self.assertEqual(seen, ["…  you: x", "✓  you: x", "✓✓ you: x", "✗  you: x"])
        self.assertEqual(set(chat_view.MARKS), set(Mark))

    def test_to_one_only(self) -> None:
        self.it.to = self.it.person("bob")
        self.it.say("x")
        self.assertEqual(self.shown(40, 1), ["✓  you to bob: x"])

    def test_long_lines_go_on_below(self) -> None:
        self.it.heard("bob", "one two three four")
        self.assertEqual(self.shown(16, 2), ["   bob: one two", "   three four"])

    def test_a_name_has_its_bounds(self) -> None:
        self.it.renamed("bob", "b" * 256)
        self.it.heard("bob", "x")
        self.assertEqual(self.shown(80, 1), ["00:07    " + "b" * 23 + "…: x"])
        self.assertLessEqual(max(map(width_of, self.shown(10, 4))), 10)

    def test_a_note_that_changes(self) -> None:
        note = self.it.note("10 %")
        self.assertEqual(self.shown(40, 1), ["-- 10 %"])
        self.it.change(note, "20 %\x1b")
        self.assertEqual(self.shown(40, 1), [r"-- 20 %\x1b"])

    def test_wide_characters(self) -> None:
        self.assertEqual(wrap("漢字漢字", 5, 5), ("漢字", "漢字"))
        self.assertEqual(wrap("漢字", 1, 2), ("", "漢", "字"))
        self.assertEqual(cut("漢字漢字", 5), "漢字…")

    def test_what_is_left_of_a_wider_row(self) -> None:
        self.assertEqual(wrap("0 abcd", 4, 2), ("0", "ab", "cd"))

    def test_a_heap_of_accents(self) -> None:
        [row] = wrap("a" + "\u0301" * 1000 + "b", 10, 10)
        self.assertEqual(row, "a" + "\u0301" * chat_view.MOST_ACCENTS + "b")

    @given(st.text(max_size=200).map(harmless), st.integers(2, 30), st.integers(2, 30))
    def test_wrapping_loses_nothing_but_spaces(self, text: str, first: int, rest: int) -> None:
        rows = wrap(text, first, rest)
        for row, room in zip(rows, [first] + [rest] * len(rows), strict=False):
            self.assertLessEqual(width_of(row), room)
        if not any(not width_of(character) for character in text):
            self.assertEqual("".join(rows).replace(" ", ""), text.replace(" ", ""))
            self.assertLessEqual(len(text) - sum(map(len, rows)), len(rows) - 1)

    @given(st.text(max_size=100), st.integers(1, 100))
    def test_no_row_is_too_wide(self, text: str, width: int) -> None:
        it = Transcript(lambda: 7)
        it.came("bob", text, "f", "tofu")
        it.heard("bob", text)
        it.say(text)
        for entry in it.entries:
            for row in rows_of(entry, width):
                self.assertLessEqual(width_of(plain(row)), max(width, 2))

    def test_scrolling(self) -> None:
        for number in range(10):
            self.it.heard("bob", str(number))
        self.assertEqual(self.shown(40, 3), [f"   bob: {number}" for number in (7, 8, 9)])
        self.assertFalse(self.view.unread)
        self.view.scroll(self.view.page)
        self.assertEqual(self.shown(40, 3), [f"   bob: {number}" for number in (5, 6, 7)])
        self.assertTrue(self.view.unread)
        self.it.heard("bob", "new")
        self.assertEqual(self.shown(40, 3), [f"   bob: {number}" for number in (5, 6, 7)])
        self.view.scroll(100)
        self.assertEqual(self.shown(40, 3), [f"   bob: {number}" for number in (0, 1, 2)])
        self.view.scroll(-1)
        self.assertEqual(self.shown(40, 3), [f"   bob: {number}" for number in (1, 2, 3)])
        self.view.scroll(-100)
        self.assertEqual(self.shown(40, 3), ["   bob: 8", "   bob: 9", "   bob: new"])
        self.view.scroll(2)
        self.shown(40, 3)
        self.view.to_end()
        self.assertEqual(self.shown(40, 2), ["   bob: 9", "   bob: new"])
        self.view.scroll(5)
        self.assertEqual(self.shown(40, 20)[-1], "   bob: new")  # all of it fits

    def test_what_is_read_stays_where_old_entries_go(self) -> None:
        self.patch(chat_view, "clock", lambda at: "")
        for number in range(5):
            self.it.heard("bob", str(number))
        self.view.scroll(2)
        self.shown(40, 2)
        for _ in range(3000):
            self.it.heard("bob", "more")
        self.assertEqual(self.shown(40, 2), ["   bob: more"] * 2)


class StatusTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.it = Transcript(lambda: 7)

    def status(self, width: int = 60, below: bool = False) -> str:
        line = status(self.it, "nobody here", below, width)
        self.assertEqual(width_of(line), width)
        return line.rstrip()

    def comes(self, name: str, way: Way | None, fingerprint: str | None = None) -> None:
        self.it.came(name, name, fingerprint or name, "tofu")
        if way is not None:
            self.it.here(name, way)

    def test_nobody(self) -> None:
        self.assertEqual(self.status(), " nobody here")
        self.it.say("x")
        self.assertEqual(self.status(), " nobody here · 1 waiting")

    def test_one(self) -> None:
        self.comes("bob", FAR)
        self.assertEqual(self.status(), " bob · direct · 12 ms")
        self.it.here("bob", Way("ipv6", "[2001:db8::1]:4000"))
        self.assertEqual(self.status(), " bob · ipv6")
        self.it.away("bob")
        self.assertEqual(self.status(), " bob · away")
        self.it.say("x")
        self.assertEqual(self.status(), " bob · away · 1 waiting")
        self.assertEqual(self.status(16, below=True), " bob · … ↓ more")

    def test_several(self) -> None:
        for name, way in (("bob", None), ("carol", NEAR), ("dave", FAR)):
            self.comes(name, way)
        self.assertEqual(self.status(), " carol · lan · <1 ms   dave · direct · 12 ms   bob · away")
        self.assertEqual(self.status(50), " carol · lan · <1 ms   dave · direct · 12 ms   +1")
        self.assertEqual(self.status(40), " carol · lan · <1 ms   +2")
        self.assertEqual(self.status(12), " carol · la…")

    def test_who_came_again_is_not_away_as_well(self) -> None:
        self.comes("old", FAR, "f")
        self.it.away("old")
        self.comes("new", NEAR, "f")
        self.assertEqual(self.status(), " new · lan · <1 ms")
        self.it.here("old", FAR)
        self.it.say("for both")
        self.it.away("old")
        self.assertEqual(self.status(), " new · lan · <1 ms   old · away · 1 waiting")

    def test_who(self) -> None:
        self.patch(chat_view, "clock", lambda at: "12:00")
        self.assertEqual(who(self.it), ["Nobody is here."])
        self.comes("bob", FAR)
        self.comes("carol", None)
        self.it.to = self.it.person("carol")
        self.it.say("x")
        self.assertEqual(
            who(self.it),
            [
                "bob: direct, 12 ms, 203.0.113.2:4000, named by the broker alone",
                "carol: away since 12:00, 1 waiting, named by the broker alone",
            ],
        )

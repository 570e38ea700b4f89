"""What the user of a chat types."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.chat.typed import COMMANDS, HELP, Command, Said, Unknown, completions, file_begun, read


class ReadTests(SynchronousTestCase):
    def test_lines(self) -> None:
        for line, meant in (
            ("hello", Said("hello")),
            ("", Said("")),
            (" /who", Said(" /who")),
            ("//etc", Said("/etc")),
            ("/who", Command("who")),
            ("/to  bob the builder ", Command("to", "bob the builder")),
            ("/to", Command("to")),
            ("/", Unknown("")),
            ("/etc/passwd x", Unknown("etc/passwd")),
        ):
            self.assertEqual(read(line), meant, line)

    def test_help_names_every_command(self) -> None:
        for name in COMMANDS:
            self.assertEqual(sum(line.startswith((f"/{name} ", f"/{name}:")) for line in HELP), 1, name)


class CompletionTests(SynchronousTestCase):
    NAMES = ("bob", "Bob the builder", "carol")

    def complete(self, before: str) -> list[str]:
        return [before[: len(before) - replaced] + text for replaced, text in completions(before, self.NAMES)]

    def test_commands(self) -> None:
        self.assertEqual(self.complete("/q"), ["/quit"])
        self.assertEqual(self.complete("/t"), ["/to ", "/take"])
        self.assertEqual(self.complete("/"), ["/who", "/to ", "/send ", "/take", "/refuse", "/quit", "/help"])
        self.assertEqual(self.complete("/x"), [])

    def test_files_behind_send(self) -> None:
        for before, path in (
            ("/send ", ""),
            ("/send a b", "a b"),
            ("/send", None),
            ("/to a", None),
            ("send a", None),
        ):
            self.assertEqual(file_begun(before), path)

    def test_names_behind_to(self) -> None:
        self.assertEqual(self.complete("/to "), ["/to bob", "/to Bob the builder", "/to carol"])
        self.assertEqual(self.complete("/to bob t"), ["/to Bob the builder"])
        self.assertEqual(self.complete("/who b"), [])

    def test_names_in_what_is_said(self) -> None:
        self.assertEqual(self.complete("c"), ["carol: "])
        self.assertEqual(self.complete("ask ca"), ["ask carol"])
        for before in ("", "ask ", "//c"):
            self.assertEqual(self.complete(before), [])

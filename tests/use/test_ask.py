"""Typing a code at a terminal."""

from __future__ import annotations

from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput
from twisted.trial.unittest import SynchronousTestCase

from p2phole.secure.codes import Code
from p2phole.use.ask import WordCompleter, ask_for_code


class AskTests(SynchronousTestCase):
    def ask(self, keys: str) -> Code:
        with create_pipe_input() as pipe:
            pipe.send_text(keys)
            return ask_for_code(input=pipe, output=DummyOutput())

    def test_typed(self) -> None:
        self.assertEqual(str(self.ask("7-velvet-ocean\r")), "7-velvet-ocean")

    def test_what_is_wrong_can_be_put_right(self) -> None:
        self.assertEqual(str(self.ask("7-velvet-ocea\rn\r")), "7-velvet-ocean")

    def test_given_up(self) -> None:
        for key in ("\x03", "\x04"):
            self.assertRaises(KeyboardInterrupt, self.ask, key)

    def test_words_are_completed(self) -> None:
        found = [each.text for each in WordCompleter().get_completions(Document("7-velv"), None)]  # type: ignore
        self.assertEqual(found, ["7-velvet"])

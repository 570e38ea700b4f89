"""Asks the user for a code, and helps with its words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.validation import ValidationError, Validator

from p2phole.secure.codes import Code, complete, parse


class WordCompleter(Completer):
    """Completes the last word of a code."""

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        for found in complete(text):
            yield Completion(found, start_position=-len(text))


class CodeValidator(Validator):
    """Says what is wrong with a code before it is sent anywhere: a wrong one can't be tried twice."""

    def validate(self, document: Document) -> None:
        try:
            parse(document.text)
        except ValueError as problem:
            raise ValidationError(len(document.text), str(problem)) from None


def ask_for_code(**terminal: Any) -> Code:
    """The code that the user types; ``terminal``: prompt_toolkit's input and output, in tests.

    Raises :class:`KeyboardInterrupt`, also for the end of the input.
    """
    session: PromptSession[str] = PromptSession(
        completer=WordCompleter(), validator=CodeValidator(), validate_while_typing=False, **terminal
    )
    try:
        return parse(session.prompt("Code: "))
    except EOFError:
        raise KeyboardInterrupt from None

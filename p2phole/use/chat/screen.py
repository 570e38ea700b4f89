"""The whole screen of a chat, by prompt_toolkit on the asyncio loop that is the reactor's: the conversation, a
status line, a line to type in."""

from __future__ import annotations

import asyncio
import signal
import termios
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any
from typing import Protocol as Interface

from prompt_toolkit.application import Application
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.completion import CompleteEvent, Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout import Float, FloatContainer, HSplit, Layout, UIContent, UIControl, Window
from prompt_toolkit.layout.controls import BufferControl, FormattedTextControl
from prompt_toolkit.layout.dimension import Dimension
from prompt_toolkit.layout.menus import CompletionsMenu
from prompt_toolkit.layout.processors import BeforeInput
from prompt_toolkit.styles import Style
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2phole.errors import LocalError
from p2phole.use.chat.typed import completions, file_begun
from p2phole.use.chat.view import MOST_NAME, Row, View, cut

# Bold, reverse, and of the colours those that are read well on a light ground and on a dark one.
STYLE = Style.from_dict(
    {
        "name": "bold ansicyan",
        "own": "bold",
        "arrived": "ansigreen",
        "warning": "bold ansired",
        "status": "reverse",
        "prompt": "bold",
    }
)
MOST_INPUT_ROWS = 4
FRAME_SECONDS = 0.02
"""Time between two drawings at the least, however much happens."""
ESCAPE_SECONDS = 0.05
"""How long the rest of a key's sequence may take behind its escape character."""

_log = Logger()


class ScreenFailed(LocalError):
    """The screen cannot be drawn ({why}): with TERM=dumb the chat does without one."""


class _Transcript(UIControl):
    """As many rows as there is room for."""

    def __init__(self, view: View) -> None:
        self._view = view

    def create_content(self, width: int, height: int) -> UIContent:
        rows: list[Row] = self._view.rows(width, height)

        def line(number: int) -> StyleAndTextTuples:
            return list(rows[number])

        return UIContent(get_line=line, line_count=len(rows), show_cursor=False)


class _Completer(Completer):
    def __init__(self, user: User) -> None:
        self._user = user
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        path = file_begun(document.text_before_cursor)
        if path is not None:
            yield from self._paths.get_completions(Document(path), complete_event)
            return
        for replaced, text in completions(document.text_before_cursor, self._user.names):
            yield Completion(text, start_position=-replaced)


class User(Interface):
    """Whom the screen tells what the user does, and asks what to show."""

    view: View

    @property
    def names(self) -> list[str]:
        """That can be completed."""

    @property
    def to(self) -> str:
        """To whom alone the user talks; empty: to everybody."""

    def typed(self, line: str) -> bool:
        """A line; whether it was taken: else it is to stay where it is."""

    def leave(self) -> None:
        """The user has had enough."""

    def status(self, width: int) -> str:
        """The status line, so wide."""


class Screen:
    """See above.  ``terminal``: prompt_toolkit's input and output, in tests."""

    def __init__(self, user: User, **terminal: Any) -> None:
        self.is_over = False
        """Whether the terminal is given back, or about to be."""
        self._user = user
        self._view = user.view
        self._failed: Callable[[LocalError], None] = lambda error: None
        self._ended: Deferred[None] | None = None
        self._buffer = Buffer(
            completer=_Completer(user),
            history=InMemoryHistory(),
            multiline=False,
            accept_handler=self._accepted,
        )
        self._app: Application[None] = Application(
            layout=self._layout(),
            key_bindings=self._keys(),
            style=STYLE,
            full_screen=True,
            min_redraw_interval=FRAME_SECONDS,
            **terminal,
        )
        self._app.ttimeoutlen = ESCAPE_SECONDS

    def start(self, failed: Callable[[LocalError], None]) -> None:
        """Take over the terminal; the loop is running.  ``failed``: it had to be given back, and why."""
        if self.is_over:
            return
        self._failed = failed
        self._ended = Deferred()
        self._task = asyncio.get_running_loop().create_task(self._run())

    def changed(self) -> None:
        """Something is to be drawn."""
        self._app.invalidate()

    def stop(self) -> Deferred[None]:
        """Give the terminal back; fires when that is done."""
        self.is_over = True
        done: Deferred[None] = Deferred()
        if self._ended is None:
            done.callback(None)
            return done
        self._ended.addCallback(done.callback)
        if self._app.is_running and not self._app.is_done:
            self._app.exit()
        return done

    async def _run(self) -> None:
        ended, error = self._ended, None
        assert ended is not None
        try:
            with self._loop_of_ours():
                await self._app.run_async(set_exception_handler=False, handle_sigint=False)
        except (EOFError, OSError, termios.error):
            _log.debug("The terminal is gone.")
            self._user.leave()
        except Exception as problem:
            _log.debug("The screen has failed.", log_failure=Failure())
            error = ScreenFailed(why=f"{type(problem).__name__}: {problem}")
            with suppress(OSError):
                self._app.renderer.reset()  # it is left as it was where the first drawing fails
        self.is_over, self._ended = True, None
        if error is not None:
            self._failed(error)
        ended.callback(None)

    @contextmanager
    def _loop_of_ours(self) -> Iterator[None]:
        from twisted.internet.process import reapAllProcesses  # imports the reactor

        loop = asyncio.get_running_loop()
        # A loop that handles any signal takes over what the reactor notices the end of its children by.
        loop.add_signal_handler(signal.SIGCHLD, reapAllProcesses)
        # A terminal that is closed: the others are to be told that this one has left.
        loop.add_signal_handler(signal.SIGHUP, self._user.leave)
        loop.set_exception_handler(self._broken)
        try:
            yield
        finally:
            loop.set_exception_handler(None)

    def _broken(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Something failed in a callback, as drawing does where the terminal has gone."""
        problem = context.get("exception")
        future = self._app.future
        if isinstance(problem, Exception) and future is not None and not future.done():
            future.set_exception(problem)
        else:
            _log.debug("In the loop: {what}", what=context.get("message"))

    # -- what it is made of

    def _layout(self) -> Layout:
        body = HSplit(
            [
                Window(_Transcript(self._view), height=Dimension(min=0, weight=1), always_hide_cursor=True),
                Window(FormattedTextControl(self._status_line), height=1, style="class:status"),
                Window(
                    BufferControl(self._buffer, [BeforeInput(self._prompt, "class:prompt")]),
                    height=Dimension(min=1, max=MOST_INPUT_ROWS),
                    wrap_lines=True,
                    dont_extend_height=True,
                ),
            ]
        )
        menu = Float(CompletionsMenu(max_height=6), xcursor=True, ycursor=True)
        return Layout(FloatContainer(body, [menu]))

    def _status_line(self) -> str:
        return self._user.status(self._app.output.get_size().columns)

    def _prompt(self) -> str:
        to = self._user.to
        return f"{cut(to, MOST_NAME)}> " if to else "> "

    def _accepted(self, buffer: Buffer) -> bool:
        self._view.to_end()
        return not self._user.typed(buffer.text)

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("c-c", eager=True)
        def _(event: KeyPressEvent) -> None:
            self._user.leave()

        @keys.add("c-d")
        def _(event: KeyPressEvent) -> None:
            if self._buffer.text:
                self._buffer.delete()
            else:
                self._user.leave()

        @keys.add("c-z")
        def _(event: KeyPressEvent) -> None:
            event.app.suspend_to_background()

        keys.add("pageup")(lambda event: self._view.scroll(self._view.page))
        keys.add("pagedown")(lambda event: self._view.scroll(-self._view.page))
        keys.add("s-up")(lambda event: self._view.scroll(1))
        keys.add("s-down")(lambda event: self._view.scroll(-1))
        return keys

"""The terminal of a chat from its start to its end: the reactor for it, what is logged, and the last words."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from p2phole import launch
from p2phole.peer.use import Use
from p2phole.use.chat.model import Transcript
from p2phole.use.chat.screen import Screen
from p2phole.use.chat.use import Chat
from p2phole.use.options import Options


@implementer(ILogObserver)
class ChatFace:
    """See above; a :class:`~p2phole.use.running.Face`."""

    def __init__(self, given: Options) -> None:
        self.log = launch.of_interest(self)
        self._given = given
        self._transcript = Transcript(time.time)
        self._screen: Screen | None = None

    def install(self) -> None:
        """The reactor on asyncio's loop, which is what prompt_toolkit runs on."""
        import asyncio

        from twisted.internet import asyncioreactor

        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        asyncioreactor.install(loop)

    def uses(self, reactor: Any) -> Sequence[Use]:
        """The chat."""
        settings, transcript = self._given.settings, self._transcript
        if self._given.by_code:
            nobody = "waiting for the other side"
        elif settings.to is not None:
            nobody = f"waiting for {settings.to}"
        else:
            nobody = f"nobody else is in {settings.room}"
        leave = partial(launch.stop, reactor)
        work = partial(deferToThreadPool, reactor, reactor.getThreadPool())
        umask = os.umask(0o077)
        os.umask(umask)
        by_code, greetings = self._given.by_code, settings.messages
        chat = Chat(transcript, leave, nobody, work, Path.cwd(), umask, greetings, by_code)
        self._screen = chat.screen = Screen(chat)
        transcript.changed = self._screen.changed
        return [chat]

    def tell_lines(self, text: str) -> None:
        """See :class:`~p2phole.use.running.Face`."""
        for line in text.splitlines():
            if line.strip():
                self._transcript.note(line)

    def close(self) -> Deferred[None]:
        """See :class:`~p2phole.use.running.Face`."""
        assert self._screen is not None
        return self._screen.stop()

    def __call__(self, event: LogEvent) -> None:
        """Show what is logged where it does not break the screen."""
        text = launch.in_words(event)
        if not text:
            pass
        elif self._screen is None or self._screen.is_over:
            launch.tell_lines(launch.one_line(event).rstrip("\n"))
        elif event.get("log_level", LogLevel.info) >= LogLevel.warn:
            self._transcript.warn(text)
        else:
            self._transcript.note(text)

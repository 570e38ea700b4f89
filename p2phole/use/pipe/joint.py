"""Standard input and output on a stream: what comes in goes out on the other side, both ways."""

from __future__ import annotations

import errno
from collections.abc import Callable
from contextlib import suppress

from twisted.internet.interfaces import IReactorFDSet

from p2phole.errors import LocalError, P2pholeError
from p2phole.session.session import Session
from p2phole.session.streams import Stream
from p2phole.use.pipe.standard import Input, Output


class InputFailed(LocalError):
    """Standard input cannot be read ({why}): the other side was told that it does not have all."""


class OutputFailed(LocalError):
    """Standard output cannot be written ({why}): the other side was told to stop."""


class OutputClosed(LocalError):
    """Nobody reads standard output any more: the other side was told to stop."""


class Joint:
    """See :class:`~p2phole.session.interfaces.StreamUser`.  ``is_joined``: called when both sides have the stream;
    ``ended``: at the end of each that it is put on, with None where all was sent and all that came is written,
    else why not.

    The end of the input ends this direction only.  But people at a terminal do not know when they are to end it:
    once the other side has said something and is through, or where what it says goes elsewhere, that is the end.
    Nothing is lost by a stream that was opened and then refused: the first piece goes with the opening, and again
    with the next one; the rest is read when one is accepted.
    """

    def __init__(
        self,
        reactor: IReactorFDSet,
        is_joined: Callable[[], None],
        ended: Callable[[P2pholeError | None], None],
        source: int = 0,
        sink: int = 1,
    ) -> None:
        self.joined = False
        """Whether both sides have the stream."""
        self.consumed = 0
        """Bytes of ours that the other side has written."""
        self.written = 0
        """Bytes of the other side that were written here, or are waiting for it."""
        self.closing: Callable[[], object] = lambda: None
        """Called before the output is closed: whoever reads it may then have something to say on the terminal."""
        self._is_joined = is_joined
        self._ended = ended
        self._stream: Stream | None = None
        self._input = Input(reactor, source, self._read, self._input_over)
        self._output = Output(reactor, sink, self._drained, self._broken)
        self._typed = self._input.is_terminal
        self._heard_elsewhere = not self._output.is_terminal
        self._early = b""
        self._input_ended = self._full = False
        self._why: P2pholeError | None = None

    def open(self, session: Session, purpose: str, argument: bytes = b"") -> None:
        """Ask the other side to take a stream."""
        # Where it is known not to be offered there, it has ended at once.
        stream = session.open(purpose, self, argument)
        if not stream.over:
            self._stream = stream
            self._begin(stream)
            if not self._early:
                self._input.resume()

    def take(self, stream: Stream) -> None:
        """Take the stream that the other side has opened."""
        self._stream = stream
        stream.accept(self)
        if not stream.over:
            self._begin(stream)
            self.accepted()

    def close(self) -> None:
        """Let go of both."""
        self._input.close()
        with suppress(OSError):
            self._output.close()

    def _begin(self, stream: Stream) -> None:
        stream.write(self._early)
        if self._input_ended:
            stream.finish()

    # -- from the input to the stream

    def _read(self, data: bytes) -> None:
        if not self.joined:
            self._early = data
            self._input.pause()
        if self._stream is not None:
            self._stream.write(data)

    def _input_over(self, error: OSError | None) -> None:
        self._input_ended = True
        if self._stream is None:
            return
        if error is None:
            self._stream.finish()
        else:
            self._why = InputFailed(why=error.strerror)
            self._stream.abort("its input cannot be read")

    def _go_on(self) -> None:
        if self.joined and not self._full:
            self._input.resume()

    # -- from the stream to the output

    def _drained(self) -> None:
        if self._stream is not None:
            self._stream.resume()

    def _broken(self, error: OSError) -> None:
        if self._stream is None:
            return
        if error.errno == errno.EPIPE:
            self._why = OutputClosed()
            self._stream.abort("nobody reads it there any more")
        else:
            self._why = OutputFailed(why=error.strerror)
            self._stream.abort("it cannot be written there")

    # -- StreamUser

    def accepted(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.joined = True
        self._early = b""
        self._is_joined()
        self._go_on()

    def received(self, data: bytes) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.written += len(data)
        if not self._output.write(data) and self._stream is not None:
            # So the end of the stream is told when all is written, and the other side hears of it then.
            self._stream.pause()

    def finished(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.closing()
        try:
            self._output.close()
        except OSError as error:
            self._broken(error)
        if self._stream is not None and self._typed and (self.written or self._heard_elsewhere):
            self._input.close()
            self._stream.finish()

    def pause(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._full = True
        self._input.pause()

    def resume(self) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._full = False
        self._go_on()

    def taken(self, count: int) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self.consumed = count

    def ended(self, error: P2pholeError | None) -> None:
        """See :class:`~p2phole.session.interfaces.StreamUser`."""
        self._stream = None
        self._full = False
        self._input.pause()
        self._ended(self._why or error)

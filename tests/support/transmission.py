"""The sending half of a TCP connection: RFC 9293 without congestion control, with the timers of Linux."""

from __future__ import annotations

import enum
import errno
import struct
from typing import TYPE_CHECKING

from tests.support.packets import ACK, FIN, RST, SYN, Endpoint, Packet

if TYPE_CHECKING:
    from tests.support.stack import Stack

SYN_GAPS = (1, 1, 1, 1, 1, 2, 4, 8, 16, 32, 64)
"""Seconds between SYNs; ETIMEDOUT after the last (tcp_syn_linear_timeouts 4, tcp_syn_retries 6)."""

SYN_ACK_GAPS = (1, 2, 4, 8, 16, 32)
"""Seconds between SYN-ACKs of an acceptor (tcp_synack_retries 5)."""

MAXIMUM_RETRIES = 15
"""Retransmissions before an established connection is given up, about 15 minutes (tcp_retries2)."""

MINIMUM_TIMEOUT, MAXIMUM_TIMEOUT = 0.2, 120.0
"""Seconds: TCP_RTO_MIN, which Linux adds to the round trip, and TCP_RTO_MAX."""

TIME_WAIT_SECONDS = 60.0
"""TCP_TIMEWAIT_LEN, also how long an orphan stays in FIN_WAIT_2."""


class State(enum.Enum):
    """RFC 9293 section 3.3.2."""

    CLOSED = enum.auto()
    LISTEN = enum.auto()
    SYN_SENT = enum.auto()
    SYN_RECEIVED = enum.auto()
    ESTABLISHED = enum.auto()
    FIN_WAIT_1 = enum.auto()
    FIN_WAIT_2 = enum.auto()
    CLOSE_WAIT = enum.auto()
    CLOSING = enum.auto()
    LAST_ACK = enum.auto()
    TIME_WAIT = enum.auto()


OPENING = (State.SYN_SENT, State.SYN_RECEIVED)
RECEIVING = (State.ESTABLISHED, State.FIN_WAIT_1, State.FIN_WAIT_2)
_SENDING = (State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_1, State.CLOSING, State.LAST_ACK)


class Transmission:
    """
    What a connection has to send, when, and how often.

    Sequence numbers are unbounded integers that start well above 0: nothing wraps, and the sequence number 0
    of a router's RST is never inside a window.
    """

    local = remote = Endpoint("", 0)

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.state = State.CLOSED
        self.error = 0
        """The errno that the application's next call gets."""
        self.passive = False
        """A listener began it."""
        self.orphan = False
        """The application has closed it."""
        self.expires: float | None = None
        """When TIME_WAIT, or FIN_WAIT_2 of an orphan, is over."""

        # Acknowledged up to `una`, sent up to `nxt`, which a timeout sets back, at most up to `high`; allowed
        # by the peer's window up to `edge`. The outbox begins at `una`, once the SYN is acknowledged.
        self.una = self.nxt = self.high = stack.random.randrange(1 << 20, 1 << 30)
        self.edge = 0
        self.outbox = bytearray()
        self.fin_queued = False
        self._fin_seq: int | None = None

        # Received in order up to `rcv_nxt`; `advertised` is the highest that the peer was allowed to send.
        self.rcv_nxt = 0
        self.advertised = 0
        self.inbox = bytearray()
        self.fin_received = False

        self._ack_due = False
        self._tries = 0
        self._deadline: float | None = None
        self._timer_at: float | None = None
        self._timeout = 1.0
        self._timed: tuple[int, float] | None = None

    def wake(self) -> None:
        """Something changed that a poll of the socket may show."""
        raise NotImplementedError

    # Segments

    def _send(self, flags: int, seq: int, payload: bytes = b"") -> None:
        window = self.stack.buffer - len(self.inbox)
        self.advertised = self.rcv_nxt + window
        self._ack_due = False
        ack = self.rcv_nxt if flags & ACK else 0
        self.stack.emit(Packet(self.local, self.remote, flags, seq, ack, window, payload))

    def send_syn(self) -> None:
        self.state = State.SYN_SENT
        self.nxt = self.high = self.una + 1
        self._timed = (self.nxt, self.stack.seconds())
        self._send(SYN, self.una)
        self._arm(SYN_GAPS[0])

    def answer_syn(self, packet: Packet) -> None:
        """Answers a SYN: of a listener's client, or one that crossed our own (RFC 9293 section 3.5)."""
        self.state = State.SYN_RECEIVED
        self.nxt = self.high = self.una + 1
        self.rcv_nxt = packet.seq + 1
        self.edge = self.nxt + packet.window
        self._tries = 0
        self._send(SYN | ACK, self.una)
        self._arm(SYN_GAPS[0])

    def queue_fin(self) -> None:
        """No more will be written: a FIN follows what the outbox holds."""
        if self.fin_queued:
            return
        self.fin_queued = True
        if self.state is not State.SYN_RECEIVED:  # else when the handshake is done
            self.state = State.LAST_ACK if self.state is State.CLOSE_WAIT else State.FIN_WAIT_1
            self._output()

    def _output(self) -> None:
        """Sends what the peer's window lets pass, then the FIN."""
        if self.state not in _SENDING:
            return
        end = self.una + len(self.outbox)
        stop = min(end, self.edge)
        while self.nxt < stop:
            offset = self.nxt - self.una
            payload = bytes(self.outbox[offset : offset + min(self.stack.mss, stop - self.nxt)])
            seq, self.nxt = self.nxt, self.nxt + len(payload)
            if self._timed is None and self.nxt > self.high:
                self._timed = (self.nxt, self.stack.seconds())
            self.high = max(self.high, self.nxt)
            self._send(ACK, seq, payload)
        if self.fin_queued and self.nxt == end:
            self._fin_seq = end
            self.nxt = end + 1
            self.high = max(self.high, self.nxt)
            self._send(FIN | ACK, end)
        if self._deadline is None and (self.nxt > self.una or self.outbox):
            self._arm(self._timeout)

    # Acknowledgements

    def _acknowledged(self, ack: int) -> None:
        if self._timed is not None and ack >= self._timed[0]:
            self._timeout = MINIMUM_TIMEOUT + self.stack.seconds() - self._timed[1]
            self._timed = None
        del self.outbox[: ack - self.una]  # it is empty while the SYN is not acknowledged
        self.una = ack
        self.nxt = max(self.nxt, ack)
        self._tries = 0
        self._deadline = None
        if self._fin_seq is not None and ack > self._fin_seq:
            if self.state is State.FIN_WAIT_1:
                self._enter(State.FIN_WAIT_2)
            elif self.state is State.CLOSING:
                self._enter(State.TIME_WAIT)
            elif self.state is State.LAST_ACK:
                self._enter(State.CLOSED)
        elif self.nxt > self.una:
            self._arm(self._timeout)
        self.wake()

    def _ack_soon(self) -> None:
        """Acknowledges at the end of this instant, all that came at once, with the window after the reads."""
        if not self._ack_due:
            self._ack_due = True
            self.stack.later(0, self._ack_now)

    def _ack_now(self) -> None:
        if self._ack_due and self.state is not State.CLOSED:
            self._send(ACK, self.nxt)

    def information(self) -> bytes:
        """As `struct tcp_info` of include/uapi/linux/tcp.h, where it is not 0."""
        found = bytearray(136)
        struct.pack_into("=I", found, 24, -(-(self.high - self.una) // self.stack.mss))
        struct.pack_into("=I", found, 68, int(1e6 * max(0.0, self._timeout - MINIMUM_TIMEOUT)))
        struct.pack_into("=QQ", found, 120, self.una, self.rcv_nxt)
        return bytes(found)

    # Timers

    def _arm(self, delay: float) -> None:
        self._deadline = self.stack.seconds() + delay
        # The timer is left to run and looks at the deadline when it fires: most move before they come.
        if self._timer_at is None or self._timer_at > self._deadline:
            self._timer_at = self._deadline
            self.stack.later(delay, self._timer, self._deadline)

    def _timer(self, at: float) -> None:
        if at != self._timer_at:
            return
        self._timer_at = None
        if self._deadline is None:
            return
        if self._deadline > self.stack.seconds():
            self._arm(self._deadline - self.stack.seconds())
            return
        self._deadline = None
        self._tries += 1
        if self.state in OPENING:
            self._repeat_syn()
        elif self._tries > MAXIMUM_RETRIES:
            self.fail(errno.ETIMEDOUT)
        else:
            self._timed = None  # RFC 6298 section 3: a repeated segment says nothing of the round trip
            if self.nxt > self.una:
                self.nxt = self.una
                self._output()
            else:
                self._send(ACK, self.una - 1)  # a zero-window probe: a sequence number that asks for an ACK
            self._arm(min(self._timeout * 2**self._tries, MAXIMUM_TIMEOUT))

    def _repeat_syn(self) -> None:
        gaps = SYN_ACK_GAPS if self.passive else SYN_GAPS
        if self._tries >= len(gaps):
            self.fail(errno.ETIMEDOUT)
            return
        self._send(SYN if self.state is State.SYN_SENT else SYN | ACK, self.una)
        self._arm(gaps[self._tries])

    # The end

    def send_reset(self) -> None:
        self._send(RST | ACK, self.nxt)
        self._enter(State.CLOSED)

    def fail(self, number: int) -> None:
        """The connection is no more, for the reason that the application's next call gets."""
        if not self.orphan and self.state is not State.TIME_WAIT:
            self.error = number
        self._enter(State.CLOSED)

    def _enter(self, state: State) -> None:
        self.state = state
        if state is State.TIME_WAIT or (state is State.FIN_WAIT_2 and self.orphan):
            self.expires = self.stack.seconds() + TIME_WAIT_SECONDS
        elif state is State.CLOSED:
            self.outbox.clear()
            self._deadline = None
            self.stack.forget(self)
            self.wake()

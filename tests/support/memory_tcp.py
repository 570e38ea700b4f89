"""One end of a TCP connection (RFC 9293): what it makes of each packet that comes."""

from __future__ import annotations

import errno

from tests.support.packets import ACK, FIN, ICMP, RST, SYN, Packet
from tests.support.transmission import MAXIMUM_RETRIES, OPENING, RECEIVING, State, Transmission

_AFTER_FIN = {
    State.ESTABLISHED: State.CLOSE_WAIT,
    State.FIN_WAIT_1: State.CLOSING,
    State.FIN_WAIT_2: State.TIME_WAIT,
}


class TcpConnection(Transmission):
    """The part of a socket that speaks TCP. What the application does to it is in `Socket`."""

    _early: dict[int, Packet] | None = None
    """By sequence number: what came before something that it follows."""

    def accepted(self) -> None:
        """A connection that a listener began is established."""
        raise NotImplementedError

    def receive(self, packet: Packet) -> None:
        flags = packet.flags
        if flags & ICMP:
            # Linux (tcp_v4_err): fatal for a connection that is being made, soft for an established one.
            if self.state in OPENING and not self.passive:
                self.fail(packet.seq)
        elif self.state is State.SYN_SENT:
            self._receive_in_syn_sent(packet)
        elif flags & RST:
            self._receive_reset(packet)
        elif flags & SYN and not (self.state is State.SYN_RECEIVED and flags & ACK):
            if self.state is State.SYN_RECEIVED and packet.seq + 1 == self.rcv_nxt:
                self._send(SYN | ACK, self.una)
            else:
                self._ack_soon()  # RFC 5961 section 4: the challenge makes a restarted peer reset us
        elif flags & ACK and self._receive_ack(packet):
            self._receive_data(packet)

    def _receive_in_syn_sent(self, packet: Packet) -> None:
        """RFC 9293 section 3.10.7.3."""
        flags = packet.flags
        if flags & ACK and packet.ack != self.nxt:
            if not flags & RST:
                self.stack.emit(Packet(self.local, self.remote, RST, seq=packet.ack))
        elif flags & RST:
            if flags & ACK:
                self.fail(errno.ECONNREFUSED)
        elif flags & SYN and flags & ACK:
            self.rcv_nxt = packet.seq + 1
            self._establish(packet)
            self._send(ACK, self.nxt)
        elif flags & SYN:
            self.answer_syn(packet)

    def _establish(self, packet: Packet) -> None:
        self.state = State.ESTABLISHED
        self.edge = packet.ack + packet.window
        self._acknowledged(packet.ack)
        if self.passive:
            self.accepted()
        if self.fin_queued:
            self.state = State.FIN_WAIT_1
            self._output()

    def _receive_reset(self, packet: Packet) -> None:
        if packet.seq != self.rcv_nxt:
            if self.rcv_nxt < packet.seq <= self.advertised:
                self._ack_soon()  # RFC 5961 section 3
        elif self.state is State.CLOSE_WAIT:
            self.fail(errno.EPIPE)
        else:
            self.fail(errno.ECONNRESET)

    def _receive_ack(self, packet: Packet) -> bool:
        """Whether the rest of the packet is worth a look."""
        if self.state is State.SYN_RECEIVED:
            if packet.ack != self.nxt:
                self.stack.emit(Packet(self.local, self.remote, RST, seq=packet.ack))
                return False
            self._establish(packet)
            return True
        if packet.ack > self.high:
            self._ack_soon()
            return False
        if self.nxt == self.una:
            self._tries = min(self._tries, MAXIMUM_RETRIES // 2)  # who answers a window probe is alive
        self.edge = max(self.edge, packet.ack + packet.window)
        if packet.ack > self.una:
            self._acknowledged(packet.ack)
        self._output()
        return True

    def _receive_data(self, packet: Packet) -> None:
        if not packet.payload and not packet.flags & FIN:
            if packet.seq < self.rcv_nxt:
                self._ack_soon()  # a window probe, or the SYN-ACK of a crossing
            return
        if packet.payload and self.orphan and packet.seq + len(packet.payload) > self.rcv_nxt:
            # Nobody will ever read it: Linux says so (TCPABORTONDATA), RFC 2525 section 2.17.
            self.send_reset()
            return
        if packet.seq > self.rcv_nxt:
            self._early = self._early or {}
            self._early[packet.seq] = packet
        else:
            self._take(packet)
            while self._early and (start := min(self._early)) <= self.rcv_nxt:
                self._take(self._early.pop(start))
            self.wake()
        self._ack_soon()

    def _take(self, packet: Packet) -> None:
        if self.state not in RECEIVING:
            return
        end = packet.seq + len(packet.payload)
        if end > self.rcv_nxt:
            self.inbox += packet.payload[self.rcv_nxt - packet.seq :]
            self.rcv_nxt = end
        if packet.flags & FIN and end == self.rcv_nxt:
            self.rcv_nxt += 1
            self.fin_received = True
            self._enter(_AFTER_FIN[self.state])

    def window_opened(self) -> None:
        """The application read: say so where it is worth a packet (RFC 9293 section 3.8.6.2.2)."""
        room = self.rcv_nxt + self.stack.buffer - len(self.inbox) - self.advertised
        if room >= min(self.stack.buffer // 2, 2 * self.stack.mss) and self.state in RECEIVING:
            self._ack_soon()

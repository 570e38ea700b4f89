"""The kernel's list of sockets."""

import os
import socket
import sys
from ipaddress import ip_address
from unittest import SkipTest

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.kernel import ESTABLISHED, LISTEN, Socket, inodes_of, parse_sockets, sockets_of

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
REST = "00000000:00000000 00:00000000 00000000     0        0 4242 1 0000000000000000 100 0 0 10 0\n"


def written(ip: str, port: int) -> str:
    """As the kernel writes it on this machine."""
    packed = ip_address(ip).packed
    words = [int.from_bytes(packed[i : i + 4], sys.byteorder) for i in range(0, len(packed), 4)]
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"


def endpoint(ip: str, port: int) -> Endpoint:
    return Endpoint(ip_address(ip), port)


class ParseTests(SynchronousTestCase):
    def test_listening_and_connected(self) -> None:
        text = HEADER + f"   0: {written('0.0.0.0', 9000)} {written('0.0.0.0', 0)} 0A {REST}"
        text += f"   1: {written('127.0.0.1', 9000)} {written('192.0.2.1', 443)} 01 {REST}"
        self.assertEqual(
            parse_sockets(text),
            [
                Socket(LISTEN, endpoint("0.0.0.0", 9000), None, 4242),
                Socket(ESTABLISHED, endpoint("127.0.0.1", 9000), endpoint("192.0.2.1", 443), 4242),
            ],
        )

    def test_little_endian_sample(self) -> None:
        """A line as an x86 machine prints it."""
        if sys.byteorder != "little":
            raise SkipTest("the sample is from a little-endian machine")
        [found] = parse_sockets(HEADER + f" 0: 0100007F:2328 0200000A:01BB 01 {REST}")
        self.assertEqual((str(found.local), str(found.remote)), ("127.0.0.1:9000", "10.0.0.2:443"))

    def test_mapped_addresses_are_those_inside(self) -> None:
        mapped = written("::ffff:192.0.2.1", 443)
        [found] = parse_sockets(HEADER + f" 0: {mapped} {written('2001:db8::1', 1)} 01 {REST}")
        self.assertEqual((str(found.local), str(found.remote)), ("192.0.2.1:443", "[2001:db8::1]:1"))

    @given(st.ip_addresses(), st.integers(1, 65535))
    def test_any_address(self, ip: object, port: int) -> None:
        [found] = parse_sockets(HEADER + f" 0: {written(str(ip), port)} {written(str(ip), 0)} 0A {REST}")
        self.assertEqual(found.local.port, port)
        self.assertIn(str(found.local.ip), (str(ip), str(getattr(ip, "ipv4_mapped", None))))

    def test_unbound_sockets_and_empty_list(self) -> None:
        self.assertEqual(
            parse_sockets(HEADER + f" 0: {written('0.0.0.0', 0)} {written('0.0.0.0', 0)} 07 {REST}"), []
        )
        self.assertEqual(parse_sockets(HEADER), [])

    def test_inodes(self) -> None:
        self.assertEqual(inodes_of(["socket:[12]", "/dev/null", "pipe:[13]", "socket:[14]"]), {12, 14})


class SocketsOfTests(SynchronousTestCase):
    def test_own(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            found = sockets_of(os.getpid())
            if found is None:
                raise SkipTest("no /proc/net/tcp here")
            mine = Endpoint(ip_address("127.0.0.1"), server.getsockname()[1])
            self.assertIn((LISTEN, mine, None), [(entry.state, entry.local, entry.remote) for entry in found])

    def test_no_such_process(self) -> None:
        self.assertIsNone(sockets_of(2**22 + 1))

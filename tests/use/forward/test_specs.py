"""What is forwarded and allowed, as it is typed and as it is asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.use.forward.specs import (
    Address,
    Forward,
    Permit,
    SocketPath,
    allowed,
    allowed_to_listen,
    asked_listen,
    asked_target,
    forward,
    permitted,
    target,
)

DB = Address("db", 5432)


class ForwardTests(SynchronousTestCase):
    def test_as_ssh_has_them(self) -> None:
        for text, listen in {
            "8080:db:5432": Address("localhost", 8080),
            "0:db:5432": Address("localhost", 0),
            "localhost:8080:db:5432": Address("localhost", 8080),
            "127.0.0.1:8080:db:5432": Address("127.0.0.1", 8080),
            ":8080:db:5432": Address("*", 8080),
            "*:8080:db:5432": Address("*", 8080),
            "[::1]:8080:db:5432": Address("::1", 8080),
            "[127.0.0.1]:8080:db:5432": Address("127.0.0.1", 8080),
            "/run/x:db:5432": SocketPath("/run/x"),
            r"/run/a\:b\\c:db:5432": SocketPath(r"/run/a:b\c"),
        }.items():
            self.assertEqual(forward(text), Forward(listen, DB), text)

    def test_targets(self) -> None:
        for text, where in {
            "db:5432": DB,
            "DB:5432": DB,
            "db1.f00:5432": Address("db1.f00", 5432),
            "bücher.example:80": Address("xn--bcher-kva.example", 80),
            "192.0.2.1:80": Address("192.0.2.1", 80),
            "[2001:DB8::0:1]:80": Address("2001:db8::1", 80),
            "[fe80::1%eth0]:80": Address("fe80::1%eth0", 80),
            "/run/docker.sock": SocketPath("/run/docker.sock"),
        }.items():
            self.assertEqual(forward(f"1:{text}").target, where, text)
            self.assertEqual(forward(f"/l:{text}").target, where, text)
            self.assertEqual(forward(f"*:1:{text}").target, where, text)
            self.assertEqual(target(text), where, text)
            self.assertEqual(asked_target(str(where).encode()), where)

    def test_refused(self) -> None:
        for text in (
            *("", ":", "8080", "8080:db", "db:5432", "x:db:1", "-1:db:1", "65536:db:1", "1:db:0", "1:db:65536"),
            *("1:db:", "1::1", "1: db:1", "1:db:1:", "1:2:3:4:5", "1:[db]:1", "[::1:1:db:1", "[::1]1:db:1"),
            *("1:[::1]x:1", "1:::1:80", "1:db:[80]", "[1]:db:1", "1:9000:1", "1:127.1:80", "1:0x7f000001:80"),
            *("1:a.0x7f.:1", "1:*:80", "1:db:*", "/a:/b:1", "/l", "/l:1", "1_0:db:1", "\u0661:db:1", "1:a/b:1"),
            *("/a\0:db:1", "/" + 107 * "a" + ":db:1", "/\udcff:db:1", "1:" + 64 * "a" + ":1", "1:a\n:1"),
        ):
            error = self.assertRaises(ValueError, forward, text)
            self.assertTrue(str(error), text)

    @given(st.text() | st.text("1:[]/*\\a.", max_size=12))
    def test_whatever_is_typed(self, text: str) -> None:
        """It is refused in words, or says the same when it is asked for on the other side."""
        for parse in (forward, target, allowed, allowed_to_listen):
            try:
                found = parse(text)
            except ValueError:
                continue
            if isinstance(found, Forward):
                self.assertEqual(asked_listen(str(found.listen).encode()), found.listen)
                self.assertEqual(asked_target(str(found.target).encode()), found.target)


class PermitTests(SynchronousTestCase):
    def test_letter_by_letter(self) -> None:
        for text, yes, no in (
            ("db:5432", "db:5432 DB:5432", "db:5433 db.:5432 db.example:5432 192.0.2.1:5432 /db"),
            ("localhost:22", "localhost:22", "127.0.0.1:22 [::1]:22"),
            ("[::1]:22", "[0:0::1]:22", "[::2]:22 localhost:22 [::ffff:0.0.0.1]:22"),
            ("db:*", "db:1 db:65535", "db2:1 /db"),
            ("*:22", "db:22 [::1]:22", "db:23 /run/x"),
            ("*:*", "db:22 [::1]:1", "/run/x"),
            ("/run/x", "/run/x", "/run/xy /run/./x /run/x/ /run//x db:1"),
        ):
            permit = allowed(text)
            for each in yes.split():
                self.assertTrue(permit.permits(target(each)), (text, each))
            for each in no.split():
                self.assertFalse(permit.permits(target(each)), (text, each))

    def test_nothing_by_default(self) -> None:
        self.assertFalse(permitted([], DB))
        self.assertTrue(permitted([Permit("x", 1), Permit("db", 5432)], DB))

    def test_to_listen(self) -> None:
        for text, yes, no in (
            ("8080", "localhost:8080", "127.0.0.1:8080 *:8080 localhost:0"),
            ("0", "localhost:0", "localhost:8080"),
            ("*", "localhost:0 localhost:8080", "127.0.0.1:8080 *:8080"),
            ("127.0.0.1:8080", "127.0.0.1:8080", "localhost:8080 *:8080"),
            # Who lets everybody in lets in whoever comes by one way.
            ("*:8080", "*:8080 localhost:8080 127.0.0.1:8080", "*:8081"),
            (":8080", "*:8080", "*:8081"),
            ("/run/x", "/run/x", "/run/y localhost:1"),
        ):
            permit = allowed_to_listen(text)
            for each in yes.split():
                self.assertTrue(permit.permits(asked_listen(each.encode())), (text, each))
            for each in no.split():
                self.assertFalse(permit.permits(asked_listen(each.encode())), (text, each))

    def test_refused(self) -> None:
        for text in ("", "db", "db:", ":5432", "db:0", "db:x", "a:b:c", "*", "/\0", "*.example:80", "*b:80"):
            self.assertRaises(ValueError, allowed, text)
        for text in ("", "db", "a:1:2", "x:", "[]:1", "/\0", "*.1:1"):
            self.assertRaises(ValueError, allowed_to_listen, text)


class AskedTests(SynchronousTestCase):
    """The other side may be of any version, or hostile: what is compared is what is used."""

    def test_only_as_this_side_writes_it(self) -> None:
        for argument in (b"", b"DB:1", b"db:01", b"db", b"db:0", b"*:1", b"[0::1]:1", b"[1.2.3.4]:1", b"\xff:1"):
            self.assertRaises(ValueError, asked_target, argument)
        for argument in (b"", b"1", b":1", b"localhost:01", b"x", b"db:1:x", b"LOCALHOST:1", b"/a\0", b"/\xff"):
            self.assertRaises(ValueError, asked_listen, argument)

    def test_paths_as_they_are(self) -> None:
        for path in ("/a:b", "/a\\b", "/a b", "/ü", "/[x]"):
            self.assertEqual(asked_target(path.encode()), SocketPath(path))
            self.assertEqual(asked_listen(path.encode()), SocketPath(path))

    @given(st.binary(max_size=30))
    def test_any_bytes(self, argument: bytes) -> None:
        for parse in (asked_target, asked_listen):
            try:
                found = parse(argument)
            except ValueError:
                continue
            self.assertEqual(str(found).encode(), argument)

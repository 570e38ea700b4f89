"""The file that holds a room's secret."""

import os
import threading
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from p2phole.errors import LocalError
from p2phole.secure.secret_file import MOST_BYTES, NotASecret, SecretUnreadable, read_secret, weakness
from p2phole.secure.words import secret

STRONG = secret(lambda size: bytes(range(100, 100 + size)))


class ReadTests(SynchronousTestCase):
    def file(self, content: bytes, mode: int = 0o600) -> Path:
        path = Path(self.mktemp())
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def test_one_line(self) -> None:
        for end in ("", "\n", "\r\n", "\n\n"):
            found = read_secret(self.file((STRONG + end).encode()))
            self.assertEqual((found.value, found.warnings), (STRONG.encode(), ()))

    def test_the_same_on_every_keyboard(self) -> None:
        """With a byte order mark, and composed or not."""
        for content in ("\ufeffZürich am See, 8001", "Zu\u0308rich am See, 8001"):
            self.assertEqual(read_secret(self.file(content.encode())).value, "Z\xfcrich am See, 8001".encode())

    def test_a_pipe(self) -> None:
        """As the shell's ``<(pass show room)`` is one, which gives its bytes in pieces."""
        path = Path(self.mktemp())
        os.mkfifo(path, 0o644)

        def write() -> None:
            with open(path, "wb", buffering=0) as file:
                file.write(STRONG[:7].encode())
                file.write(STRONG[7:].encode() + b"\n")

        writer = threading.Thread(target=write)
        writer.start()
        found = read_secret(path)
        writer.join()
        self.assertEqual((found.value, found.warnings), (STRONG.encode(), ()))

    def test_refused(self) -> None:
        for content, word in (
            (b"", "is empty"),
            (b"\n", "is empty"),
            (b" \t\n", "is empty"),
            (b"\xff\xfes\x00", "is not text in UTF-8"),
            (b"one\ntwo\n", "more than one line"),
            (b"one\rtwo", "more than one line"),
            (b"x" * (MOST_BYTES + 1), f"more than {MOST_BYTES} bytes"),
            # U+FB2C grows when it is normalised.
            ("\ufb2c".encode() * (MOST_BYTES // 3), f"more than {MOST_BYTES} bytes"),
        ):
            path = self.file(content)
            error = self.assertRaises(NotASecret, read_secret, path)
            self.assertIsInstance(error, LocalError)
            self.assertIn(f"{path} {word}" if word.startswith("is") else word, str(error))
        self.assertEqual(len(read_secret(self.file(b"x" * MOST_BYTES)).value), MOST_BYTES)

    def test_unreadable(self) -> None:
        missing = self.mktemp()
        for path, word in ((missing, "No such file"), (".", "Is a directory"), (missing + "\0", "not a path")):
            error = str(self.assertRaises(SecretUnreadable, read_secret, Path(path)))
            self.assertIn(word, error)
            self.assertNotIn("\0", error)

    def test_endless(self) -> None:
        self.assertIn("more than", str(self.assertRaises(NotASecret, read_secret, Path("/dev/zero"))))

    def test_warnings(self) -> None:
        for mode in (0o640, 0o604, 0o620, 0o602):
            path = self.file(STRONG.encode(), mode)
            [warning] = read_secret(path).warnings
            self.assertIn(f"chmod 600 {path}", warning)
        [warning] = read_secret(self.file(f"{STRONG} \n".encode())).warnings
        self.assertIn("white space", warning)
        [warning] = read_secret(self.file(b"sesame")).warnings
        self.assertIn("is weak: it has fewer than 12 characters", warning)
        self.assertNotIn("sesame", warning)

    def test_is_not_shown(self) -> None:
        self.assertNotIn("sesame", repr(read_secret(self.file(b"sesame"))))

    @given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
    def test_any_file(self, content: bytes) -> None:
        try:
            found = read_secret(self.file(content))
        except NotASecret as error:
            self.assertNotIn("\n", str(error))
        else:
            self.assertTrue(1 <= len(found.value) <= MOST_BYTES)
            self.assertNotIn(b"\n", found.value)


class WeaknessTests(SynchronousTestCase):
    def test_weak(self) -> None:
        for text, word in (
            ("", "12 characters"),
            ("sesame", "12 characters"),
            ("0123456789a", "12 characters"),
            ("aaaaaaaaaaaaaaab", "5 different"),
            ("abcabcabcabc", "5 different"),
            ("hunter2hunter2", "several times"),
            ("197001011312", "digits only"),
            ("incomprehensible", "a word or two"),
            ("Password1234", "a word or two"),
            ("PASSWORD!!!!", "a word or two"),
            ("Zürich-Hauptbahnhof", "a word or two"),
            ("velvet-ocean-2026", "a word or two"),
            ("correct horse battery", "3 words"),
        ):
            self.assertIn(word, str(weakness(text)), text)

    def test_nothing_speaks_for_it(self) -> None:
        for text in (
            "correct horse battery staple",
            "kQvLmpTzabXYqw",
            "9f86d081884c7d65",
            "x7-kQ9vLm2pTz-4",
            "314159265358979323846264338",
        ):
            self.assertIs(weakness(text), None, text)

    @given(st.binary(min_size=16, max_size=16))
    def test_what_we_make_is_not_weak(self, entropy: bytes) -> None:
        self.assertIs(weakness(secret(lambda _: entropy)), None)

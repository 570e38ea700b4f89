"""This peer's key."""

import hashlib
import os
import stat
from pathlib import Path
from threading import Barrier, Thread

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from twisted.trial.unittest import SynchronousTestCase

from p2phole.errors import LocalError
from p2phole.secure import identity
from p2phole.secure.identity import Credentials, KeyUnreadable, NotAKey, fingerprint, load_or_make


class FingerprintTests(SynchronousTestCase):
    def test_sha256_of_the_public_key(self) -> None:
        key = Ed25519PrivateKey.generate()
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.assertEqual(Credentials.of(key).fingerprint, hashlib.sha256(spki).hexdigest())

    def test_of_the_key_and_not_of_the_certificate(self) -> None:
        key = Ed25519PrivateKey.generate()
        self.assertEqual(fingerprint(Credentials.of(key).certificate), Credentials.of(key).fingerprint)
        self.assertNotEqual(
            Credentials.of(Ed25519PrivateKey.generate()).fingerprint, Credentials.of(key).fingerprint
        )

    def test_the_certificate_tells_nothing_else(self) -> None:
        certificate = Credentials.of(Ed25519PrivateKey.generate()).certificate
        self.assertEqual(certificate.subject.rfc4514_string(), "CN=p2phole")
        self.assertEqual(len(certificate.extensions), 0)


class LoadOrMakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.path = self.folder / "deep" / "key.pem"

    def test_made_at_first_use(self) -> None:
        made = load_or_make(self.path)
        self.assertEqual(load_or_make(self.path).fingerprint, made.fingerprint)

    def test_for_nobody_else_and_nothing_beside_it(self) -> None:
        old = os.umask(0)
        try:
            load_or_make(self.path)
        finally:
            os.umask(old)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(self.path.parent.stat().st_mode), 0o700)
        self.assertEqual([path.name for path in self.path.parent.iterdir()], ["key.pem"])

    def test_for_nobody_else_under_any_umask(self) -> None:
        self.folder.mkdir()
        for umask in (0o022, 0o077, 0o277, 0o777):
            path = self.folder / f"{umask}.pem"
            old = os.umask(umask)
            try:
                load_or_make(path)
            finally:
                os.umask(old)
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_several_at_the_same_moment_get_one_key(self) -> None:
        barrier, found = Barrier(6), []

        def start() -> None:
            barrier.wait()
            found.append(load_or_make(self.path).fingerprint)

        threads = [Thread(target=start) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((len(found), len(set(found))), (6, 1))
        self.assertEqual([path.name for path in self.path.parent.iterdir()], ["key.pem"])

    def test_somebody_was_quicker(self) -> None:
        other = load_or_make(self.folder / "other.pem")
        self.path.parent.mkdir()

        def link(temporary: str, path: Path) -> None:
            path.write_bytes((self.folder / "other.pem").read_bytes())
            raise FileExistsError(17, "File exists")

        self.patch(identity.os, "link", link)
        self.assertEqual(load_or_make(self.path).fingerprint, other.fingerprint)

    def write(self, content: bytes) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(content)

    def test_not_a_key(self) -> None:
        ed25519, other = Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())
        for content in (
            b"",
            b"hello",
            b"\xff" * 100,
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
            ed25519.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            ed25519.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
        ):
            self.write(content)
            error = self.assertRaises(NotAKey, load_or_make, self.path)
            self.assertIsInstance(error, LocalError)
            self.assertIn(f"key file {self.path} does not hold", str(error))
            self.assertEqual(self.path.read_bytes(), content)

    def test_unreadable(self) -> None:
        self.path.mkdir(parents=True)
        error = self.assertRaises(KeyUnreadable, load_or_make, self.path)
        self.assertIn(f"{self.path} cannot be used (Is a directory)", str(error))
        self.write_beneath_a_file()

    def write_beneath_a_file(self) -> None:
        (self.folder / "file").write_bytes(b"")
        error = self.assertRaises(KeyUnreadable, load_or_make, self.folder / "file" / "key.pem")
        self.assertIn("Not a directory", str(error))

    def test_nothing_is_left_where_it_could_not_be_made(self) -> None:
        def link(temporary: str, path: Path) -> None:
            raise PermissionError(1, "Operation not permitted")

        self.patch(identity.os, "link", link)
        error = self.assertRaises(KeyUnreadable, load_or_make, self.path)
        self.assertIn("Operation not permitted", str(error))
        self.assertEqual(list(self.path.parent.iterdir()), [])

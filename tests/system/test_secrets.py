"""Rooms with a secret, and known people, on whole peers and a whole broker; and a broker in between."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from p2phole import events
from tests.people import FakePeople
from tests.support.network import Nat
from tests.system.world import BROKER, World

SECRET = "seven hungry otters cross a crimson bridge"


class SecretCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.addCleanup(self.stop)
        self.folder = Path(tempfile.mkdtemp(dir=self.mktemp_folder()))

    def mktemp_folder(self) -> str:
        path = Path(self.mktemp())
        path.mkdir(parents=True)
        return str(path)

    def stop(self) -> None:
        for peer in self.world.peers:
            peer.stop()

    def secret(self, text: str = SECRET) -> Path:
        path = self.folder / f"{abs(hash(text))}"
        path.write_text(text + "\n")
        path.chmod(0o600)
        return path

    def lines(self) -> bytes:
        """All that went to and from the broker."""
        return b"".join(
            record.payload for record in self.world.net.records if BROKER in (record.source, record.target)
        )

"""What the tests with real processes have in common."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback.processes import Stage


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Everything that it has started is ended after the test."""
    stage = Stage(tmp_path)
    yield stage
    stage.close()

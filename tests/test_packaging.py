"""The package as it is installed, and the tests as the runners find them."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path
from unittest import SkipTest

from twisted.trial import runner
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parent.parent


def run(*command: str | Path, cwd: Path) -> str:
    # PYTHONPATH may lead to a checkout, which would hide what is installed.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


class WheelTests(SynchronousTestCase):
    def setUp(self) -> None:
        for needed in ("build", "hatchling", "pip"):
            if importlib.util.find_spec(needed) is None:
                raise SkipTest(f"{needed} is not installed: pip install '.[dev]'")
        # Not within this checkout, as trial's own folder is: hatchling looks for what git ignores above it.
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name).resolve()

    def wheel(self) -> Path:
        """Built from a copy in which twistd has left its cache beside the plugins."""
        source = self.folder / "source"
        source.mkdir()
        for name in ("p2phole", "twisted"):
            shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
            shutil.copy(ROOT / name, source)
        (source / "twisted/plugins/dropin.cache").write_text("stale")
        arguments = ("-m", "build", "--wheel", "--no-isolation", "--outdir", self.folder)
        run(sys.executable, *arguments, cwd=source)
        [wheel] = self.folder.glob("*.whl")
        return wheel

    def test_installed_in_a_fresh_environment(self) -> None:
        wheel = self.wheel()
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
        self.assertIn("twisted/plugins/p2phole_services.py", names)
        self.assertIn("twisted/plugins/p2phole_endpoints.py", names)
        self.assertIn("p2phole/py.typed", names)
        for name in names:
            self.assertNotIn("dropin.cache", name)
            # With one of these, Twisted's own package would be hidden.
            self.assertNotIn(name, ("twisted/__init__.py", "twisted/plugins/__init__.py"))

        fresh = self.folder / "fresh"
        venv.create(fresh, symlinks=True)
        python = fresh / "bin" / "python"
        install = ("-m", "pip", "--python", python, "install", "--quiet", "--no-index", "--no-deps", wheel)
        run(sys.executable, *install, cwd=self.folder)
        packages = Path(
            run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=fresh).strip()
        )
        # What we depend on is there already; p2phole itself comes from the wheel, which stands before it.
        outside = dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib"))
        (packages / "outside.pth").write_text("\n".join(outside))
        found = run(python, "-c", "import p2phole; print(p2phole.__file__)", cwd=fresh)
        self.assertTrue(Path(found.strip()).is_relative_to(fresh), found)

        commands = run(python, "-c", "from twisted.scripts.twistd import run; run()", "--help", cwd=fresh)
        for command in ("p2pbroker", "p2ppeer"):
            self.assertRegex(commands, rf"(?m)^ +{command} ")
            twistd = (python, "-c", "from twisted.scripts.twistd import run; run()", command, "--help")
            self.assertIn("--config=", run(*twistd, cwd=fresh))
        parse = "from twisted.internet.endpoints import *; print(serverFromString(None, 'p2p:broker=x'))"
        self.assertIn("P2PServerEndpoint", run(python, "-c", parse, cwd=fresh))
        self.assertRegex(run(fresh / "bin" / "p2phole", "--version", cwd=fresh), r"^p2phole [0-9.]+\n$")


class RunnerTests(SynchronousTestCase):
    def test_trial_leaves_loopback_to_pytest(self) -> None:
        """The tests there are functions, for pytest-twisted's running reactor: trial sees only classes."""
        suite = runner.TestLoader().loadByName("tests.loopback", recurse=True)
        self.assertEqual(suite.countTestCases(), 0)

"""What the documents name is there, and what is there is named: links, options, targets, reasons, events."""

from __future__ import annotations

import ast
import configparser
import re
import shlex
import tomllib
from dataclasses import fields
from itertools import chain
from pathlib import Path
from typing import get_args

from twisted.python.usage import Options
from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from p2phole.broker.tap import Options as BrokerOptions
from p2phole.commands import COMMANDS
from p2phole.events import Event
from p2phole.options import SECTIONS, read_config
from p2phole.peer.tap import Options as PeerOptions
from p2phole.people.command import Options as IdOptions
from p2phole.punch.verdict import REASONS
from p2phole.session.frames import Kind
from tests.docs import PAGES, ROOT, bare, blocks, code, read, table
from tests.natlab.__main__ import COMMANDS as LABORATORY
from tests.natlab.__main__ import PROFILES

PROTOCOL = "docs/protocol.md"

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_OPTION = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")


def long_options(options: Options) -> set[str]:
    """The long options that the class knows."""
    return {name.removesuffix("=") for name in options.longOpt}


BROKER, PEER, TWISTD = long_options(BrokerOptions()), long_options(PeerOptions()), long_options(ServerOptions())
PLUGINS = {"p2pbroker": BROKER, "p2ppeer": PEER}
OURS = {name: long_options(command.options()) for name, command in COMMANDS.items()}
NATLAB = {"site", "host"}


def literals(*calls: str) -> set[str]:
    """The first arguments, as far as they are texts, of all calls in p2phole of functions of these names."""
    found = set()
    for path in (ROOT / "p2phole").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                if name in calls and isinstance(node.args[0].value, str):
                    found.add(node.args[0].value)
    return found


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    """All anchors of a page."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    return {slug(heading) for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)}


class PageTests(SynchronousTestCase):
    """Links and names in all pages."""

    def test_links(self) -> None:
        for page in PAGES:
            for link in _LINK.findall(page.read_text("utf-8")):
                if "://" in link:
                    continue
                path, _, anchor = link.partition("#")
                target = (page.parent / path).resolve() if path else page
                self.assertTrue(target.exists(), f"{page.name}: {link}")
                if anchor:
                    self.assertIn(anchor, anchors(target), f"{page.name}: {link}")

    def test_every_page_is_linked(self) -> None:
        linked = {link.partition("#")[0] for link in _LINK.findall(read("README.md"))}
        self.assertEqual({str(page.relative_to(ROOT)) for page in PAGES} - linked, {"README.md"})

    def test_targets(self) -> None:
        makefile = read("Makefile")
        for page in PAGES:
            for line in code(page.read_text("utf-8")):
                for target in re.findall(r"^make ([a-z-]+)$", line):
                    self.assertRegex(makefile, rf"(?m)^{target}:", f"{page.name}: {line}")

    def test_first_screen(self) -> None:
        """The README begins with the two commands that need nothing else set up, before any heading."""
        screen = read("README.md").partition("\n## ")[0]
        commands = re.findall(r"^    (\w.*)$", screen, re.MULTILINE)
        self.assertEqual(commands, ["make demo", "make test"])

    def test_paths(self) -> None:
        """Paths of this repository that are shown as code exist."""
        for page in PAGES:
            for span in code(page.read_text("utf-8")):
                if re.fullmatch(r"(p2phole|tests|docs|twisted)/[\w/.*]*", span):
                    self.assertTrue(list(ROOT.glob(span.rstrip("/"))), f"{page.name}: {span}")


class OptionTests(SynchronousTestCase):
    """Command lines and options."""

    def test_options(self) -> None:
        """Every option that is mentioned exists somewhere."""
        known = set.union(*OURS.values()) | TWISTD | NATLAB
        for page in PAGES:
            for line in code(page.read_text("utf-8")):
                self.assertEqual(set(_OPTION.findall(line)) - known, set(), f"{page.name}: {line}")

    def test_commands(self) -> None:
        """Every command line has only options of its command, and is accepted by it."""
        seen = set()
        for page in PAGES:
            for line in code(page.read_text("utf-8")):
                words = shlex.split(line) if re.search(r"(twistd|p2phole)( |$)", line) else []
                program = Path(words[0].partition("=")[2] or words[0]).name if words else ""
                where = f"{page.name}: {line}"
                if program == "twistd" and len(words) > 1:
                    at = next((at for at, word in enumerate(words) if word in PLUGINS), len(words))
                    self.assertEqual(set(_OPTION.findall(" ".join(words[:at]))) - TWISTD, set(), where)
                    if at < len(words):
                        seen.add(words[at])
                        self.check(words[at], words[at + 1 :], where)
                elif program == "p2phole" and len(words) > 1:
                    self.assertIn(words[1], COMMANDS, where)
                    self.assertEqual(set(_OPTION.findall(line)) - OURS[words[1]], set(), where)
        self.assertEqual(seen, set(PLUGINS))

    def check(self, plugin: str, arguments: list[str], where: str) -> None:
        self.assertEqual(set(_OPTION.findall(" ".join(arguments))) - PLUGINS[plugin], set(), where)
        if not arguments or "..." in arguments:
            return
        options = BrokerOptions() if plugin == "p2pbroker" else PeerOptions()
        if {"--config", "--listen"} & set(arguments):
            self.patch(options, "postOptions", lambda: None)  # the files that they name are not there
        options.parseOptions(arguments)

    def test_every_command(self) -> None:
        """README has a row for each command, in the order in which they are listed."""
        shown = " ".join(row[0] for row in table(read("README.md"), "command"))
        self.assertEqual(list(dict.fromkeys(re.findall("`p2phole ([a-z]+)", shown))), list(COMMANDS))
        below = [command for command, *_ in IdOptions().subCommands]
        self.assertEqual(re.findall("`p2phole id ([a-z]+)", shown), below)

    def test_check(self) -> None:
        """The page of ``p2phole check`` has a row for each of its options."""
        rows = table(read("docs/check.md"), "option")
        self.assertEqual({name for row in rows for name in _OPTION.findall(row[0])}, OURS["check"])

    def test_laboratory(self) -> None:
        for page in PAGES:
            for line in code(page.read_text("utf-8")):
                for command in re.findall(r"python -m tests\.natlab (\w+)", line):
                    self.assertIn(command, LABORATORY, f"{page.name}: {line}")

    def test_configuration(self) -> None:
        """Samples of config files are config files."""
        count = 0
        for page in PAGES:
            for block in blocks(page.read_text("utf-8"), "ini"):
                path = self.mktemp()
                Path(path).write_text(block.text)
                self.assertTrue(set(read_config(path)) <= set(SECTIONS))
                count += 1
        self.assertTrue(count)

    def test_units(self) -> None:
        """Samples of systemd units start our commands."""
        for block in blocks(read("docs/operating.md"), "systemd"):
            parser = configparser.RawConfigParser()
            parser.read_string(block.text)
            if "Socket" in parser:
                continue
            words = shlex.split(parser["Service"]["ExecStart"])
            self.assertEqual((Path(words[0]).name, words[1]), ("twistd", "-n"))
            self.check(words[2], words[3:], block.text)


class ListTests(SynchronousTestCase):
    """Lists in the pages and in the code are the same."""

    def column(self, first: str, page: str = PROTOCOL) -> list[str]:
        return [bare(row[0]) for row in table(read(page), first)]

    def test_error_codes(self) -> None:
        self.assertEqual(set(self.column("code")), literals("BadLine", "refuse"))

    def test_reasons(self) -> None:
        self.assertEqual(self.column("reason"), list(REASONS))
        self.assertEqual(self.column("reason in `failed`", "docs/operating.md"), list(REASONS))

    def test_disconnect_reasons(self) -> None:
        self.assertEqual(set(self.column("reason in `disconnected`")), literals("hang_up", "gone"))

    def test_events(self) -> None:
        rows = {
            bare(name): [bare(key) for key in keys.split(", ")] for name, keys in table(read(PROTOCOL), "event")
        }
        self.assertEqual(rows, {kind.event: [field.name for field in fields(kind)] for kind in get_args(Event)})

    def test_frame_kinds(self) -> None:
        self.assertEqual(self.column("kind"), [kind.name for kind in Kind])

    def test_kinds_of_sites(self) -> None:
        self.assertEqual(self.column("kind of site", "docs/nat.md"), list(PROFILES))

    def test_modules(self) -> None:
        """The list of modules is whole."""
        shown = self.column("module", "docs/architecture.md")
        there = [str(path.relative_to(ROOT)) for path in (ROOT / "p2phole").rglob("*.py") if path.stat().st_size]
        self.assertEqual(sorted(shown), sorted(set(there) - {"p2phole/__init__.py"}))

    def test_dependencies(self) -> None:
        """Every package that pyproject.toml asks for has its line."""
        project = tomllib.loads(read("pyproject.toml"))["project"]
        wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
        names = {re.match(r"[\w-]+", each)[0] for each in wanted} - {"p2phole"}  # type: ignore[index]
        shown = set(
            re.findall(r"[\w-]+", " ".join(row[0] for row in table(read("docs/architecture.md"), "package")))
        )
        self.assertEqual(names - shown, set())
        self.assertEqual(shown - names - {"tls", "tests", "dev"}, set())

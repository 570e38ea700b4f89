"""Who may import whom: the table of the architecture, read from the code itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import p2phole

ROOT = Path(p2phole.__file__).parent

PURE = (
    "addresses",
    "behaviour",
    "bucket",
    "errors",
    "text",
    "wire.messages",
    "wire.codec",
    "broker.directory",
    "broker.introduction",
    "broker.admission",
    "broker.codes",
    "broker.limits",
    "broker.line",
    "broker.proof",
    "broker.settings",
    "punch.candidates",
    "punch.ledger",
    "punch.schedule",
    "punch.mapping",
    "punch.prediction",
    "punch.ports",
    "punch.verdict",
    "session.frames",
    "session.halves",
    "session.waiting",
    "session.kept",
    "session.pool",
    "session.greeting",
    "session.silence",
    "session.errors",
    "secure.roles",
    "secure.preface",
    "secure.identity",
    "secure.words",
    "secure.codes",
    "secure.secret_file",
    "secure.names",
    "secure.people",
    "secure.people_codec",
    "secure.known",
    "peer.settings",
    "peer.places",
    "peer.errors",
    "peer.status",
    "check.outlook",
    "check.findings",
    "check.words",
    "check.report",
    "check.settings",
    "check.errors",
    "people.times",
    "use.forward.specs",
    "use.chat.model",
    "use.chat.typed",
    "use.chat.view",
    "use.times",
    "use.files.errors",
    "use.files.names",
    "use.files.records",
    "use.files.listing",
    "use.files.pace",
)
"""Bytes and numbers only: none of these knows of Twisted's reactor, also not by way of another one."""

COMMON = {
    "addresses",
    "bucket",
    "behaviour",
    "errors",
    "text",
    "keepalive",
    "prompt",
    "vitals",
    "descriptors",
    "terminal",
}
MAY_IMPORT = {
    "wire": set(),
    "secure": set(),
    "session": {"secure"},
    "punch": {"secure"},
    "broker": {"wire", "secure"},
    "peer": {"wire", "secure", "punch", "session"},
    "check": {"wire", "secure", "punch", "peer"},
    "people": {"secure", "peer"},
    "use": {"secure", "session", "peer"},
    "endpoints": {"secure", "session", "peer"},
    "testing": {"session", "peer", "endpoints"},
}
"""Beside itself and what is common."""
AROUND = {"launch", "options", "coercion", "events"}
"""What the two services have from outside of the layers."""
CHECKS = {"check.command", "check.examination", "check.log"}
"""And the check, as far as it is not pure."""
PEOPLE = {
    "people.command",
    "people.secret",
    "use.running",
    "use.options",
    "use.chat.command",
    "use.forward.command",
    "use.forward.options",
    "use.chat.face",
    "use.pipe.command",
    "use.status.command",
    "use.files.send_command",
    "use.files.receive_command",
}
"""And the commands for people."""
SERVES = {"peer.tap": {"use"}}
"""And what puts a service together, of the uses that it runs."""
RUNS = {
    "broker.tap",
    "broker.service",
    "peer.tap",
    "peer.service",
    "peer.members",
    "peer.membership",
    "peer.conversation",
    "peer.telling",
    "peer.lines",
    "peer.talk",
    "peer.use",
    "endpoints.options",
    "endpoints.switchboard",
    "testing",
}
"""And what has events to tell, or options."""

REACTOR = {"cli", "commands", "broker.tap", "peer.tap", "check.command", "use.running", "use.status.command"}
"""The only ones that import the reactor, each within a function."""
BINDS = {"punch.shared_port"}


def modules() -> dict[str, ast.Module]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix("__init__").rstrip(".")
        found[name] = ast.parse(path.read_text())
    return found


MODULES = modules()


def imports(tree: ast.AST) -> Iterator[str]:
    """The full name of everything that is imported anywhere in it, but for annotations only."""
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped.update(below for part in node.body for below in ast.walk(part))
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(name: str) -> set[str]:
    """The modules of ours that one imports."""
    found = set()
    for full in imports(MODULES[name]):
        inner = full.removeprefix("p2phole").removeprefix(".") if full.split(".")[0] == "p2phole" else None
        while inner and inner not in MODULES:
            inner = inner.rpartition(".")[0]
        if inner:
            found.add(inner)
    return found


def reached(name: str) -> set[str]:
    """Itself, and all modules of ours that come with it."""
    found, todo = set(), {name}
    while todo:
        one = todo.pop()
        if one not in found:
            found.add(one)
            todo |= ours(one)
    return found


class LayerTests(SynchronousTestCase):
    def test_the_reader_reads(self) -> None:
        self.assertIn("wire.messages", ours("wire.codec"))
        self.assertIn("text", reached("broker.protocol"))
        self.assertIn("twisted.internet.tcp.makeBinding", set(imports(MODULES["punch.shared_port"])))

    def test_pure_modules(self) -> None:
        self.assertLessEqual(set(PURE), set(MODULES))
        for name in PURE:
            for one in reached(name):
                impure = [
                    full
                    for full in imports(MODULES[one])
                    if full.split(".")[0] in ("twisted", "socket", "asyncio")
                ]
                self.assertEqual(impure, [], f"{name}, by way of {one}")

    def test_each_layer_knows_the_ones_below(self) -> None:
        for name in MODULES:
            layer, _, _ = name.partition(".")
            if layer not in MAY_IMPORT:
                continue
            allowed = MAY_IMPORT[layer] | COMMON | {layer}
            if name in RUNS or name in CHECKS | PEOPLE:
                allowed |= AROUND
            allowed |= SERVES.get(name, set())
            for other in ours(name):
                self.assertIn(other.partition(".")[0], allowed, f"{name} imports {other}")

    def test_a_circle_is_no_layer(self) -> None:
        for name in MODULES:
            for other in ours(name):
                self.assertNotIn(name, reached(other) if other != name else (), f"{name} and {other}")

    def test_who_imports_the_reactor(self) -> None:
        for name, tree in MODULES.items():
            found = "twisted.internet.reactor" in imports(tree)
            self.assertLessEqual(found, name in REACTOR, name)
            at_the_top = ast.Module(
                [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)], []
            )
            self.assertNotIn("twisted.internet.reactor", list(imports(at_the_top)), name)

    def test_importing_it_all_installs_no_reactor(self) -> None:
        names = [f"p2phole.{name}" for name in MODULES if name and name != "__main__"]
        code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)\n"
        code += "sys.exit('twisted.internet.reactor' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code, *names], timeout=60).returncode, 0)

    def test_who_binds(self) -> None:
        for name, tree in MODULES.items():
            found = {full for full in imports(tree) if full.endswith(("makeBinding", "socket.socket"))}
            found |= {
                node.attr
                for node in ast.walk(tree)
                if isinstance(node, ast.Attribute) and node.attr in ("bind", "bind_ex")
            }
            self.assertLessEqual(bool(found), name in BINDS, (name, found))

    def test_nobody_asks_the_wall_clock_by_himself(self) -> None:
        for layer in ("wire", "secure", "session", "punch", "broker"):
            for name, tree in MODULES.items():
                if name.partition(".")[0] == layer:
                    self.assertEqual([full for full in imports(tree) if full.split(".")[0] == "time"], [], name)

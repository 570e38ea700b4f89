"""What can go wrong, told to people."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from string import Formatter

from twisted.trial.unittest import SynchronousTestCase

import p2phole
from p2phole.errors import EndpointUnusable, P2pholeError, PortTaken


def everything(kind: type[P2pholeError]) -> Iterator[type[P2pholeError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from everything(below)


class ErrorTests(SynchronousTestCase):
    def test_the_docstring_is_what_the_user_reads(self) -> None:
        self.assertEqual(str(EndpointUnusable(endpoint="tcp:x", why="bad")), "Cannot listen on tcp:x: bad.")
        self.assertIn("Port 9000 cannot be listened on (in use): choose", str(PortTaken(port=9000, why="in use")))

    def test_braces_in_what_went_wrong_are_no_fields(self) -> None:
        self.assertEqual(str(EndpointUnusable(endpoint="{why}", why="{0}")), "Cannot listen on {why}: {0}.")

    def test_each_is_one_line_that_ends(self) -> None:
        for module in pkgutil.walk_packages(p2phole.__path__, "p2phole."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        kinds = set(everything(P2pholeError))
        self.assertGreater(len(kinds), 10)
        for kind in kinds:
            self.assertTrue(vars(kind).get("__doc__"), kind)
            parts = Formatter().parse(kind.__doc__ or "")
            # What has a format is a number.
            fields = {name: 7.0 if form else "something" for _, name, form, _ in parts if name}
            error = kind.__new__(kind)
            P2pholeError.__init__(error, **fields)
            self.assertRegex(str(error), r"^\S.*\.$")
            self.assertNotIn("\n", str(error))

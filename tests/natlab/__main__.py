"""``python -m tests.natlab``: the laboratory without any test."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable

from tests.natlab.behaviours import BEHAVIOURS
from tests.natlab.laboratory import Laboratory, unavailable
from tests.natlab.namespace import Host
from tests.natlab.profiles import PROFILES, SHORT_NAMES, table
from tests.natlab.sites import Profile
from tests.natlab.topologies import TOPOLOGIES

_KINDS: dict[str, Profile] = {**SHORT_NAMES, **PROFILES}


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def selftest(arguments: argparse.Namespace) -> int:
    """Show each behaviour by probing it; a table; 1 if one is not as it should be."""
    status = 0
    for behaviour in BEHAVIOURS:
        if arguments.name and behaviour.__name__ not in arguments.name:
            continue
        start = time.monotonic()
        try:
            shown, verdict = behaviour(), "ok"
        except (AssertionError, OSError) as error:
            shown, verdict, status = str(error), "FAILED", 1
        _say(f"{verdict:<6}  {behaviour.__name__:<26} {time.monotonic() - start:5.2f} s  {shown}")
    return status


def profiles(_arguments: argparse.Namespace) -> int:
    """List the kinds of connection and what they do."""
    _say(table())
    return 0


def topologies(_arguments: argparse.Namespace) -> int:
    """List where two peers may be, seen from each other."""
    for name, build in TOPOLOGIES.items():
        _say(f"{name:<22}  {(build.__doc__ or '').splitlines()[0]}")
    return 0


def _build(lab: Laboratory, arguments: argparse.Namespace) -> dict[str, Host]:
    lab.broker()
    sites = arguments.site or [("alice", "silent"), ("bob", "reset")]
    if arguments.topology is None:
        for name, kind in sites:
            lab.site(name, _KINDS[kind])
    else:
        # The first two kinds are those of the two homes, whose names the topology gives.
        first, second = [_KINDS[kind] for _name, kind in (sites * 2)[:2]]
        TOPOLOGIES[arguments.topology](lab, first, second)
    return {host.name: host for site in lab.sites.values() for host in site.hosts}


def _site(text: str) -> tuple[str, str]:
    name, _, kind = text.partition("=")
    if not name or kind not in _KINDS:
        raise argparse.ArgumentTypeError(f"NAME=KIND with one of these kinds: {', '.join(_KINDS)}")
    return name, kind


def shell(arguments: argparse.Namespace) -> int:
    """Build a laboratory and open a shell in one of its hosts; it ends with the shell."""
    with Laboratory() as lab:
        hosts = _build(lab, arguments)
        for host in hosts.values():
            enter = " ".join(host.command(["sh"]))
            public = "" if host.address in host.site.ipv4 else f" behind {host.site.ipv4[0]}"
            _say(f"{host.name}: {' '.join(host.addresses)}{public}   ({enter})")
        chosen = hosts.get(arguments.host) if arguments.host else next(reversed(hosts.values()))
        if chosen is None:
            sys.stderr.write(f"there is no host {arguments.host}\n")
            return 2
        _say(f"a shell in {chosen.name}:")
        return chosen.start([os.environ.get("SHELL", "sh")], stdin=0).wait()


def hold(arguments: argparse.Namespace) -> int:
    """Build a laboratory, say in a line of JSON what it consists of, keep it until standard input ends."""
    with Laboratory() as lab:
        hosts = _build(lab, arguments)
        # A program that leaves its parent, as a daemon does: it has to end with the laboratory all the same.
        stray = hosts["broker"].run(["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $!"]).stdout
        started = [host.start(["sleep", "1000"]).pid for host in hosts.values()]
        _say(
            json.dumps(
                {
                    "pids": [*lab.helper_pids, *started, int(stray)],
                    "namespaces": [namespace.inode for namespace in lab.namespaces()],
                    "folder": str(lab.folder),
                }
            )
        )
        sys.stdin.read()
    return 0


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "selftest": selftest,
    "profiles": profiles,
    "topologies": topologies,
    "shell": shell,
    "hold": hold,
}


def main() -> int:
    """Parse the command line and run a command."""
    parser = argparse.ArgumentParser(prog="python -m tests.natlab", description="A NAT laboratory in namespaces.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, function in COMMANDS.items():
        command = commands.add_parser(name, help=function.__doc__, description=function.__doc__)
        if function is selftest:
            command.add_argument("name", nargs="*", help="only these behaviours")
        if function in (shell, hold):
            command.add_argument(
                "--site",
                action="append",
                type=_site,
                metavar="NAME=KIND",
                help=f"repeatable; kinds: {', '.join(_KINDS)}",
            )
            command.add_argument(
                "--topology", choices=TOPOLOGIES, help="how the two sites' kinds are put together"
            )
        if function is shell:
            command.add_argument("--host", metavar="NAME", help="where the shell is (default: the last site)")
    arguments = parser.parse_args()
    listing = arguments.command in ("profiles", "topologies")
    reason = None if listing else unavailable()
    if reason is not None:
        sys.stderr.write(reason + "\n")
        return 1
    return COMMANDS[arguments.command](arguments)


if __name__ == "__main__":
    sys.exit(main())

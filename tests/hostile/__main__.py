"""``python -m tests.hostile broker|peer MODE``: one attacker."""

from __future__ import annotations

import argparse
import random
import sys
from ipaddress import ip_address

from p2phole.descriptors import raise_descriptor_limit
from tests.hostile.modes import MODES, shown, table


def address(text: str) -> tuple[str, int]:
    """``HOST:PORT``, on loopback: nothing here may be pointed at anybody else."""
    host, _, port = text.rpartition(":")
    if not ip_address(host).is_loopback:
        raise argparse.ArgumentTypeError(f"{host} is not on loopback")
    return host, int(port)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m tests.hostile",
        description=__doc__,
        epilog=table(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sides = found.add_subparsers(dest="side", required=True, metavar="broker|peer")
    for side, modes in MODES.items():
        one = sides.add_parser(side, epilog=table(), formatter_class=argparse.RawDescriptionHelpFormatter)
        one.add_argument("mode", choices=modes, metavar="MODE")
        one.add_argument("--seconds", type=float, help="how long at the most")
        one.add_argument("--count", type=int, help="how many of whatever the mode does many times")
        one.add_argument("--seed", type=int, default=1, help="what is random is the same for the same seed")
        if side == "broker":
            one.add_argument("--port", type=int, required=True, help="where it listens, at 127.0.0.1")
        else:
            one.add_argument("--broker", type=address, metavar="HOST:PORT", help="whose peers it attacks")
            one.add_argument("--target", type=address, metavar="HOST:PORT", help="the direct port of a peer")
            one.add_argument("--source", default="127.0.0.9", help="its own address, on loopback")
            one.add_argument("--name", default="bob", help="as what it calls itself")
        one.add_argument("--room", default="lobby", help="the room that it attacks")
        one.add_argument("--secret-file", help="the room's secret, or what it takes for that")
    return found


def main() -> int:
    """Run one; 0, whatever it got."""
    arguments = parser().parse_args()
    mode = MODES[arguments.side][arguments.mode]
    if arguments.seconds is None:
        arguments.seconds = mode.seconds
    arguments.count = mode.count if arguments.count is None else arguments.count
    arguments.random = random.Random(arguments.seed)
    raise_descriptor_limit()
    told = mode.load(arguments.mode)(arguments)
    sys.stdout.write(shown(arguments.side, arguments.mode, told) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

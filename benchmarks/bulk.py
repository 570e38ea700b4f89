"""The session, on the TLS of a direct connection, beside Twisted's own: writes of 64 KiB, round trips of 64 bytes.

``python -m benchmarks.bulk [MIB [ROUNDS]] [--loopback] [--crowd] [--programs] [--plot FILE]`` prints tables: two
processes on loopback, and in two network namespaces with a veth pair (as root; ``--loopback`` leaves them out).
All contenders run by turns, ROUNDS times, and are compared within a round: what else the machine did in the
meantime it did to all of them.  Medians.  Then what many streams of one session cost (``--crowd``: only that).
Last, all figures as a line of JSON.  ``--programs``: whole programs in the same run, too, see
:mod:`benchmarks.programs` and :mod:`benchmarks.forwards`.  ``--plot`` needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import forwards, programs
from benchmarks.contenders import CONTENDERS, SESSION
from benchmarks.places import LOOPBACK, veth

COLUMNS = {"rate": "MiB/s", "cpu": "CPU s/GiB", "ping": "us for 64 B"}
STREAMS = 1000
Results = dict[str, dict[str, list[dict[str, float]]]]
"""By place, and by contender: one for each round."""


def compare(size: int, rounds: int, loopback: bool) -> Results:
    """Run all contenders by turns; ``size``: bytes."""
    found: Results = {}
    with ExitStack() as stack:
        places = [LOOPBACK]
        if not loopback:
            place = stack.enter_context(veth())
            if place is None:
                sys.stdout.write("veth is left out: it takes root, ip, nsenter and unshare\n")
            else:
                places.append(place)
        for _ in range(rounds):
            for place in places:
                for contender in CONTENDERS:
                    results = found.setdefault(place.name, {}).setdefault(contender.name, [])
                    results.append(contender.run(place, size))
    return found


def summary(results: dict[str, list[dict[str, float]]]) -> dict[str, dict[str, tuple[float, float]]]:
    """By contender and column: the median, and the median of what it is to the first contender's in its round."""
    first = next(iter(results.values()))
    return {
        name: {
            column: (
                statistics.median(each[column] for each in rounds),
                statistics.median(each[column] / base[column] for each, base in zip(rounds, first, strict=True)),
            )
            for column in COLUMNS
            if all(column in each for each in (*rounds, *first))
        }
        for name, rounds in results.items()
    }


def table(place: str, results: dict[str, list[dict[str, float]]]) -> list[str]:
    """One place, a line for each contender."""
    lines = ["", f"{place:20}" + "".join(f"{title:>13}{'ratio':>7}" for title in COLUMNS.values())]
    for name, columns in summary(results).items():
        cells = [
            "{:13.2f}{:7.2f}".format(*columns[column]) if column in columns else " " * 20 for column in COLUMNS
        ]
        lines.append(f"{name:20}" + "".join(cells))
    return lines


def crowd(size: int) -> dict[str, float]:
    """What many streams of one session cost; each question to processes of their own, since memory has a past."""
    found = SESSION.tasks(LOOPBACK, f"ping={STREAMS}", f"stalled={size}")
    for task in ("many", "unread"):
        found.update(SESSION.tasks(LOOPBACK, f"{task}={STREAMS}"))
    # A single stream for one chunk: what a process needs before there are many.
    found["alone"] = SESSION.tasks(LOOPBACK, "many=1")["many"]
    return found


def crowd_table(found: dict[str, float]) -> list[str]:
    """The answers."""
    return [
        "",
        f"{'many streams over one session':60}",
        f"{'50 busy streams beside a stalled one: times as long':60}{found['stalled']:8.2f}",
        f"{'MiB of a process with one stream':60}{found['alone']:8.0f}",
        f"{f'MiB with {STREAMS:,} opened, used and closed':60}{found['many']:8.0f}",
        f"{f'MiB with {STREAMS:,} that are never read, one that is':60}{found['unread']:8.0f}",
    ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mib", nargs="?", type=int, default=512, help="MiB in each round (512)")
    parser.add_argument("rounds", nargs="?", type=int, default=7, help="rounds (7)")
    parser.add_argument("--loopback", action="store_true", help="leave out the namespaces")
    parser.add_argument("--crowd", action="store_true", help="only what many streams cost")
    parser.add_argument("--programs", action="store_true", help="pipe and forward beside other programs, too")
    parser.add_argument("--plot", type=Path, help="write a picture here (needs matplotlib)")
    options = parser.parse_args()
    if not (1 <= options.mib <= 65_536 and 1 <= options.rounds <= 100):
        parser.error("from 1 to 65,536 MiB, and up to 100 rounds")
    size = options.mib * 2**20
    document: dict[str, Any] = {"mib": options.mib, "rounds": options.rounds}
    document["places"] = {} if options.crowd else compare(size, options.rounds, options.loopback)
    document["crowd"] = crowd(size)
    lines = [line for place, results in document["places"].items() for line in table(place, results)]
    sys.stdout.write("\n".join([*lines, *crowd_table(document["crowd"]), json.dumps(document)]) + "\n")
    if options.programs:
        programs.main(size, options.rounds)
        forwards.main(size, options.rounds)
    if options.plot:
        from benchmarks.bulk_picture import draw

        draw(document, options.plot)


if __name__ == "__main__":
    main()

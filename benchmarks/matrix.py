"""The matrix: pairs of kinds of connection in the laboratory, the product beside two baselines.

``python -m benchmarks.matrix [--trials N] [--seconds N] [--all]``; needs the laboratory (see docs/nat.md) and
matplotlib.  Writes docs/nat-matrix.json, what docs/nat.md and README.md say of it, and docs/nat-matrix.png;
``--render`` does all but the first from the JSON that is there.

The JSON is one object: ``schema`` 1; ``commit``, ``date``, ``seed``, ``kernel``, ``python``, ``twisted``,
``trials`` and ``seconds`` (of the whole run); ``profiles``, names in the order in which they are shown;
``pairs``, each with ``first``, ``second``, ``expected`` (see :func:`benchmarks.pairs.expected`) and
``punchers``: by name ``trials``, ``successes``, and lists with one item for each success: ``seconds`` (the
slower side's, from the introduction), ``attempts``, ``candidates``; ``reasons``: both sides' for each failure.
Pairs for whose trials the time did not suffice are not in it.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

from benchmarks.matrix_page import write
from benchmarks.pairs import PUNCHERS, Trial, expected, run_pair
from tests.natlab.laboratory import unavailable
from tests.natlab.profiles import PROFILES

ROOT = Path(__file__).parents[1]
JSON = ROOT / "docs" / "nat-matrix.json"

CHOSEN = (
    "open",
    "eim-eif",
    "eim-adf",
    "firewall4-drop",
    "eim-apdf-silent",
    "eim-apdf-reset",
    "kernel-masq-reset",
    "cgn-home",
    "adm-apdf-seq1",
    "sym-seq1",
    "sym-seq2",
    "few-ports",
    "sym-random",
    "kernel-fully-random",
    "random4-firewall6-drop",
    "firewall6-drop",
)
"""One for each way in which connections differ, the easy ones first."""

Pair = tuple[str, str]


def work(pair: Pair, seed: int, deadline: float) -> dict[str, Trial] | None:
    """In a process of its own; None where it is too late."""
    return None if time.time() > deadline else run_pair(*pair, seed)


def measure(
    pairs: list[Pair], trials: int, seed: int, deadline: float, jobs: int, tell: Callable[[str], object]
) -> dict[Pair, list[dict[str, Trial]]]:
    """All pairs in random order, and again for each further trial."""
    results: dict[Pair, list[dict[str, Trial]]] = {}
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        futures = {}
        for number in range(trials):
            for pair in random.Random(seed + number).sample(pairs, len(pairs)):
                futures[pool.submit(work, pair, seed + number, deadline)] = pair
        for count, future in enumerate(as_completed(futures), 1):
            pair, result = futures[future], future.result()
            if result is not None:
                results.setdefault(pair, []).append(result)
                said = (str(result[name]["seconds"] or "/".join(result[name]["reasons"])) for name in PUNCHERS)
                tell(f"{count} of {len(futures)}: {' '.join(pair)}: {'  '.join(said)}")
    return results


def summary(trials: list[Trial]) -> dict[str, Any]:
    """What the JSON says of one puncher and pair."""
    good = [trial for trial in trials if trial["seconds"] is not None]
    return {
        "trials": len(trials),
        "successes": len(good),
        "seconds": [trial["seconds"] for trial in good],
        "attempts": [trial["attempts"] for trial in good if trial["attempts"]],
        "candidates": [trial["candidate"] for trial in good if trial["candidate"]],
        "reasons": [trial["reasons"] for trial in trials if trial["seconds"] is None],
    }


def document(
    profiles: list[str], results: dict[Pair, list[dict[str, Trial]]], trials: int, seed: int, seconds: float
) -> dict[str, Any]:
    """The whole JSON."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    pairs = [
        {
            "first": first,
            "second": second,
            "expected": expected(first, second),
            "punchers": {name: summary([each[name] for each in results[first, second]]) for name in PUNCHERS},
        }
        for first, second in combinations_with_replacement(profiles, 2)
        if len(results.get((first, second), [])) == trials
    ]
    return {
        "schema": 1,
        "commit": commit.stdout.strip(),
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "seed": seed,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "twisted": version("Twisted"),
        "trials": trials,
        "seconds": round(seconds),
        "profiles": profiles,
        "pairs": pairs,
    }


def dumped(found: dict[str, Any]) -> str:
    """As text, with one line for each pair."""
    head = json.dumps({**found, "pairs": []}, indent=1).removesuffix("[]\n}")
    return head + "[\n  " + ",\n  ".join(map(json.dumps, found["pairs"])) + "\n ]\n}\n"


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1, help="of each pair and puncher (default 1)")
    parser.add_argument("--seconds", type=float, help="start nothing after so long (default 1200 for each trial)")
    parser.add_argument("--seed", type=int, default=1, help="for the order, the NATs and the links (default 1)")
    parser.add_argument("--jobs", type=int, default=2, help="laboratories at once (default 2)")
    parser.add_argument("--all", action="store_true", help="all profiles, not the chosen ones")
    parser.add_argument("--profile", action="append", choices=PROFILES, help="only these; repeatable")
    parser.add_argument("--render", action="store_true", help="only write pages and picture again")
    options = parser.parse_args()
    if not options.render:
        reason = unavailable()
        if reason is not None:
            sys.stderr.write(f"no laboratory here: {reason}\n")
            return 1
        profiles = list(options.profile or (PROFILES if options.all else CHOSEN))
        began = time.time()
        results = measure(
            list(combinations_with_replacement(profiles, 2)),
            options.trials,
            options.seed,
            began + (options.seconds or 1200 * options.trials),
            options.jobs,
            lambda line: sys.stderr.write(line + "\n"),
        )
        found = document(profiles, results, options.trials, options.seed, time.time() - began)
        JSON.write_text(dumped(found))
    write(json.loads(JSON.read_text()), ROOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How long from the introduction to an authenticated connection, beside a puncher without TLS and two policies.

``python -m benchmarks.connect [--trials N] [--plot FILE]``; needs the laboratory (see docs/nat.md).
Links of 10 ms each way between site and core: 40 ms round trip between peers, 20 ms to the broker.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.natlab.laboratory import Laboratory, unavailable
from tests.natlab.namespace import Host
from tests.natlab.probes import wait_until
from tests.natlab.routers import Masquerade
from tests.natlab.scenario import BROKER, Program, ScenarioError, start_broker, start_peer

PRODUCT = "p2phole"
BARE = "bare, at once"
SERIES: dict[str, str | None] = {
    PRODUCT: None,
    BARE: "at-once",
    "bare, one connect": "one",
    "bare, every 200 ms": "fixed-200ms",
}
Results = dict[tuple[str, str], list[float | None]]


def product_trial(alice: Host, bob: Host, number: int) -> list[float | None]:
    """Seconds on both sides; None where there was no connection within the first agreed start."""
    first = start_peer(alice, f"alice{number}", room=f"r{number}")
    first.wait("registered")
    second = start_peer(bob, f"bob{number}", room=f"r{number}")
    seconds: list[float | None] = []
    for program in (first, second):
        try:
            connected = program.wait("connected", timeout=8)
            seconds.append(connected["seconds"] if connected["attempts"] == 1 else None)
        except ScenarioError:
            seconds.append(None)
    for program in (first, second):
        program.stop()
    return seconds


def bare_trial(policy: str) -> Callable[[Host, Host, int], list[float | None]]:
    """The same with :mod:`benchmarks.bare`."""

    def trial(alice: Host, bob: Host, number: int) -> list[float | None]:
        def start(host: Host, name: str) -> Program:
            command = [sys.executable, "-m", "benchmarks.bare", BROKER, name, policy]
            return Program(host, name, lambda events: command)

        def told(program: Program, event: str) -> dict[str, float | None]:
            def found() -> dict[str, float | None] | None:
                lines = [json.loads(line) for line in program.output.read_text().splitlines()]
                return next((line for line in lines if line["event"] == event), None)

            return wait_until(found, f"{program.name}: {event}", 12)

        first = start(alice, f"alice{number}")
        told(first, "registered")
        second = start(bob, f"bob{number}")
        seconds = [told(program, "ended")["seconds"] for program in (first, second)]
        for program in (first, second):
            program.process.wait(5)
        return seconds

    return trial


def measure(trials: int) -> Results:
    """All series in turn, trial by trial, so that a slow moment of the machine strikes all of them."""
    results: Results = {}
    for stray in ("silent", "reset"):
        with Laboratory(seed=1) as lab:
            start_broker(lab)
            alice = lab.site("alice", Masquerade(stray=stray))
            bob = lab.site("bob", Masquerade(stray=stray))
            for number in range(trials):
                for name, policy in SERIES.items():
                    trial = product_trial if policy is None else bare_trial(policy)
                    results.setdefault((stray, name), []).extend(trial(alice, bob, number))
                sys.stderr.write(f"\r{stray}: {number + 1} of {trials} ")
    sys.stderr.write("\n")
    return results


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which that share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def table(results: Results) -> str:
    """As Markdown."""
    lines = ["| routers | puncher | connected | p50 | p95 | p50 beside bare |", "|---|---|---|---|---|---|"]
    for (stray, name), seconds in results.items():
        times = [value for value in seconds if value is not None]
        bare = [value for value in results[stray, BARE] if value is not None]
        shown = ["-", "-", "-"]
        if times:
            shown = [f"{statistics.median(times) * 1000:.0f} ms", f"{quantile(times, 0.95) * 1000:.0f} ms"]
            shown.append(f"{statistics.median(times) / statistics.median(bare):.2f}" if bare else "-")
        lines.append(f"| {stray} | {name} | {len(times)}/{len(seconds)} | {' | '.join(shown)} |")
    return "\n".join(lines)


def plot(results: Results, path: Path) -> None:
    """One box for each series; what never connected is told in its label."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4), sharey=True)
    for axis, stray in zip(axes, ("silent", "reset"), strict=True):
        labels, boxes = [], []
        for name in SERIES:
            seconds = results[stray, name]
            times = [value * 1000 for value in seconds if value is not None]
            labels.append(f"{name}\n{len(times)}/{len(seconds)}")
            boxes.append(times)
        axis.boxplot(boxes, tick_labels=labels, showfliers=True)
        axis.set_title(f"routers {'drop stray SYNs' if stray == 'silent' else 'answer stray SYNs with RST'}")
        axis.set_yscale("log")
        axis.tick_params(axis="x", labelsize=8)
        axis.grid(axis="y", which="both", alpha=0.3)
    axes[0].set_ylabel("introduced to connected, ms")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10, help="of each series and kind of router (default 10)")
    parser.add_argument("--plot", type=Path, help="write a picture here (needs matplotlib)")
    options = parser.parse_args()
    reason = unavailable()
    if reason is not None:
        sys.stderr.write(f"no laboratory here: {reason}\n")
        return 1
    results = measure(max(1, min(options.trials, 100)))
    sys.stdout.write(table(results) + "\n")
    if options.plot:
        plot(results, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())

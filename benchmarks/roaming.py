"""How long a talk is interrupted when the networks of the two change under it, by kind of router.

``python -m benchmarks.roaming [--trials N]``: seconds from the moment when the path is possible again until each
side hears what was said after it.  Instead, ``--cuts N --messages M [--seed S]``: so many interruptions at random
moments while each side says so many numbers, which have to arrive once and in order.  ``--transfer MIB``: so much
through ``pipe`` and through ``send``, while a router reboots three times and the broker is killed once; it has to
arrive as it was sent.

Needs the laboratory (see docs/nat.md).  Links of 10 ms each way between site and core.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable

from tests.natlab.behaviour import APD, EI, Behaviour
from tests.natlab.laboratory import Laboratory, unavailable
from tests.natlab.nats import CarrierHome, Nat
from tests.natlab.roaming import Disruptions, Interruption, Transfer, cuts, rebooted_and_brokerless, talking
from tests.natlab.routers import Masquerade
from tests.natlab.scenario import ScenarioError, start_broker
from tests.natlab.sites import Open, Profile

_DOUBLE = CarrierHome(Masquerade(stray="reset"), Behaviour(filtering=APD, stray="reset"))
PAIRS: dict[str, tuple[Profile, Profile]] = {
    "Linux, silent": (Masquerade(strict=True), Masquerade(strict=True)),
    "Linux, resets": (Masquerade(strict=True, stray="reset"), Masquerade(strict=True, stray="reset")),
    "Linux as it comes": (Masquerade(stray="reset"), Masquerade(stray="reset")),
    "Linux, random ports, with open": (Masquerade(ports="fully-random"), Open()),
    "EIM, EIF, ports kept": (Nat(Behaviour(filtering=EI)), Nat(Behaviour(filtering=EI))),
    "EIM, APDF, ports kept": (Nat(), Nat()),
    "EIM, APDF, random ports": (Nat(Behaviour(allocation="random")), Nat(Behaviour(allocation="random"))),
    "symmetric, sequential, with EIM": (Nat(Behaviour(mapping=APD, allocation="sequential")), Nat()),
    "symmetric, resets, with Linux": (
        Nat(Behaviour(mapping=APD, allocation="sequential", stray="reset")),
        Masquerade(strict=True, stray="reset"),
    ),
    "another address each time, with EIM": (Nat(Behaviour(pool=4, pooling="arbitrary")), Nat()),
    "two NATs, the outer one resets": (_DOUBLE, Masquerade(strict=True, stray="reset")),
    "two NATs on both sides": (_DOUBLE, _DOUBLE),
}
MOST_TRIALS, MOST_CUTS, MOST_MESSAGES = 50, 200, 100_000
MOST_MEBIBYTES, TRANSFER_SECONDS = 4096, 1200.0
RATE = 100
"""Messages a second of each side, where they are counted."""


def disruptions_of(lab: Laboratory, disruptions: Disruptions) -> dict[str, Callable[[], None]]:
    """What is tried with each pair."""

    def twice() -> None:
        disruptions.reboot("alice")
        time.sleep(1.5)
        disruptions.reboot("alice")

    def with_broker() -> None:
        disruptions.kill_broker()
        disruptions.reboot("alice", seconds=1.0)
        disruptions.restart_broker()

    tried: dict[str, Callable[[], None]] = {
        "one router": lambda: disruptions.reboot("alice"),
        "both routers": lambda: disruptions.reboot("alice", "bob"),
        "one router, down 10 s": lambda: disruptions.reboot("alice", seconds=10.0),
        "one router and the broker": with_broker,
        "one router, twice": twice,
    }
    if lab.carriers:
        tried["a carrier's NAT"] = lambda: lab.reboot_carrier("alice-carrier")
    else:
        tried["silence of 8 s"] = lambda: disruptions.blackhole("alice", "bob", 8.0)
    return tried


def measure(trials: int) -> dict[tuple[str, str], list[Interruption | None]]:
    """None: not within half a minute; the pair is not asked any more then."""
    results: dict[tuple[str, str], list[Interruption | None]] = {}
    for name, pair in PAIRS.items():
        with Laboratory(seed=1) as lab:
            disruptions = Disruptions(lab, start_broker(lab))
            sites = [lab.site(each, profile) for each, profile in zip(("alice", "bob"), pair, strict=True)]
            tried = disruptions_of(lab, disruptions) if not isinstance(pair[1], Open) else {}
            tried = tried or {"one router": lambda disruptions=disruptions: disruptions.reboot("alice")}
            try:
                with talking(lab, sites[0], sites[1]) as talk:
                    for _ in range(trials):
                        for what, action in tried.items():
                            row = results.setdefault((name, what), [])
                            row.append(None)
                            row[-1] = talk.interrupt(what, action)
                            sys.stderr.write(f"{name}: {row[-1]}\n")
            except ScenarioError as error:
                sys.stderr.write(f"{name}: {error}\n")
    return results


def table(results: dict[tuple[str, str], list[Interruption | None]]) -> str:
    """As Markdown."""
    lines = ["| routers | what | goes on | median | worst | another connection |", "|---|---|---|---|---|---|"]
    for (name, what), row in results.items():
        found = [each for each in row if each is not None]
        seconds = [each.longest for each in found]
        shown = [f"{statistics.median(seconds):.2f} s", f"{max(seconds):.2f} s"] if seconds else ["-", "-"]
        again = sum(all(side is not None for side in each.resumed) for each in found)
        lines.append(f"| {name} | {what} | {len(found)}/{len(row)} | {' | '.join(shown)} | {again} |")
    return "\n".join(lines)


def count(number: int, messages: int, seed: int) -> str:
    """Messages that are numbered, and cuts at random moments; ScenarioError if one is missing or there twice."""
    sys.stderr.write(f"seed {seed}\n")
    with Laboratory(seed=seed) as lab:
        disruptions = Disruptions(lab, start_broker(lab))
        alice, bob = lab.site("alice", Nat()), lab.site("bob", Masquerade(strict=True, stray="reset"))
        with talking(lab, alice, bob, period=1 / RATE, least=messages) as talk:
            found = []
            for interruption in cuts(talk, disruptions, random.Random(seed), number):
                sys.stderr.write(f"{interruption}\n")
                found.append(interruption.longest)
        texts = [len(talk.heard(side)) for side in (0, 1)]
    return (
        f"{texts[0]} and {texts[1]} messages, once and in order, through {number} interruptions (seed {seed}); "
        f"heard again after {statistics.median(found):.2f} s, {max(found):.2f} s at most"
    )


def transfers(mebibytes: int) -> str:
    """Seconds until there was more after each interruption; ScenarioError if not all of it arrives as it was."""
    lines = [
        f"| {mebibytes} MiB through | reboot | reboot and no broker | reboot | in all |",
        "|---|---|---|---|---|",
    ]
    for how in ("pipe", "send"):
        with Laboratory(seed=1) as lab:
            disruptions = Disruptions(lab, start_broker(lab))
            alice, bob = lab.site("alice", Nat()), lab.site("bob", Masquerade(strict=True, stray="reset"))
            start = time.monotonic()
            transfer = Transfer(lab, how, alice, bob, mebibytes << 20, seed=1)
            seconds = rebooted_and_brokerless(transfer, disruptions)
            transfer.end(TRANSFER_SECONDS)
            shown = " | ".join(f"{each:.2f} s" for each in seconds)
            lines.append(f"| {how} | {shown} | {time.monotonic() - start:.0f} s |")
    return "\n".join(lines)


def main() -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=3, help="of each interruption and pair (default 3)")
    parser.add_argument("--cuts", type=int, default=0, help="so many at random moments instead")
    parser.add_argument("--messages", type=int, default=10_000, help="of each side, with --cuts (default 10000)")
    parser.add_argument("--transfer", type=int, default=0, metavar="MIB", help="interrupt a transfer instead")
    parser.add_argument("--seed", type=int, help="of the random moments (default: another one each time)")
    options = parser.parse_args()
    reason = unavailable()
    if reason is not None:
        sys.stderr.write(f"no laboratory here: {reason}\n")
        return 1
    if options.transfer:
        sys.stdout.write(transfers(min(options.transfer, MOST_MEBIBYTES)) + "\n")
    elif options.cuts:
        seed = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
        cuts_, messages = min(options.cuts, MOST_CUTS), max(1, min(options.messages, MOST_MESSAGES))
        sys.stdout.write(count(cuts_, messages, seed) + "\n")
    else:
        sys.stdout.write(table(measure(max(1, min(options.trials, MOST_TRIALS)))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

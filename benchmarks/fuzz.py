"""What guided mutation finds in the parsers of what strangers send: nothing but their own errors, it is hoped.

``python -m benchmarks.fuzz [--seconds N] [--seed N] [PARSER ...]``; needs atheris (``pip install atheris``), which
brings libFuzzer and is in no extra of this package.  The time is divided among the parsers, each in a process
of its own.  Status 1 if any input has crashed one; the input is left in the folder that is named.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

Parser = Callable[[bytes], None]
LONGEST = 5000
"""Bytes of an input: a little more than a line may have."""


def _parsers() -> dict[str, Parser]:
    """By their names; what they may raise is caught, and what is read is written and read again."""
    from twisted.internet.task import Clock

    from p2phole.addresses import Endpoint
    from p2phole.peer.vouching import unseal
    from p2phole.secure import letters, people_codec
    from p2phole.secure.codes import complete, parse
    from p2phole.secure.preface import NotAPreface, PrefaceReader
    from p2phole.session.frames import BadFrame, FrameReader
    from p2phole.session.messages import Messages
    from p2phole.session.pool import Pools
    from p2phole.session.session import Session
    from p2phole.wire.codec import BadLine, decode_to_broker, decode_to_peer, encode

    def line(decode: Callable[[bytes], Any]) -> Parser:
        def one(data: bytes) -> None:
            with suppress(BadLine):
                message = decode(data)
                assert decode(encode(message)) == message

        return one

    def preface(data: bytes) -> None:
        reader = PrefaceReader()
        with suppress(NotAPreface):
            for at in range(0, len(data), 7):
                if reader.feed(data[at : at + 7]) is not None:
                    return

    def frames(data: bytes) -> None:
        reader, whole = FrameReader(), []
        with suppress(BadFrame):
            for at in range(0, len(data), 11):
                whole += reader.feed(data[at : at + 11])
        assert data.startswith(b"".join(frame.encode() for frame in whole))

    class User:
        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *given: None

    class Wire:
        def write(self, data: bytes) -> None:
            pass

        def close(self) -> None:
            pass

    def session(data: bytes) -> None:
        one = Session(Clock(), "0123456789abcdef", True, User(), Pools(), 600.0)  # type: ignore[arg-type]
        messages = Messages(User())  # type: ignore[arg-type]
        messages.use(one)
        messages.send(b"hello")
        for _ in range(2):
            attachment = one.attach(Wire())
            attachment.receive(data)
            attachment.lost()

    def letter(data: bytes) -> None:
        with suppress(letters.BadLetter):
            found = letters.decode(data.decode("latin-1"))
            assert letters.decode(letters.encode(found)) == found

    def code(data: bytes) -> None:
        text = data.decode("utf-8", "surrogatepass" if data[:1] > b"\x7f" else "replace") if data else ""
        complete(text)
        with suppress(ValueError):
            found = parse(text)
            assert parse(str(found)) == found

    def code_text(data: bytes) -> None:
        with suppress(UnicodeDecodeError):
            code(data)

    def people(data: bytes) -> None:
        with suppress(ValueError):
            found = people_codec.decode(data)
            assert people_codec.decode(people_codec.encode(found)) == found

    def endpoint(data: bytes) -> None:
        with suppress(ValueError):
            found = Endpoint.parse(data.decode())
            assert Endpoint.parse(str(found)) == found

    return {
        "to-broker": line(decode_to_broker),
        "to-peer": line(decode_to_peer),
        "preface": preface,
        "frames": frames,
        "session": session,
        "letters": letter,
        "sealed": lambda data: (unseal(data), None)[1],
        "codes": code_text,
        "people": people,
        "addresses": endpoint,
    }


def _corpus(name: str, folder: Path) -> None:
    """Something to begin with: what is right."""
    from p2phole.session.frames import Frame, Kind
    from p2phole.wire.codec import encode
    from tests.hostile.lines import RAW, TO_BROKER, TO_PEER

    hello = Frame(Kind.HELLO, 0, b'{"version": 2, "session": "x", "resumes": null}').encode()
    seeds = {
        "to-broker": [encode(message) for message in TO_BROKER],
        "to-peer": [encode(message) for message in TO_PEER],
        "preface": [RAW["preface and tls"]],
        "frames": [hello + Frame(kind, 1, b"x").encode() for kind in Kind],
        "session": [
            hello + Frame(Kind.OFFER, 1, b"messages").encode() + Frame(kind, 2, b"messages", 2).encode()
            for kind in Kind
        ],
        "letters": [b"AQE" + b"A" * 173, b"Ag" + b"A" * 50],
        "sealed": [b"host 192.168.1.2:5000\nmapped [2001:db8::1]:6000\n\n\n"],
        "codes": [b"7-velvet-ocean"],
        "people": [
            b'{"p2phole": "known people", "version": 1, "kept": [{"name": "bob", "fingerprint": "'
            + b"a" * 64
            + b'", "since": 1}], "met": [], "passing": []}'
        ],
        "addresses": [b"192.0.2.1:5000", b"[2001:db8::1]:5000"],
    }[name]
    for number, seed in enumerate(seeds):
        (folder / str(number)).write_bytes(seed)


def fuzz(name: str, options: list[str]) -> None:
    """One parser, in this process, which libFuzzer ends."""
    import atheris

    with atheris.instrument_imports(include=["p2phole"]):
        parser = _parsers()[name]
    atheris.Setup([sys.argv[0], *options], parser)
    atheris.Fuzz()


def _one(name: str, seconds: int, seed: int, folder: Path) -> tuple[int, str]:
    """How many inputs were tried, and what crashed it, if anything."""
    corpus = folder / name
    corpus.mkdir()
    _corpus(name, corpus)
    limits = [f"-max_total_time={seconds}", f"-max_len={LONGEST}", f"-seed={seed}", "-print_final_stats=1"]
    command = [sys.executable, "-m", "benchmarks.fuzz", "--only", name, *limits]
    ended = subprocess.run(
        [*command, f"-artifact_prefix={folder}/{name}-", str(corpus)], capture_output=True, text=True, check=False
    )
    found = re.findall(r"stat::number_of_executed_units:\s*(\d+)", ended.stderr)
    what = "" if ended.returncode == 0 else ended.stderr[-1500:]
    return int(found[-1]) if found else 0, what


def main() -> int:
    """Fuzz each parser and say what came of it."""
    parsers = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(_parsers())
    parsers.add_argument("parser", nargs="*", choices=[*names, []], help="which ones; all if none is named")
    parsers.add_argument("--seconds", type=int, default=60, help="for all of them together")
    parsers.add_argument("--seed", type=int, default=1)
    arguments = parsers.parse_args()
    chosen = arguments.parser or names
    folder = Path(tempfile.mkdtemp(prefix="p2phole-fuzz-"))
    executions = crashes = 0
    for name in chosen:
        count, what = _one(name, max(1, arguments.seconds // len(chosen)), arguments.seed, folder)
        executions, crashes = executions + count, crashes + bool(what)
        sys.stdout.write(f"{name:<10} {count:>10,} executions{'  CRASHED' + chr(10) + what if what else ''}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{executions:,} executions, {crashes} crashes, seed {arguments.seed}, {folder}\n")
    return 1 if crashes else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--only"]:
        fuzz(sys.argv[2], sys.argv[3:])
    sys.exit(main())

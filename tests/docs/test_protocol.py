"""``docs/protocol.md`` is executed: its transcripts by the real broker, its bytes and tables by the code."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from typing import Any, cast, get_args

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.internet.interfaces import IConnector
from twisted.internet.protocol import ClientFactory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.broker.line import Announcement
from p2phole.broker.proof import Proof
from p2phole.punch.race import CONFIRM, NOMINATE
from p2phole.secure.possession import fingerprint_of, raw, sign
from p2phole.secure.preface import MAGIC, PrefaceReader, build
from p2phole.secure.roles import Identity, Pairing
from p2phole.wire.messages import Message, Register
from tests.broker.shared import make_broker, numbered
from tests.docs import Block, bare, blocks, read, table

PAGE = read("docs/protocol.md")

_STEP = re.compile(r"([A-Z]) (>|<|connects from|is dialled|is|refuses|leaves)(?: (.*))?")
_PASSES = re.compile(r"([\d,]+) (ms|s) pass")
_ABBREVIATED = re.compile(r'"([0-9a-f]+)\.\.\."')
_DIGITS = {"fingerprint": 64, "instance": 32, "token": 32, "nonce": 32, "key": 64, "signature": 128}
_TOKEN, _NONCE = 0x70000000, 0xC0000000
HERE, SECOND = "198.51.100.1", "198.51.100.2"


class Handle:
    """What keep-alive sets options of."""

    def setsockopt(self, *arguments: object) -> None:
        """Fine."""


class Transport(StringTransport):
    """What a broker's protocol needs of TCP."""

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Fine."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Fine."""

    def getHandle(self) -> Handle:
        """The socket."""
        return Handle()

    def lines(self) -> list[str]:
        """What was written since the last time."""
        text = self.value().decode()
        self.clear()
        return text.splitlines()


@dataclass
class Dial:
    """A connection that the broker makes."""

    target: Endpoint
    origin: str
    factory: ClientFactory
    over: bool = False

    def fail(self, why: Exception) -> None:
        """Nothing came of it; but for the first time that is too late."""
        if not self.over:
            self.over = True
            self.factory.clientConnectionFailed(cast(IConnector, None), Failure(why))


class Reactor(Clock):
    """What the broker dials by."""

    def __init__(self) -> None:
        super().__init__()
        self.dials: list[Dial] = []

    def connectTCP(
        self, host: str, port: int, factory: ClientFactory, timeout: float, bindAddress: tuple[str, int]
    ) -> object:
        """See ``IReactorTCP``."""
        dial = Dial(Endpoint.make(host, port), bindAddress[0], factory)
        self.dials.append(dial)
        self.callLater(timeout, dial.fail, TimeoutError())
        return dial


class Theatre:
    """A broker, and the connections of a transcript."""

    def __init__(self, probe_address: str = "", **limits: int) -> None:
        self.clock = Reactor()
        self._tokens = self._nonces = 0
        self.broker = make_broker(
            self.clock,
            prove=self._believe,
            token=self._token,
            entropy=self._nonce,
            numbers=numbered(416),
            announcement=Announcement(9001, probe_address),
            **limits,
        )
        self.connections: dict[str, tuple[Any, Transport]] = {}
        self.heard: dict[str, list[str]] = {}
        self.dialled: dict[tuple[str, str], Dial] = {}

    def _token(self) -> bytes:
        self._tokens += 1
        return bytes.fromhex(f"{_TOKEN + self._tokens:08x}".ljust(32, "0"))

    def _nonce(self) -> bytes:
        self._nonces += 1
        return bytes.fromhex(f"{_NONCE + self._nonces:08x}".ljust(32, "0"))

    def _believe(self, message: Register, nonce: str) -> None:
        """The page's keys are made up; a signature of nothing but zeros is not believed even so."""
        if not message.possession.signature.strip("0"):
            Proof().check(message, nonce)

    def connect(self, name: str, endpoint: str) -> None:
        seen = Endpoint.parse(endpoint)
        address = IPv4Address("TCP", seen.host, seen.port)
        protocol = self.broker.buildProtocol(address)
        assert protocol is not None
        transport = Transport(hostAddress=IPv4Address("TCP", HERE, 9000), peerAddress=address)
        self.connections[name], self.heard[name] = (protocol, transport), []
        protocol.makeConnection(transport)

    def listen(self) -> None:
        """Take down what the broker has written."""
        for name, (_, transport) in self.connections.items():
            self.heard[name] += transport.lines()

    def play(self, step: str) -> None:
        """Do, or check, one step; AssertionError if the broker does something else."""
        if passes := _PASSES.fullmatch(step):
            self.clock.advance(int(passes[1].replace(",", "")) / (1000 if passes[2] == "ms" else 1))
        elif match := _STEP.fullmatch(step):
            name, verb, rest = match.groups()
            if verb == "connects from":
                self.connect(name, rest)
            elif verb == ">":
                self.connections[name][0].dataReceived(said(rest) + b"\n")
            elif verb == "<":
                self.expect(name, rest)
            elif verb == "is dialled":
                self.expect_dial(name, rest)
            elif verb == "refuses":
                dial = self.dialled.pop((name, rest))
                dial.fail(ConnectionRefusedError())
            elif verb == "leaves":
                self.connections.pop(name)[0].connectionLost()
            else:
                transport = self.connections[name][1]
                state = {"closed": transport.disconnecting, "aborted": transport.disconnected}
                assert state[rest], f"{name} is not {rest}"
        else:
            raise AssertionError(f"not a step: {step!r}")
        self.listen()

    def expect_dial(self, name: str, rest: str) -> None:
        """The broker dials the endpoint of that connection ``from`` an address; or ``by nobody``."""
        if rest == "by nobody":
            assert not self.clock.dials, f"the broker dials {self.clock.dials}"
            return
        assert self.clock.dials, f"the broker dials nobody; expected: {rest}"
        dial = self.clock.dials.pop(0)
        found = self.connections[name][0].observed, f"from {dial.origin}"
        assert found == (dial.target, rest), f"expected: {rest}\nfound: {dial}"
        self.dialled[name, dial.origin] = dial

    def expect(self, name: str, line: str) -> None:
        assert self.heard[name], f"the broker says nothing to {name}; expected: {line}"
        found = self.heard[name].pop(0)
        pattern = re.escape(filled(line)).replace(re.escape("..."), '[^"]*')
        assert re.fullmatch(pattern, found), f"expected: {line}\nfound: {found}"

    def finish(self) -> None:
        """Nothing may be left over."""
        left = {name: lines for name, lines in self.heard.items() if lines}
        assert not left, f"the transcript does not show {left}"
        assert not self.clock.dials, f"the transcript does not show {self.clock.dials}"


def filled(line: str) -> str:
    """The line with its abbreviated identities and tokens in full."""

    def fill(match: re.Match[str]) -> str:
        key = re.findall(r'"(\w+)":$', line[: match.start()])
        return f'"{match[1].ljust(_DIGITS[key[0]], "0")}"' if key and key[0] in _DIGITS else match[0]

    return _ABBREVIATED.sub(fill, line)


def said(text: str) -> bytes:
    """The line that a peer sends; ``"x" * 4097`` is that many of them."""
    repeated = re.fullmatch(r'"(.)" \* (\d+)', text)
    return (repeated[1] * int(repeated[2]) if repeated else filled(text)).encode()


def steps(block: Block) -> list[tuple[int, str]]:
    """The steps of a transcript with their line numbers; indented lines continue the one above."""
    found: list[tuple[int, str]] = []
    for number, line in enumerate(block.text.splitlines(), block.line):
        if line.startswith(" "):
            found[-1] = (found[-1][0], found[-1][1] + line.strip())
        else:
            found.append((number, line))
    return found


class TranscriptTests(SynchronousTestCase):
    """The broker says what the page says, line for line."""

    def test_transcripts(self) -> None:
        theatre = Theatre()
        for block in blocks(PAGE, "transcript"):
            if block.words[1:] != ("continued",):
                two, few = "two-addresses" in block.words, "two-connections" in block.words
                theatre = Theatre(SECOND if two else "", **({"max_per_address": 2} if few else {}))
            for number, step in steps(block):
                try:
                    theatre.play(step)
                except AssertionError as problem:
                    self.fail(f"docs/protocol.md, line {number}: {problem}")
            theatre.finish()

    def test_complete(self) -> None:
        """Every message of either side, and every error, is in some transcript."""
        lines = [step for block in blocks(PAGE, "transcript") for _, step in steps(block)]
        said_types = set(re.findall(r' > \{"type":"(\w+)"', "\n".join(lines)))
        heard_types = set(re.findall(r' < \{"type":"(\w+)"', "\n".join(lines)))
        messages = {kind.__name__.lower() for kind in get_args(Message)}
        self.assertEqual((said_types - {"goodbye"}) | heard_types, messages)
        codes = set(re.findall(r'"code":"([a-z-]+)"', "\n".join(lines)))
        self.assertEqual(codes, {bare(row[0]) for row in table(PAGE, "code")})

    def test_would_notice(self) -> None:
        """A transcript that is wrong does not pass."""
        for line in (
            '{"type":"welcome","version":2}',
            '{"type":"error","code":"order","detail":"..."}',
        ):
            theatre = Theatre()
            theatre.play("A connects from 203.0.113.1:40001")
            theatre.play('A > {"type":"hello","version":2,"software":"x"}')
            self.assertRaises(AssertionError, theatre.play, f"A < {line}")
        self.assertRaises(AssertionError, theatre.play, "A < anything, since nothing was said")
        self.assertRaises(AssertionError, theatre.play, "A is closed")
        self.assertRaises(AssertionError, theatre.play, f"A is dialled from {HERE}")
        theatre.play('A > {"type":"nonsense"}')
        self.assertRaises(AssertionError, theatre.finish)


class OrderTests(SynchronousTestCase):
    """The state table."""

    POSSESSION = '{"key":"a...","nonce":"b...","dialled":"broker.example:9000","signature":"c..."}'
    MESSAGES = {
        "hello": '{"type":"hello","version":2,"software":"x"}',
        "register": '{"type":"register","name":"a","room":"r","fingerprint":"a...","instance":"b...",'
        f'"candidates":[],"possession":{POSSESSION}}}',
        "letter": '{"type":"letter","instance":"c...","token":"d...","body":""}',
        "request": '{"type":"request","instance":"c...","candidates":[]}',
        "update": '{"type":"update","candidates":[]}',
        "dialback": '{"type":"dialback"}',
        "pong": '{"type":"pong","number":1}',
    }
    WAY = {"fresh": (), "greeted": ("hello",), "member": ("hello", "register")}

    def allowed(self, state: str, *messages: str) -> bool:
        """Whether the messages are in order, one after the other, from a state on."""
        theatre = Theatre()
        theatre.play("A connects from 203.0.113.1:40001")
        for message in (*self.WAY[state], *messages):
            theatre.play(f"A > {self.MESSAGES[message]}")
        errors = [json.loads(line) for line in theatre.heard["A"] if '"error"' in line]
        self.assertTrue(all(error["code"] == "order" for error in errors), errors)
        return not errors

    def test_table(self) -> None:
        header = ["hello", "register", "update", "request", "letter", "dialback", "pong"]
        self.assertEqual(set(header), set(self.MESSAGES))
        self.assertIn("| state | " + " | ".join(header) + " |", PAGE)
        rows = table(PAGE, "state")
        self.assertEqual([row[0] for row in rows], list(self.WAY))
        for state, *cells in rows:
            for message, then in zip(header, cells, strict=True):
                self.assertEqual(self.allowed(state, message), then != "-", (state, message))
                if then == "-":
                    continue
                for following in header:
                    self.assertEqual(
                        self.allowed(state, message, following), self.allowed(then, following), (state, message)
                    )


class TableTests(SynchronousTestCase):
    """Keys and numbers."""

    def test_messages(self) -> None:
        """Every message has a section with exactly its keys, in their order."""
        sections = re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]
        shown = {}
        for section in sections:
            name, _, rest = section.partition("\n")
            rest = re.split(r"^#", rest, flags=re.MULTILINE)[0]
            shown[name] = [bare(row[0]) for row in table(rest, "key")] if "| key |" in rest else []
        kinds = {kind.__name__.lower(): [field.name for field in fields(kind)] for kind in get_args(Message)}
        self.assertEqual(shown, kinds)

    def test_numbers(self) -> None:
        for value, what, constant in table(PAGE, "value"):
            self.assertEqual(float(value), namedAny(f"p2phole.{bare(constant)}"), what)

    def test_delays(self) -> None:
        """The formula of the page, over what it says of the limits."""
        from p2phole.broker.introduction import delays

        for first in (0.0, 0.02, 0.06, 1.0, 30.0):
            for second in (0.0, 0.05, 2.0):
                ways = [min(each, 1.0) / 2 for each in (first, second)]
                found = delays(first, second)
                self.assertEqual(found, tuple(max(ways) - way for way in ways))
                self.assertTrue(all(0.0 <= each <= 0.5 for each in found))


class PossessionTests(SynchronousTestCase):
    """What is signed, in hexadecimal."""

    def test_possession(self) -> None:
        (block,) = blocks(PAGE, "possession")
        values: dict[str, str] = {}
        name = ""
        for line in block.text.splitlines():
            name = line[:13].strip() or name
            values[name] = values.get(name, "") + line[13:].replace(" ", "")
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(values["private key"]))
        self.assertEqual(raw(key.public_key()).hex(), values["key"])
        self.assertEqual(fingerprint_of(key.public_key()), values["fingerprint"])
        nonces, room = (values["welcome"], values["nonce"]), (values["space"], values["room"])
        self.assertEqual(values["signature"], sign(key, values["dialled"], nonces, room, values["instance"]))
        fields = (values["dialled"], *nonces, *room, values["instance"])
        message = b"p2phole registration 1\0" + b"".join(
            len(field).to_bytes(4, "big") + field.encode() for field in fields
        )
        self.assertEqual(message.hex(), values["signed"])
        key.public_key().verify(bytes.fromhex(values["signature"]), message)


class PrefaceTests(SynchronousTestCase):
    """The preface in hexadecimal."""

    def test_preface(self) -> None:
        (block,) = blocks(PAGE, "preface")
        values: dict[str, str] = {}
        name = ""
        for line in block.text.splitlines():
            name = line[:13].strip() or name
            values[name] = values.get(name, "") + line[13:].replace(" ", "")
        mine = Identity(values["fingerprint"], values["instance"])
        pairing = Pairing(mine, Identity("0" * 64, "0" * 32), bytes.fromhex(values["token"]))
        self.assertEqual(build(pairing.my_tag).hex(), values["preface"])
        self.assertEqual(
            PrefaceReader().feed(bytes.fromhex(values["preface"]) + b"more"), (pairing.my_tag, b"more")
        )
        self.assertEqual(MAGIC, b"p2phole\x01")


class NominationTests(SynchronousTestCase):
    """One byte each way."""

    def test_nomination(self) -> None:
        for byte in (NOMINATE, CONFIRM):
            self.assertIn(f"`{byte.decode()}` (0x{byte.hex()})", PAGE)

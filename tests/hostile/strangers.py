"""Attackers that speak the broker protocol as it should be, and lie in it."""

from __future__ import annotations

import secrets
from argparse import Namespace
from collections import Counter

from p2phole.addresses import Candidate, Endpoint
from p2phole.peer.trust import hashed
from p2phole.secure.agreement import SecretAgreement
from p2phole.secure.letters import Confirmation, Share, decode, encode
from p2phole.secure.proof import Proof, Side
from p2phole.secure.roles import Identity, Pairing
from p2phole.wire.messages import Introduction, Letter, Possession
from tests.hostile.client import Client, Gone
from tests.hostile.liars import FORBIDDEN, VICTIM
from tests.hostile.modes import Told
from tests.hostile.puppet import secret_of

ANSWER_SECONDS = 5.0
"""For whatever a member answers, unless it does not answer at all."""


class Guess:
    """One proof with one member, with a secret that may be wrong."""

    def __init__(self, client: Client, message: Introduction, room: tuple[str, str], secret: bytes) -> None:
        self.came = ""
        """What came of it: ``proven``, or the word of the refutation."""
        self.confirmations = 0
        """Of the other side: each one can be checked against one guess."""
        theirs = Identity(message.fingerprint, message.instance)
        pairing = Pairing(client.identity, theirs, bytes.fromhex(message.token))
        self._client, self._message = client, message
        agreement = SecretAgreement(secret, pairing, room, secrets.token_bytes)
        self._proof = Proof(Side(pairing, room, client.credentials.key, agreement, b"", self))

    def receive(self, letter: Letter) -> None:
        """The member has answered."""
        self.confirmations += isinstance(decode(letter.body), Confirmation)
        self._proof.receive(letter.body)

    def may_show(self) -> bool:
        """See :class:`~p2phole.secure.proof.ProofUser`."""
        return True

    def send(self, letter: Share | Confirmation) -> None:
        """See :class:`~p2phole.secure.proof.ProofUser`."""
        self._client.say(Letter(self._message.instance, self._message.token, encode(letter)))

    def proven(self, sealed: bytes) -> None:
        """See :class:`~p2phole.secure.proof.ProofUser`."""
        self.came = "proven"

    def refuted(self, why: str) -> None:
        """See :class:`~p2phole.secure.proof.ProofUser`."""
        self.came = why


def wrong_secret(arguments: Namespace) -> Told:
    """``confirmations``: the most that one member has given away."""
    room, did = ("secret", hashed(arguments.room)), Counter[str]()
    guess = secret_of(arguments.secret_file) or b"a guess"
    given: Counter[str] = Counter()
    for number in range(arguments.count):
        did["tries"] += 1
        with Client(arguments.broker, f"127.0.0.{20 + number % 60}") as client:
            client.greet()
            client.register(room)
            guesses: dict[str, Guess] = {}
            for message in client.heard(ANSWER_SECONDS):
                if isinstance(message, Introduction):
                    guesses[message.instance] = Guess(client, message, room, guess + str(number).encode())
                elif isinstance(message, Letter):
                    guesses[message.instance].receive(message)
                if guesses and all(each.came for each in guesses.values()) and len(guesses) > 1:
                    break
            for instance, each in guesses.items():
                given[instance] += each.confirmations
                did[each.came or "no answer"] += 1
    return {"tries": 0, "members": len(given), "confirmations": max(given.values(), default=0), "proven": 0, **did}


def impostor(arguments: Namespace) -> Told:
    """What it knows of another member is what the broker and that one's first letter tell."""
    space = ("secret", hashed(arguments.room)) if arguments.secret_file else ("open", arguments.room)
    did: Counter[str] = Counter({"let in": 0, "refused": 0})
    with Client(arguments.broker, arguments.source) as spy:
        spy.greet()
        spy.register(space)
        victim, key = None, "0" * 64
        for message in spy.heard(ANSWER_SECONDS):
            if isinstance(message, Introduction):
                victim = message
            elif isinstance(message, Letter) and victim is not None and message.instance == victim.instance:
                share = decode(message.body)
                if isinstance(share, Share):
                    key = share.key.hex()
                    break
        old = spy.signed(space, spy.instance)
    if victim is None:
        return {"found": "nobody"}
    lies = {
        "its own key": lambda client, own: own,
        "the victim's key": lambda client, own: Possession(key, own.nonce, own.dialled, own.signature),
        "an old signature": lambda client, own: old,
        "a signature for nonce zero": lambda client, own: client.signed(space, victim.instance, "0" * 32),
        "a signature for another room": lambda client, own: client.signed(("open", "x"), victim.instance),
        "a signature of zeros": lambda client, own: Possession(key, own.nonce, own.dialled, "0" * 128),
        "a key of zeros": lambda client, own: Possession("0" * 64, own.nonce, own.dialled, "0" * 128),
    }
    for lie in lies.values():
        with Client(arguments.broker, arguments.source) as client:
            client.greet()
            possession = lie(client, client.signed(space, victim.instance))
            try:
                client.register(
                    space, fingerprint=victim.fingerprint, instance=victim.instance, possession=possession
                )
                did["let in"] += 1
            except Gone as gone:
                did["refused"] += gone.code == "possession"
    # A name and an instance are no identity: with its own key it may have them, beside the victim.
    with Client(arguments.broker, arguments.source) as client:
        client.greet()
        client.register(space, victim.name, instance=victim.instance)
        did["beside"] = 1
    return {"lies": len(lies), **did}


def burn_codes(arguments: Namespace) -> Told:
    """Half of the tries ask for a number, the other half guess one from 1 on."""
    did: Counter[str] = Counter({"given": 0, "own": 0, "let in": 0})
    own: set[str] = set()
    for number in range(arguments.count):
        asks = number % 2 == 0
        room = ("code", "" if asks else str(1 + number // 2))
        try:
            with Client(arguments.broker, arguments.source) as client:
                client.greet()
                found = client.register(room)
                own.add(found) if asks else None
                did["given" if asks else "own" if found in own else "let in"] += 1
        except Gone as gone:
            did[gone.code] += 1
    return dict(did)


def reflect(arguments: Namespace) -> Told:
    """Each member of its own names others' ports, and updates that and asks again until time is up."""
    room = ("secret", hashed(arguments.room)) if arguments.secret_file else ("open", arguments.room)
    did: Counter[str] = Counter()
    clients = []
    try:
        for number in range(arguments.count):
            client = Client(arguments.broker, f"127.0.0.{30 + number}")
            clients.append(client)
            ports = [f"{VICTIM}:{2000 + number * 24 + each}" for each in range(24)]
            told = FORBIDDEN if number % 2 else ports
            candidates = tuple(
                Candidate(("host", "mapped", "srflx", "predicted")[number % 4], Endpoint.parse(text))
                for text in told
            )
            client.greet()
            client.register(room, candidates=candidates)
            did["candidates"] += len(candidates)
        for client in clients:
            for message in client.heard(arguments.seconds / len(clients)):
                did["introductions"] += isinstance(message, Introduction)
    finally:
        for client in clients:
            client.link.close()
    return {"members": len(clients), "introductions": 0, **did}

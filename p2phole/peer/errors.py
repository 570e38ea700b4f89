"""What can go wrong between a peer and its broker, as its user reads it."""

from __future__ import annotations

from p2phole.errors import LocalError, RemoteProtocolError


class NoSuchHost(LocalError):
    """There is no host {host}: check the name given with --broker, and this machine's name server."""


class NotABroker(LocalError):
    """{broker} is not a p2phole broker ({why}): check the host and the port given with --broker."""


class VersionMismatch(LocalError):
    """The broker {broker} speaks another version of the protocol: {detail}."""


class BrokerRefused(LocalError):
    """The broker {broker} refused this peer: {detail}."""


class BrokerDistrusted(LocalError):
    """The broker {broker} has no certificate that this machine trusts for that name ({why}): check the name
    given with --broker, or ask who runs it."""


class BadAuthorities(LocalError):
    """The certificates in {path} cannot be used ({why}): check --broker-ca."""


class InvitationOver(LocalError):
    """The code is of no use: {detail}."""


class CodeBurned(LocalError):
    """Somebody has tried this code with wrong words, so it is of no more use: invite again, and tell the new code
    to nobody else."""


class CodeWrong(LocalError):
    """The words of the code are not those of the invitation, or somebody is in between: ask for a new code."""


class NobodyKnown(LocalError):
    """Nobody's key is kept under the name {name}: meet once, then 'p2phole id keep {name}', or leave --to out."""


class BrokerSaidNo(RemoteProtocolError):
    """{detail}."""

    def __init__(self, code: str, detail: str, retry: float = 0.0) -> None:
        super().__init__(code=code, detail=detail)
        self.code = code
        self.retry = retry


class NotBroker(RemoteProtocolError):
    """{why}."""


class CutOff(RemoteProtocolError):
    """{why}."""


class Unwanted(RemoteProtocolError):
    """{why}."""


class CertificateRefused(RemoteProtocolError):
    """{why}."""

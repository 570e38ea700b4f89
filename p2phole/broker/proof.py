"""Whether a registration is by who holds the key that it names, and meant for this broker.  Pure."""

from __future__ import annotations

from ipaddress import ip_address

from p2phole.addresses import unmap
from p2phole.secure.possession import holder
from p2phole.wire.codec import BadLine
from p2phole.wire.messages import Register


class Proof:
    """Judges registrations.

    ``names``: ``HOST:PORT``, IPv6 in brackets, by which peers dial this broker; none: by any.  A broker that
    knows them takes no registration that was signed for another one, which would pass it on.
    """

    def __init__(self, names: tuple[str, ...] = ()) -> None:
        self._names = frozenset(_plain(name) for name in names)

    def check(self, message: Register, nonce: str) -> None:
        """Raise :class:`BadLine` if it is not signed, for that nonce of ours, by the key that it names."""
        shown = message.possession
        nonces, room = (nonce, shown.nonce), (message.space, message.room)
        signer = holder(shown.key, shown.signature, shown.dialled, nonces, room, message.instance)
        if signer != message.fingerprint:
            raise BadLine("possession", "the registration is not signed by the key that it names")
        if self._names and _plain(shown.dialled) not in self._names:
            raise BadLine(
                "possession",
                "the registration is signed for a broker of another name: dial this one by a name that it "
                "is known by, or have its operator add this one",
            )


def _plain(name: str) -> tuple[str, str]:
    """Host and port so that different spellings of one name are equal."""
    host, _, port = name.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        return str(unmap(ip_address(host))), port
    except ValueError:
        pass
    try:
        host = host.encode("idna").decode("ascii")
    except UnicodeError:
        pass  # no host name, and equal to none
    return host.lower().removesuffix("."), port

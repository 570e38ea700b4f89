"""From the text of an option to its value.  Each raises :class:`ValueError` with a sentence.  Pure."""

from __future__ import annotations

import ipaddress
import re

from p2phole.broker.settings import DEFAULT_PORT
from p2phole.peer.settings import BrokerAddress

HIGHEST_PORT = 65535
MOST = 1_000_000_000

_PORT = re.compile("[0-9]{1,5}")
_HOST_FORBIDS = re.compile(r"[\s\x00-\x20\x7f/\\@?#\[\]:,;\"'<>]")
# The colon-separated parts of an endpoint string; a backslash takes the next character literally.
_ENDPOINT_PART = re.compile(r"(?:\\.|[^:\\])+", re.DOTALL)
_ENDPOINT = re.compile(r"([A-Za-z][A-Za-z0-9]*):(.*)", re.DOTALL)
_NO_ADDRESSES = {"unix", "stdio"}


LONGEST = 604_800.0
"""Seconds in the longest time that can be given."""


def port(text: str) -> int:
    """A TCP port, 1 to 65535."""
    number = port_or_zero(text)
    if number == 0:
        raise ValueError(f"0 is no port here: give one from 1 to {HIGHEST_PORT}")
    return number


def port_or_zero(text: str) -> int:
    """A TCP port or 0, for "none" or "the system picks"."""
    # int() alone would take "1_000", " 5 " and the digits of every script.
    if not _PORT.fullmatch(text) or int(text) > HIGHEST_PORT:
        raise ValueError(f"{text!r} is not a port: give a number up to {HIGHEST_PORT}")
    return int(text)


def limit(text: str) -> int:
    """How many there may be of something, 1 to 1,000,000,000."""
    if not re.fullmatch("[0-9]{1,10}", text) or not 0 < int(text) <= MOST:
        raise ValueError(f"{text!r} is no limit: give a number from 1 to {MOST}")
    return int(text)


def seconds(text: str) -> float:
    """A time of up to a week, in seconds."""
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= LONGEST:  # false of nan, too
        raise ValueError(f"{text!r} is no number of seconds: from 0 to {LONGEST:.0f}")
    return found


def address_literal(text: str) -> str:
    """An IPv4 or IPv6 address that peers can be told to dial, in its usual spelling."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address: give one like 192.0.2.1 or 2001:db8::1") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise ValueError(f"{text!r} has a zone, which means nothing to a peer elsewhere: leave it out")
        address = address.ipv4_mapped or address
    if address.is_unspecified or address.is_multicast:
        raise ValueError(f"{text!r} cannot be dialled: give an address that the broker has")
    return str(address)


def server_endpoint(text: str) -> str:
    """A Twisted server endpoint string.  The addresses of peers must be seen through it.

    ``tls:PORT:privateKey=FILE`` becomes Twisted's ``ssl:`` with the same arguments, TLS with a key from
    a file: Twisted's own ``tls:`` knows only a folder of certificates.
    """
    from twisted.internet.endpoints import serverFromString  # takes a moment, and few need it

    if text.partition(":")[0].lower() in _NO_ADDRESSES:
        raise ValueError(f"{text!r} hides from which address a peer comes: use tcp:, tls: or haproxy:")
    for part in _ENDPOINT_PART.findall(text):
        number = re.fullmatch("(?:port=)?(-?[0-9]+)", part)
        if number and not 0 <= int(number[1]) <= HIGHEST_PORT:
            raise ValueError(f"{text!r} has port {number[1]}: give one up to {HIGHEST_PORT}")
    if text.startswith("tls:") and ":privateKey=" in text:
        text = "ssl:" + text.removeprefix("tls:")
    try:
        # Endpoints keep the reactor for listen(), which nobody calls here.
        serverFromString(object(), text)
    except Exception as problem:
        # Parsers, those of other packages too, raise whatever their own code stumbles over.
        why = " ".join(str(problem).split()) or "it ends too early"
        raise ValueError(
            f"{text!r} is not a usable server endpoint ({type(problem).__name__}: {why}): "
            "give one like tcp:9000 or tls:443:privateKey=key.pem"
        ) from None
    return text


def broker_address(text: str) -> BrokerAddress:
    """HOST, HOST:PORT, ``[v6]:PORT``, a bare IPv6 address, or a ``tcp:`` or ``tls:`` client endpoint string.

    Any other endpoint is refused: a peer's connections share one local port, and through those we cannot
    choose it.  Without a port it is 9000.
    """
    if "://" in text:
        raise ValueError(f"{text!r} is a URL: give HOST:PORT")
    parts = _ENDPOINT.fullmatch(text)
    if parts is None or ipaddress_or_none(text):
        return _host_and_port(text)
    kind, rest = parts.groups()
    if kind.lower() in ("tcp", "tls"):
        return _client_endpoint(text, rest, tls=kind.lower() == "tls")
    if not re.fullmatch("-?[0-9]*", rest):
        raise ValueError(
            f"{text!r} is not HOST:PORT, nor a tcp: or tls: endpoint: "
            "any other cannot share its local port with the direct connections"
        )
    return _host_and_port(text)


def ipaddress_or_none(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that ``text`` is, where it is one."""
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _host_and_port(text: str) -> BrokerAddress:
    if ipaddress_or_none(text):
        return BrokerAddress(_host(text), DEFAULT_PORT)
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or not isinstance(ipaddress_or_none(host), ipaddress.IPv6Address):
            raise ValueError(f"{text!r} has no IPv6 address in its brackets: give [ADDRESS]:PORT")
        if rest and not rest.startswith(":"):
            raise ValueError(f"{text!r} has something after its bracket that is no :PORT")
        return BrokerAddress(_host(host), port(rest[1:]) if rest else DEFAULT_PORT)
    host, colon, number = text.partition(":")
    if ":" in number:
        raise ValueError(f"{text!r} has too many colons: give HOST:PORT or [IPV6]:PORT")
    return BrokerAddress(_host(host), port(number) if colon else DEFAULT_PORT)


def _client_endpoint(text: str, rest: str, tls: bool) -> BrokerAddress:
    """``HOST:PORT``, ``host=HOST:port=PORT`` or a mixture; a backslash before what is meant literally."""
    if rest.startswith("["):
        address = _host_and_port(rest)
        return BrokerAddress(address.host, address.port, tls)
    values: dict[str, str] = {}
    order = iter(("host", "port"))
    for part in _ENDPOINT_PART.findall(rest):
        key, equals, value = part.partition("=")
        if not equals:
            key, value = next((name for name in order if name not in values), ""), part
        if key not in ("host", "port") or key in values:
            raise ValueError(f"{text!r} has {part!r}, which is of no use here: give only a host and a port")
        values[key] = re.sub(r"\\(.)", r"\1", value)
    number = values.get("port")
    return BrokerAddress(_host(values.get("host", "")), DEFAULT_PORT if number is None else port(number), tls)


def _host(text: str) -> str:
    address = ipaddress_or_none(text)
    if address is not None:
        if address.is_unspecified or address.is_multicast:
            raise ValueError(f"{text!r} cannot be dialled: give the broker's own address")
        return text
    if not text:
        raise ValueError("there is no host in it: give HOST:PORT")
    # getaddrinfo would read "9000" as the address 0.0.35.40.
    if _HOST_FORBIDS.search(text) or re.fullmatch("[0-9.]+", text):
        raise ValueError(f"{text!r} is neither a host name nor an address: give HOST:PORT")
    try:
        text.encode("idna")  # empty and overlong labels too
    except UnicodeError:
        raise ValueError(f"{text!r} cannot be a host name: give HOST:PORT") from None
    return text

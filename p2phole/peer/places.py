"""From where else a broker can look at a peer: its second port, and its second address.  Pure."""

from __future__ import annotations

from ipaddress import ip_address

from p2phole.addresses import Endpoint, IPAddress, is_loopback, is_private, is_undiallable
from p2phole.wire.messages import Welcome


def targets(broker: Endpoint, welcome: Welcome) -> tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]]:
    """Where else the broker answers: at its own address, and at its other one."""
    near = [Endpoint(broker.ip, welcome.probe_port)] if welcome.probe_port else []
    far: list[Endpoint] = []
    try:
        other = ip_address(welcome.probe_address)
    except ValueError:
        pass
    else:
        if other != broker.ip and _may_be_asked(other, broker.ip):
            # As with candidates: no port below 1024 but the one that this peer's user has named.
            ports = (broker.port, welcome.probe_port if welcome.probe_port >= 1024 else 0)
            far = [Endpoint(other, port) for port in ports if port]
    return tuple(target for target in near if target != broker), tuple(far)


def _may_be_asked(other: IPAddress, broker: IPAddress) -> bool:
    """Whether a broker may send us to this second address: not into networks of our own, from outside."""
    return (
        other.version == broker.version
        and not is_undiallable(other)
        and (is_loopback(broker) or not is_loopback(other))
        and (is_private(broker) or is_loopback(broker) or not is_private(other))
    )

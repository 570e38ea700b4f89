"""A broker that is reached over TLS: real processes on loopback.  Plain functions, for pytest alone."""

from __future__ import annotations

import pytest

from tests.loopback.processes import NOW, YEAR, Authority, Stage


def test_two_meet_and_their_ports_are_shared(stage: Stage) -> None:
    """What the broker observes through TLS is the port of the acceptor and of the direct connection."""
    port = stage.broker(stage.authority.endpoint(), "--probe-port", "0")
    where, trusted = f"tls:localhost:{port}", ("--broker-ca", str(stage.authority.file))
    alice = stage.peer("alice", where, *trusted, "--message", "hello")
    bob = stage.peer("bob", where, *trusted)
    assert bob.event("message", direction="in")["text"] == "hello"
    for peer in (alice, bob):
        registered, connected = peer.event("registered"), peer.event("connected")
        assert registered["observed"] == registered["local"]
        ports = {endpoint.rpartition(":")[2] for endpoint in (registered["local"], connected["local"])}
        assert len(ports) == 1
        # Nothing to complain of, and on loopback nobody is warned.
        lines = peer.told.splitlines()
        assert [" is seen as " in line or "Connected to" in line for line in lines] == [True, True], lines


def test_an_authority_that_the_system_does_not_know(stage: Stage) -> None:
    port = stage.broker(stage.authority.endpoint())
    line = stage.refused(f"tls:localhost:{port}")
    assert f"The broker localhost:{port} has no certificate that this machine trusts" in line
    assert "it is signed by nobody known here" in line
    other = Authority(stage.folder)
    assert "nobody known here" in stage.refused(f"tls:localhost:{port}", "--broker-ca", str(other.file))


def test_an_authority_in_between(stage: Stage) -> None:
    """Its certificate is a file of its own, as docs/operating.md says: Twisted shows one of the other."""
    between = Authority(stage.folder, stage.authority)
    endpoint, trusted = between.endpoint(), ("--broker-ca", str(stage.authority.file))
    chain = stage.broker(f"{endpoint}:extraCertChain={between.file}")
    assert stage.peer("alice", f"tls:localhost:{chain}", *trusted).event("registered")
    alone = stage.broker(endpoint)
    assert "nobody known here" in stage.refused(f"tls:localhost:{alone}", *trusted)


def test_the_certificate_of_another_name(stage: Stage) -> None:
    port = stage.broker(stage.authority.endpoint("broker.example"))
    line = stage.refused(f"tls:localhost:{port}", "--broker-ca", str(stage.authority.file))
    assert "no certificate that this machine trusts for that name (it is for another name)" in line
    # An address is a name as any other.
    assert "for another name" in stage.refused(f"tls:127.0.0.1:{port}", "--broker-ca", str(stage.authority.file))


@pytest.mark.parametrize("years", [(-3, -1), (1, 3)])
def test_a_certificate_out_of_date(stage: Stage, years: tuple[int, int]) -> None:
    first, last = (NOW + year * YEAR for year in years)
    port = stage.broker(stage.authority.endpoint(first=first, last=last))
    line = stage.refused(f"tls:localhost:{port}", "--broker-ca", str(stage.authority.file))
    assert "out of date" in line


def test_authorities_that_cannot_be_read(stage: Stage) -> None:
    broken, damaged = stage.folder / "broken.pem", stage.folder / "damaged.pem"
    broken.write_text("a certificate that is none\n")
    damaged.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for path, why in (
        (broken, "it holds no certificate in PEM"),
        (damaged, "it holds no certificate in PEM"),
        (stage.folder / "none.pem", "No such file or directory"),
        (stage.folder, "Is a directory"),
    ):
        line = stage.refused("tls:localhost:1", "--broker-ca", str(path))
        assert line == f"p2phole: The certificates in {path} cannot be used ({why}): check --broker-ca."


def test_one_side_alone_speaks_tls(stage: Stage) -> None:
    port = stage.broker(stage.authority.endpoint())
    assert f"localhost:{port} is not a p2phole broker" in stage.refused(f"localhost:{port}")


def test_a_plain_broker_does_not(stage: Stage) -> None:
    port = stage.broker("tcp:0:interface=127.0.0.1")
    line = stage.refused(f"tls:localhost:{port}", "--broker-ca", str(stage.authority.file))
    assert f"localhost:{port} is not a p2phole broker (TLS failed: " in line

"""Port mappings asked of a real router, miniupnpd; and of one that is broken or hostile."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest
from twisted.trial.unittest import SynchronousTestCase

from p2phole.addresses import Endpoint
from p2phole.punch.portmap.grant import told
from tests.natlab.laboratory import Laboratory
from tests.natlab.namespace import ROOT, Host, Namespace
from tests.natlab.probes import DEADLINE, connected, listening, wait_until
from tests.natlab.routers import Masquerade
from tests.natlab.scenario import require_laboratory, start_broker, start_peer
from tests.natlab.sites import Site

pytestmark = pytest.mark.natlab

PORT = 4000
WAN = "192.0.1.1"
"""miniupnpd maps nothing where its address is one for documentation, as all of the laboratory's are.  This one is
none, and the laboratory is all that routes it."""
LEASE = 600

_MINIUPNPD = "miniupnpd"
_SEARCH_PATH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
_CHAINS = f"""
table inet {_MINIUPNPD} {{
    chain forward {{ type filter hook forward priority filter; policy accept; jump {_MINIUPNPD}; }}
    chain prerouting {{ type nat hook prerouting priority dstnat; policy accept; jump prerouting_{_MINIUPNPD}; }}
    chain {_MINIUPNPD} {{ }}
    chain prerouting_{_MINIUPNPD} {{ }}
    chain postrouting_{_MINIUPNPD} {{ }}
}}
"""
_SETTINGS = """
ext_ifname=uplink
listening_ip=lan
http_port=0
ipv6_disable=yes
secure_mode=yes
system_uptime=no
uuid=00000000-0000-0000-0000-000000000001
upnp_table_name=miniupnpd
upnp_nat_table_name=miniupnpd
allow 1024-65535 0.0.0.0/0 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""

# Prints what the mapper tells, one line of JSON each; ends on a line of standard input.
_MAPPER = """
import json, sys
from twisted.internet import reactor, stdio
from twisted.internet.protocol import Protocol
from twisted.logger import globalLogBeginner, textFileLogObserver
from p2phole.punch.portmap import mapper
port, names = int(sys.argv[1]), sys.argv[2].split(",")
globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
mapper.CHECK_SECONDS = 0.5
mapper.FIRST_PAUSE = 0.5
def tell(external):
    print(json.dumps({"external": external and str(external)}), flush=True)
def ways(*arguments):
    return [way for way in mapper.all_ways(*arguments) if way.name in names]
one = mapper.PortMapper(reactor, port, tell, ways=ways)
class Input(Protocol):
    def dataReceived(self, data):
        one.stop().addCallback(lambda _: reactor.stop())
stdio.StandardIO(Input())
reactor.callWhenRunning(one.start)
reactor.run()
print(json.dumps({"stopped": True}), flush=True)
"""


def require_miniupnpd() -> str:
    """The program; skips where that or miniupnpc is missing, but not as root in CI."""
    require_laboratory()
    program = shutil.which(_MINIUPNPD, path=_SEARCH_PATH)
    if program is None or importlib.util.find_spec("miniupnpc") is None:
        reason = "needs miniupnpd (Debian: miniupnpd-nftables) and miniupnpc (pip install '.[upnp]')"
        if os.environ.get("CI") and os.geteuid() == 0:
            raise AssertionError(f"in CI, as root, this may not be skipped: {reason}")
        raise SkipTest(reason)
    return program


class Home(Masquerade):
    """A home whose router has an address that miniupnpd takes for a public one."""

    def add_host(self, site: Site, name: str) -> Host:
        """See :class:`~tests.natlab.sites.Profile`."""
        site.ipv4 = site.outside = [WAN]
        return super().add_host(site, name)


class Miniupnpd:
    """The real one, in a router's namespace, which is all that it can touch."""

    def __init__(self, router: Namespace, folder: Path, program: str, **settings: str) -> None:
        self.router, self.log = router, folder / "miniupnpd.log"
        self._program, self._folder = program, folder
        self._configuration = folder / "miniupnpd.conf"
        lines = {"enable_upnp": "yes", "enable_natpmp": "yes", "lease_file": f"{folder}/leases", **settings}
        text = "\n".join(f"{key}={value}" for key, value in lines.items())
        self._configuration.write_text(text + _SETTINGS)
        router.configure(nft=_CHAINS)
        self.start()

    def start(self) -> None:
        """Start it and wait until it listens."""
        number = len(self.router.processes)
        log = self._folder / f"miniupnpd-{number}.log"
        command = [self._program, "-d", "-f", str(self._configuration), "-P", str(self._folder / f"{number}.pid")]
        self.process = self.router.start(command, stdout=log, stderr=log)

        def listens() -> bool:
            text = log.read_text("utf-8", "replace") if log.exists() else ""
            if self.process.poll() is not None:
                raise AssertionError(f"miniupnpd has ended: {text}")
            return "istening" in text

        wait_until(listens, "miniupnpd")

    def stop(self) -> None:
        """End it as a power cut would, mappings included."""
        self.process.kill()
        self.process.wait()
        (self._folder / "leases").unlink(missing_ok=True)
        self.router.run(["nft", "flush", "chain", "inet", _MINIUPNPD, f"prerouting_{_MINIUPNPD}"])
        self.router.run(["nft", "flush", "chain", "inet", _MINIUPNPD, _MINIUPNPD])

    def mappings(self) -> list[str]:
        """The rules by which the router's kernel translates what comes from outside."""
        done = self.router.run(["nft", "list", "chain", "inet", _MINIUPNPD, f"prerouting_{_MINIUPNPD}"])
        return [line.strip() for line in done.stdout.splitlines() if "dnat" in line]


class Mapper:
    """A mapper as a program of a host."""

    def __init__(self, host: Host, folder: Path, names: str, port: int = PORT) -> None:
        self._output = folder / f"mapper-{len(host.processes)}.out"
        self.log = self._output.with_suffix(".log")
        self.process = host.start(
            [sys.executable, "-c", _MAPPER, str(port), names],
            stdin=subprocess.PIPE,
            stdout=self._output,
            stderr=self.log,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )

    def told(self) -> list[dict[str, Any]]:
        """What it has told by now."""
        text = self._output.read_text() if self._output.exists() else ""
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def wait(self, count: int) -> list[Any]:
        """Wait until it has told of so many endpoints; those."""
        try:
            wait_until(lambda: len(self.told()) >= count, f"{count} endpoints")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.told()}\n{self.log.read_text()}") from None
        return [line["external"] for line in self.told()]

    def outcome(self, *reasons: str) -> None:
        """Wait until it says that there is no mapping, and why: on a busy machine not in the first round."""
        try:
            wait_until(lambda: all(word in self.log.read_text() for word in ("maps no port", *reasons)), "the end")
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.told()}\n{self.log.read_text()}") from None

    def stop(self) -> None:
        """Stop it and wait."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        self.process.wait(DEADLINE)
        assert self.told()[-1] == {"stopped": True}, self.log.read_text()


class PortMapCase(SynchronousTestCase):
    """A laboratory with a home and somebody outside."""

    profile: Masquerade = Home()

    def setUp(self) -> None:
        self.program = require_miniupnpd()
        self.lab = Laboratory(seed=1)
        self.lab.__enter__()
        self.addCleanup(self.lab.close)
        self.inside = self.lab.site("home", self.profile)
        self.outside = self.lab.site("outside")
        router = self.inside.site.router
        assert router is not None
        self.router = router

    def daemon(self, **settings: str) -> Miniupnpd:
        return Miniupnpd(self.router, self.lab.folder, self.program, **settings)

    def mapper(self, names: str, port: int = PORT) -> Mapper:
        return Mapper(self.inside, self.lab.folder, names, port)

    def check_reached(self, endpoint: str) -> None:
        """A connection from outside to the endpoint reaches the port inside."""
        ip, _, port = endpoint.rpartition(":")
        with (
            listening(self.inside, self.inside.address, PORT) as listener,
            connected(self.outside, ip, int(port)) as connection,
        ):
            accepted, (caller, _) = listener.accept()
            with accepted:
                self.assertEqual(caller, self.outside.address)
                connection.sendall(b"hello")
                self.assertEqual(accepted.recv(5), b"hello")


class RealRouterTests(PortMapCase):
    """miniupnpd as Debian has it."""

    def check(self, names: str) -> Mapper:
        daemon = self.daemon()
        mapper = self.mapper(names)
        self.assertEqual(mapper.wait(1), [f"{WAN}:{PORT}"])
        self.assertEqual(len(daemon.mappings()), 1)
        self.check_reached(f"{WAN}:{PORT}")
        mapper.stop()
        # UPnP's process goes on for a moment on its own.
        wait_until(lambda: not daemon.mappings(), "deletion")
        return mapper

    def test_pcp(self) -> None:
        self.check("PCP")

    def test_natpmp(self) -> None:
        self.check("NAT-PMP")

    def test_upnp(self) -> None:
        self.check("UPnP")

    def test_all_together(self) -> None:
        mapper = self.check("PCP,NAT-PMP,UPnP")
        self.assertIn("by PCP", mapper.log.read_text())

    def test_only_upnp_there(self) -> None:
        daemon = self.daemon(enable_natpmp="no")
        mapper = self.mapper("PCP,NAT-PMP,UPnP")
        self.assertEqual(mapper.wait(1), [f"{WAN}:{PORT}"])
        self.assertIn("by UPnP", mapper.log.read_text())
        mapper.stop()
        wait_until(lambda: not daemon.mappings(), "deletion")

    def test_the_port_is_somebody_elses(self) -> None:
        """Another machine has the port outside: the router gives another one."""
        self.daemon()
        other = self.inside.site.host("other")
        Mapper(other, self._folder("other"), "NAT-PMP").wait(1)
        for names in ("PCP", "NAT-PMP", "UPnP"):
            mapper = Mapper(self.inside, self._folder(names), names)
            [endpoint] = mapper.wait(1)
            self.assertNotEqual(endpoint, f"{WAN}:{PORT}")
            self.check_reached(endpoint)
            mapper.stop()

    def _folder(self, name: str) -> Path:
        folder = self.lab.folder / name
        folder.mkdir()
        return folder

    def check_reboot(self, names: str) -> None:
        """The router forgets everything; the next look at its clock tells, and the port is mapped anew."""
        daemon = self.daemon()
        mapper = self.mapper(names)
        mapper.wait(1)
        # The two seconds that clocks may differ have to be over (RFC 6886 3.6, RFC 6887 8.5).
        wait_until(lambda: "elapsed" if self._uptime(daemon) > 4 else None, "some time")
        daemon.stop()
        self.assertEqual(daemon.mappings(), [])
        daemon.start()
        wait_until(daemon.mappings, "another mapping")
        self.check_reached(f"{WAN}:{PORT}")
        self.assertEqual(mapper.wait(1), [f"{WAN}:{PORT}"])
        mapper.stop()
        wait_until(lambda: not daemon.mappings(), "deletion")

    def _uptime(self, daemon: Miniupnpd) -> float:
        started = int(Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()[19])
        return float(Path("/proc/uptime").read_text().split()[0]) - started / os.sysconf("SC_CLK_TCK")

    def test_rebooted_pcp(self) -> None:
        self.check_reboot("PCP")

    def test_rebooted_natpmp(self) -> None:
        self.check_reboot("NAT-PMP")


class RefusalTests(PortMapCase):
    """Routers that cannot or do not want to."""

    def check_nothing(self, names: str, *reasons: str) -> None:
        mapper = self.mapper(names)
        mapper.outcome(*reasons)
        self.assertNotIn("Traceback", mapper.log.read_text())
        self.assertEqual(mapper.told(), [])
        mapper.stop()

    def test_no_such_service(self) -> None:
        self.check_nothing("PCP,NAT-PMP,UPnP", "by PCP: the gateway does not offer it", "by UPnP: ")


class DocumentationAddressTests(RefusalTests):
    """miniupnpd with an address that it takes for one behind another NAT."""

    profile = Masquerade()

    def test_no_such_service(self) -> None:
        daemon = self.daemon()
        self.check_nothing("PCP,NAT-PMP,UPnP", "by PCP: it ", "by NAT-PMP: it has no address outside", "by UPnP: ")
        self.assertEqual(daemon.mappings(), [])


class HostileRouterTests(PortMapCase):
    """UPnP answers that are malformed, slow, endless, or lies; by the real library."""

    profile = Masquerade()

    def hostile(self, behaviour: str) -> None:
        address = self.inside.address.rpartition(".")[0] + ".1"
        output = self.lab.folder / "hostile"
        command = [sys.executable, "-m", "tests.punch.portmap.hostile_igd", address, behaviour]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.router.start(command, stdout=output, stderr=output, env=environment)
        wait_until(lambda: output.exists() and "ready" in output.read_text(), "the hostile router")

    def check(self, behaviour: str, reason: str = "") -> None:
        """One line in the log, and no mapping.  In time: see tests/punch/portmap/test_mapper.py."""
        self.hostile(behaviour)
        mapper = self.mapper("UPnP")
        mapper.outcome(f"by UPnP: {reason}")
        text = mapper.log.read_text()
        self.assertNotIn("Traceback", text)
        self.assertNotIn("\x1b", text)
        self.assertEqual(mapper.told(), [])
        mapper.stop()

    def test_proper(self) -> None:
        """The same router, not hostile: it is what the others differ from."""
        self.hostile("proper")
        self.assertEqual(self.mapper("UPnP").wait(1), [f"192.0.1.1:{PORT}"])

    def test_another_nat_in_front(self) -> None:
        """It maps; that this is worth nothing is found by whoever knows how the broker sees us."""
        self.hostile("private")
        [claimed] = self.mapper("UPnP").wait(1)
        self.assertEqual(told(Endpoint.parse(claimed), Endpoint.parse(f"203.0.113.1:{PORT}")), ())

    def test_huge(self) -> None:
        self.check("huge")

    def test_slow(self) -> None:
        self.check("slow", "no answer in time")

    def test_garbage(self) -> None:
        self.check("garbage")

    def test_garbage_for_an_answer_to_a_search(self) -> None:
        self.check("garbage-search")

    def test_another_machine(self) -> None:
        with self.lab.capture() as capture:
            self.check("elsewhere", "the gateway sends us to another machine")
        self.assertEqual([segment for segment in capture.tcp() if segment.dst == "198.51.100.1"], [])

    def test_endless_answer(self) -> None:
        self.check("huge-answer")

    def test_garbage_for_an_answer(self) -> None:
        self.check("garbage-answer")

    def test_no_address(self) -> None:
        self.check("nonsense", "the router names no IPv4 address as its own")

    def test_impossible_addresses(self) -> None:
        self.check("unspecified", "0.0.0.0 is not an address")

    def test_a_mapping_for_ever(self) -> None:
        self.check("permanent", "OnlyPermanentLeasesSupported")


class ProductTests(SynchronousTestCase):
    """``--map-port``, from the option to a connection that nothing else would bring about."""

    def setUp(self) -> None:
        """A laboratory with a broker."""
        require_laboratory()
        self.program = require_miniupnpd()
        self.lab = Laboratory()
        self.addCleanup(self.lab.close)
        start_broker(self.lab)

    def test_symmetric_with_symmetric(self) -> None:
        """Both map at random; one router maps a port: the other side dials that, and it is gone afterwards."""
        alice_host = self.lab.site("alice", Home(ports="fully-random"))
        bob_host = self.lab.site("bob", Masquerade(ports="fully-random"))
        router = alice_host.site.router
        assert router is not None
        daemon = Miniupnpd(router, self.lab.folder, self.program)
        alice = start_peer(alice_host, "alice", map_port=True)
        alice.wait("nat")
        wait_until(daemon.mappings, "a mapping")
        bob = start_peer(bob_host, "bob")
        self.assertEqual(bob.wait("connected")["candidate"], "mapped")
        alice.wait("connected")
        self.assertEqual(alice.stop(), -signal.SIGTERM)
        wait_until(lambda: not daemon.mappings(), "no mapping")

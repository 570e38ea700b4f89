"""A UPnP router that misbehaves: ``python -m tests.punch.portmap.hostile_igd ADDRESS BEHAVIOUR``.

It listens at the address, which is its own in the LAN, and says ``ready``.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer

GROUP, PORT = "239.255.255.250", 1900
CONNECTION = "urn:schemas-upnp-org:service:WANIPConnection:1"
DESCRIPTION = """<?xml version="1.0"?>
<root xmlns="urn:schemas-upnp-org:device-1-0"><URLBase>{base}</URLBase>
<device><deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType>
<deviceList><device><deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType>
<serviceList><service><serviceType>{kind}</serviceType><controlURL>{base}/control</controlURL>
<eventSubURL>/e</eventSubURL><SCPDURL>/s</SCPDURL></service></serviceList>
</device></deviceList></device></deviceList></device></root>"""
ANSWER = """<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>
<u:{action}Response xmlns:u="{kind}">{content}</u:{action}Response></s:Body></s:Envelope>"""
FAULT = """<?xml version="1.0"?>
<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>
<detail><UPnPError xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{code}</errorCode></UPnPError></detail>
</s:Fault></s:Body></s:Envelope>"""
OUTSIDE = {"private": "10.9.9.9", "nonsense": "\x1b[2Jhere", "unspecified": "0.0.0.0", "multicast": "224.1.1.1"}


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP, mostly."""

    behaviour = ""
    base = ""

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        """The description."""
        match self.behaviour:
            case "huge":
                self.endless(b"<device>" * 8192)
            case "slow":
                self.endless(b"<", pause=0.2)
            case "garbage":
                self.wfile.write(os.urandom(20_000))
            case "elsewhere":
                self.reply(DESCRIPTION.format(base="http://198.51.100.1:80", kind=CONNECTION))
            case _:
                self.reply(DESCRIPTION.format(base=self.base, kind=CONNECTION))

    def do_POST(self) -> None:
        """A request."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        action = self.headers.get("SOAPAction", "").strip('"').rpartition("#")[2]
        contents = {
            "GetStatusInfo": "<NewConnectionStatus>Connected</NewConnectionStatus><NewUptime>9</NewUptime>",
            "GetExternalIPAddress": "<NewExternalIPAddress>{}</NewExternalIPAddress>".format(
                OUTSIDE.get(self.behaviour, "192.0.1.1")
            ),
        }
        if self.behaviour == "huge-answer":
            self.endless(b"<a>" * 8192)
        elif self.behaviour == "garbage":
            self.wfile.write(os.urandom(20_000))
        elif self.behaviour == "garbage-answer":
            self.reply("\x00\x01<<<<>>>>]]>" * 500)
        elif self.behaviour == "permanent" and action == "AddPortMapping":
            self.reply(FAULT.format(code=725), 500)
        else:
            self.reply(ANSWER.format(action=action, kind=CONNECTION, content=contents.get(action, "")))

    def reply(self, text: str, status: int = 200) -> None:
        """A proper one."""
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def endless(self, data: bytes, pause: float = 0.0) -> None:
        """One that never ends."""
        self.send_response(200)
        self.send_header("Content-Length", str(2**31 - 1))
        self.end_headers()
        try:
            while True:
                self.wfile.write(data)
                time.sleep(pause)
        except OSError:
            pass


class Server(ThreadingHTTPServer):
    """Asks no name server what its own name is, as the library's would."""

    daemon_threads = True

    def server_bind(self) -> None:
        """Bind, and no more."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]


def main() -> None:
    """Answer searches, for ever."""
    address, behaviour = sys.argv[1:]
    server = Server((address, 0), Handler)
    Handler.behaviour, Handler.base = behaviour, f"http://{address}:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    searches = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    searches.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    searches.bind((GROUP, PORT))
    membership = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(address))
    searches.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        _, client = searches.recvfrom(2048)
        kind = "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
        headers = f"ST: {kind}\r\nUSN: uuid:1::{kind}\r\nLOCATION: {Handler.base}/description.xml\r\n"
        answer = f"HTTP/1.1 200 OK\r\nEXT:\r\nCACHE-CONTROL: max-age=120\r\n{headers}\r\n".encode()
        if behaviour == "garbage-search":
            answer = answer[:40] + os.urandom(1000)
        searches.sendto(answer, client)


if __name__ == "__main__":
    main()

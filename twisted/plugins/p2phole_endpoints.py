"""What makes ``p2p:…`` known to ``clientFromString`` and ``serverFromString``.

Nothing of ours is imported before it is used: Twisted loads this file for each string with a prefix that it does
not know, and an import error in it would only make ours vanish.
"""

from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from zope.interface import implementer


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class _Client:
    prefix = "p2p"

    def parseStreamClient(self, reactor, /, *arguments, **options):
        from p2phole.endpoints import client_from_string

        return client_from_string(reactor, arguments, options)


@implementer(IPlugin, IStreamServerEndpointStringParser)
class _Server:
    prefix = "p2p"

    def parseStreamServer(self, reactor, /, *arguments, **options):
        from p2phole.endpoints import server_from_string

        return server_from_string(reactor, arguments, options)


p2p_client = _Client()
p2p_server = _Server()

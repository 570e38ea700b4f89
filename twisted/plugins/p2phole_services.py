"""What makes ``twistd p2pbroker`` and ``twistd p2ppeer`` appear.

Nothing of ours is imported here: twistd loads this file for each of its commands, and an import error in it
would only make ours vanish.
"""

from twisted.application.service import ServiceMaker

p2pbroker = ServiceMaker(
    "p2phole broker", "p2phole.broker.tap", "Introduce peers behind NATs to each other.", "p2pbroker"
)
p2ppeer = ServiceMaker(
    "p2phole peer", "p2phole.peer.tap", "Talk to the peers of a room over direct TCP connections.", "p2ppeer"
)

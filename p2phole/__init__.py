"""p2phole: a direct TCP connection between two machines, introduced by a small broker."""

__version__ = "0.1.0"

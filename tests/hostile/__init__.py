"""Attackers: a process of its own for each attack, and what must hold while it runs.

``python -m tests.hostile --help`` lists them.  They attack what they are pointed at on loopback, end by
themselves, and say in a line what they did and what they got.
"""

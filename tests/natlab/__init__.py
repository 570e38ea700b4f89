"""A NAT laboratory: hosts, real kernel routers and a user-space internet, in namespaces of their own.

:mod:`tests.natlab.laboratory` is where to begin; ``python -m tests.natlab`` uses it without any test. This
file stays empty of imports: the laboratory's own processes load it each time one is started.
"""

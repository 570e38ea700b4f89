"""How many sockets this process may have."""

from __future__ import annotations

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]


def raise_descriptor_limit() -> None:
    """Raise the soft limit to the hard one: the usual soft limit of 1,024 dates from ``select()``, which
    none of Twisted's reactors on Linux uses.  Where that is not allowed, what is there is kept."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        pass

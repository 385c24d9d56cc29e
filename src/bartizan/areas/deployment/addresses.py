"""Which nodes have an address that a live check can ask."""

from __future__ import annotations


def has_url(node: object, _system: object) -> bool:
    """Whether `node` declares an http(s) url; the planner asks this before it plans a live check."""
    url = getattr(node, "url", None)
    return isinstance(url, str) and url.lower().startswith(("http://", "https://"))

"""Tells a few values that stand in a column again and again from values of their own."""

from __future__ import annotations

REPEATED = 3
"""How often the values of a column stand in it on average, from which they are categories."""

FEW = 50.0
"""Different values that are few in any table; in a large one twice the root of its rows are."""


def are_categories(different: float, filled: int) -> bool:
    """Are `different` values in `filled` rows a few categories, however many words each of them has?"""
    return different * REPEATED <= filled and different <= max(FEW, 2.0 * filled**0.5)

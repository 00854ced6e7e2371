"""Numbers of things in words, for messages and summaries."""

from __future__ import annotations

import math

__all__ = ["as_often", "counted", "verb"]

_PLURALS = {"class": "classes"}


def counted(count: int, thing: str) -> str:
    """Put a number before the name of what it counts, which stays in the singular only for 1.

    Args:
        count: how many.
        thing: what is counted, in the singular; its last word is the noun.

    >>> counted(1, "file"), counted(1200, "readable image"), counted(0, "class")
    ('1 file', '1,200 readable images', '0 classes')
    """
    if count == 1:
        return f"1 {thing}"
    before, space, noun = thing.rpartition(" ")
    return f"{count:,} {before}{space}{_PLURALS.get(noun, noun + 's')}"


def verb(count: int, one: str = "is", several: str = "are") -> str:
    """Return the form of a verb that goes with a number of things.

    >>> verb(1), verb(2), verb(1, "holds", "hold")
    ('is', 'are', 'holds')
    """
    return one if count == 1 else several


def as_often(ratio: float) -> str:
    """Compare how often two things happen; the name of the second one follows.

    Args:
        ratio: of the first to the second; infinite where the second never happens.

    >>> as_often(2.5), as_often(float("inf"))
    ('2.50 times as often as', 'infinitely more often than')
    """
    return f"{ratio:.2f} times as often as" if math.isfinite(ratio) else "infinitely more often than"

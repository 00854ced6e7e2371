"""Checks of arguments. Every error names the argument, what it must be, and what was given."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any

__all__ = [
    "check_choice",
    "check_flag",
    "check_type",
    "given",
    "image_list",
    "pixel_size",
    "whole_number",
    "whole_numbers",
]


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Raise ValueError unless a value is one of the given words."""
    words = [f'"{choice}"' for choice in choices]
    if not isinstance(value, str) or f'"{value}"' not in words:
        raise ValueError(f"{name} must be {' or '.join([', '.join(words[:-1]), words[-1]])}, not {value!r}")


def check_flag(name: str, value: object) -> bool:
    """Return a flag as a bool; raise TypeError for anything but True and False."""
    if isinstance(value, bool):
        return value
    if type(value).__name__ in ("bool", "bool_") and type(value).__module__ == "numpy":
        return bool(value)
    raise TypeError(f"{name} must be True or False, not {given(value)}")


def check_type(name: str, value: object, kind: type, hint: str = "") -> None:
    """Raise TypeError unless a value is an instance of a class; a hint may say how to make one."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise TypeError(f"{name} must be {article} {kind.__name__}{hint}, not {given(value)}")


def whole_number(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """Return a whole number as an int.

    Raises:
        TypeError: it is not a whole number; True and False count as none.
        ValueError: it is below `least`, or above `most`, which needs a `least`.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {given(value)}") from None
    if least is not None and most is not None and not least <= number <= most:
        raise ValueError(f"{name} must be from {least} to {most}, not {number}")
    if least is not None and number < least:
        raise ValueError(f"{name} must be at least {least}, not {number}")
    return number


def whole_numbers(name: str, value: Any, parts: Sequence[str]) -> tuple[int, ...]:
    """Return as many whole numbers as there are named parts: ("height", "width").

    Raises:
        TypeError: the value is not a sequence of that many whole numbers.
    """
    try:
        numbers = tuple(whole_number(name, number) for number in value)
    except TypeError:
        numbers = ()
    if len(numbers) != len(parts):
        raise TypeError(f"{name} must be ({', '.join(parts)}) in whole pixels, not {given(value)}")
    return numbers


def pixel_size(name: str, value: Any, *, most: int | None = None) -> tuple[int, int]:
    """Return a size as (height, width) in pixels.

    Args:
        name: the argument.
        value: what was given.
        most: the longest side that is possible.

    Raises:
        TypeError: it is not a pair of whole numbers.
        ValueError: a side is out of bounds.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        raise TypeError(f"{name} must be (height, width) in pixels, not {value}; a square is ({value}, {value})")
    height, width = whole_numbers(name, value, ("height", "width"))
    if min(height, width) < 1 or (most and max(height, width) > most):
        limit = f"1 to {most}" if most else "1 or more"
        raise ValueError(f"{name} must be (height, width) in pixels, each {limit}, not ({height}, {width})")
    return height, width


def image_list(images: Any) -> list[Any]:
    """Return the images of a batch as a list; refuse a single image, whose bytes or letters would pass for images."""
    if _is_single(images):
        raise TypeError(f"images must be a list of paths or bytes, not a single {type(images).__name__}; use [image]")
    try:
        return list(images)
    except TypeError:
        raise TypeError(f"images must be a list of paths or bytes, not {given(images)}") from None


def _is_single(images: Any) -> bool:
    if isinstance(images, (str, os.PathLike)):
        return True
    try:
        view = memoryview(images)
    except (TypeError, ValueError):
        return False
    return view.ndim == 1 and view.itemsize == 1


def given(value: object) -> str:
    """Show a value and its type, shortly: 2.5 (float)."""
    text = repr(value)
    if value is None or isinstance(value, bool):
        return text
    kind = type(value).__name__
    return f"{text} ({kind})" if len(text) <= 60 and "\n" not in text else f"a {kind}"

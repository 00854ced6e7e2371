"""Class labels as sources write them: numbers from 0, or names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jpegfreq._words import verb

__all__ = ["check_numbers", "class_number"]

_MOST_CLASSES_UNASKED = 1000  # up to here classes without images are taken as meant


def class_number(text: bytes) -> int | None:
    """Return the class number that a text of ASCII digits spells, or None for any other text."""
    # int() would also take "+1", "1_000" and other scripts' digits, and refuse very long texts in words of its own.
    text = text.strip()
    return int(text) if text.isdigit() and len(text) <= 9 else None


def check_numbers(numbers: Sequence[int], where: Callable[[int], str]) -> None:
    """Refuse a class number so large that nearly all classes below it would have no image.

    Args:
        numbers: the class number of each image.
        where: names the place of an image's label, for the message.

    Raises:
        ValueError: the largest number is 1,000 or more, and fewer than one class in ten has an image.
    """
    if not numbers:
        return
    largest, used = max(numbers), len(set(numbers))
    if largest >= _MOST_CLASSES_UNASKED and 10 * used <= largest:
        raise ValueError(
            f"{where(list(numbers).index(largest))}: class number {largest} would make {largest + 1:,} classes, and "
            f"only {used:,} of them {verb(used, 'has', 'have')} an image: number the classes from 0 without gaps"
        )

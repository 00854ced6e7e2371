"""Numbers in words: one thing is never "1 things", and no message counts with a plural that does not fit."""

from __future__ import annotations

import re
from pathlib import Path

from jpegfreq._words import counted, verb

ROOT = Path(__file__).parents[1]


def test_only_one_thing_is_in_the_singular() -> None:
    assert [counted(n, "file") for n in (0, 1, 2, 12345)] == ["0 files", "1 file", "2 files", "12,345 files"]
    assert [counted(n, "held-out image") for n in (1, 3)] == ["1 held-out image", "3 held-out images"]
    assert [counted(n, "class") for n in (1, 2)] == ["1 class", "2 classes"]
    assert [counted(n, "further class") for n in (1, 2)] == ["1 further class", "2 further classes"]


def test_a_verb_follows_its_number() -> None:
    assert [verb(n) for n in (0, 1, 2)] == ["are", "is", "are"]
    assert [verb(n, "holds", "hold") for n in (1, 2)] == ["holds", "hold"]


def test_messages_count_with_the_helper() -> None:
    """The length of a list in front of a plural is right for every length but one."""
    things = "files|images|classes|names|labels|tensors|channels|shards|samples|components|planes|options|models|others"
    by_hand = re.compile(r"\{len\([^{}]*\)(?::,)?\} (?:[a-z-]+ )?(?:" + things + r")\b")
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for folder in ("jpegfreq", "models")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for match in by_hand.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []

"""Patterns that name many files: brace lists, as WebDataset has them, and wildcards."""

from __future__ import annotations

import glob
import os
import re

__all__ = ["expand", "is_pattern"]

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST = 1_000_000  # files that one pattern may name


def is_pattern(path: str) -> bool:
    """Tell whether a path stands for several: it has braces or wildcards, and there is no file of that very name."""
    return any(character in path for character in "{*?[") and not os.path.lexists(path)


def expand(path: str) -> list[str]:
    """List the files that a path stands for.

    `{000..127}` stands for the numbers between, as wide as the first, and `{a,b}` for each of its words; the files they
    name need not exist. `*`, `?` and `[...]` stand for the files that match them, sorted.

    Args:
        path: a path or a pattern.

    Raises:
        FileNotFoundError: no file matches the wildcards.
        ValueError: a range runs backwards, there are far too many files, or an object store would be searched.

    >>> expand("train-{08..10}.tar")
    ['train-08.tar', 'train-09.tar', 'train-10.tar']
    """
    if not is_pattern(path):
        return [path]
    found: list[str] = []
    for each in _without_braces(path):
        if not any(character in each for character in "*?["):
            found.append(each)
            continue
        if "://" in each:
            raise ValueError(f"{each}: wildcards work only for files of this machine; name the others by braces")
        matching = sorted(glob.glob(each))
        if not matching:
            raise FileNotFoundError(f"{each}: no file matches")
        found += matching
    return found


def _without_braces(path: str) -> list[str]:
    """Replace the braces of a path by each of their words, from left to right."""
    paths = [""]
    place = 0
    for braces in _BRACES.finditer(path):
        words = _words(braces[1], path)
        if len(paths) * len(words) > _MOST:
            raise ValueError(f"{path}: the pattern names more than {_MOST:,} files")
        paths = [start + path[place : braces.start()] + word for start in paths for word in words]
        place = braces.end()
    return [start + path[place:] for start in paths]


def _words(text: str, path: str) -> list[str]:
    bounds = _RANGE.fullmatch(text)
    if bounds is None:
        return text.split(",")
    first, last = int(bounds[1]), int(bounds[2])
    if last < first:
        raise ValueError(f"{path}: the range {text} runs backwards")
    if last - first >= _MOST:
        raise ValueError(f"{path}: the pattern names more than {_MOST:,} files")
    return [f"{number:0{len(bounds[1])}d}" for number in range(first, last + 1)]

"""Hashes of decoded files, here or in a process that runs another instruction set.

`python -m tests.digests` reads paths from its input, one per line, and prints two hashes per file: of the single call
and of the batch.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from jpegfreq import Coefficients, JpegError, read_coefficients, read_coefficients_batch


def digest(result: Coefficients | BaseException) -> str:
    """Hash planes and tables, followed by the text of the damage; of an error, return its text."""
    if isinstance(result, BaseException):
        return f"{type(result).__name__}: {result}"
    out = hashlib.sha256()
    for array in (*result.planes, *result.quantization_tables):
        out.update(repr(array.shape).encode())
        out.update(array.tobytes())
    return f"{out.hexdigest()} {result.damage}"


def single_digests(paths: Sequence[Path]) -> list[str]:
    """Read each file by itself, with damage kept."""
    out = []
    for path in paths:
        try:
            out.append(digest(read_coefficients(path, damage="keep")))
        except JpegError as error:
            out.append(digest(error))
    return out


def batch_digests(paths: Sequence[Path], threads: int) -> list[str]:
    """Read the same files in batches of 64, which bounds memory; "image N: " is cut from the errors' texts."""
    out = []
    for start in range(0, len(paths), 64):
        results = read_coefficients_batch(paths[start : start + 64], threads=threads, damage="keep", errors="return")
        out += [re.sub(r"\bimage \d+: ", "", digest(result)) for result in results]
    return out


def digests_on(instruction_set: str, paths: Sequence[Path]) -> tuple[list[str], list[str]]:
    """Read the files in a process that runs "generic" or "plain" code: (single_digests, batch_digests)."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.digests"],
        input="\n".join(map(str, paths)),
        cwd=Path(__file__).parents[1],
        env={**os.environ, "JPEGFREQ_INSTRUCTION_SET": instruction_set},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    return [line[0] for line in lines], [line[1] for line in lines]


def main() -> None:
    from jpegfreq._native import instruction_set

    assert instruction_set() == os.environ["JPEGFREQ_INSTRUCTION_SET"], instruction_set()
    paths = [Path(line) for line in sys.stdin.read().splitlines()]
    for single, batch in zip(single_digests(paths), batch_digests(paths, 1), strict=True):
        print(f"{single}\t{batch}")


if __name__ == "__main__":
    main()

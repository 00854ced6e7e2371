"""One output per file, made in threads and recorded in order: what `decode`, `transcode` and `prepare` share."""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jpegfreq._files import WriteError
from jpegfreq._words import counted, verb
from jpegfreq.failures import Failure

if TYPE_CHECKING:
    from rich.console import Console

    from jpegfreq.cli._progress import Advance
    from jpegfreq.store.outputs import Outputs, Source

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# A name that the file system cannot hold fails for one file; any other write error would fail for all.
_NAME_ERRORS = (errno.ENAMETOOLONG, errno.EILSEQ)


@contextmanager
def resumable(console: Console) -> Iterator[None]:
    """After an interruption, say how to resume."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("interrupted; run the same command again to resume")
        raise


def in_threads(
    function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int
) -> Generator[tuple[_Item, Future[_Result]], None, None]:
    """Call a function for every item in threads, and yield the items in order, each with its finished call.

    A few calls per thread are in hand, not one for each of a million files. Where the caller closes the iterator early,
    those that have not begun are dropped.
    """
    queue = iter(items)
    running: deque[tuple[_Item, Future[_Result]]] = deque()
    pool = ThreadPoolExecutor(threads)
    try:
        while True:
            for item in queue:
                running.append((item, pool.submit(function, item)))
                if len(running) >= 4 * threads:
                    break
            if not running:
                return
            item, future = running.popleft()
            future.exception()  # waits
            yield item, future
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def make_outputs(
    inputs: Mapping[str, Path],
    outputs: Outputs,
    make: Callable[[str, Path], tuple[Source, Any]],
    threads: int,
    advance: Advance,
) -> list[Failure]:
    """Make an output of each file in threads, and commit them in order.

    Args:
        inputs: the file of each output, by the output's name.
        outputs: where they go.
        make: takes the output's name and the file; returns the file's description and the prepared output.
        threads: how many.
        advance: counts the files that are done.

    Returns:
        The files that failed.

    Raises:
        WriteError: an output cannot be written, for a reason that all of them share.
    """
    failures: list[Failure] = []
    with closing(in_threads(lambda item: make(*item), inputs.items(), threads)) as calls:
        for (name, path), future in calls:
            size_bytes = 0
            try:
                source, prepared = future.result()
                outputs.commit(name, source, prepared)
                size_bytes = source.size_bytes
            except (ValueError, OSError, MemoryError) as error:
                failures.append(failure_of(path, error))
            advance(1, size_bytes)
    return failures


def make_missing(
    console: Console,
    work: tuple[str, str],
    inputs: Mapping[str, Path],
    missing: Sequence[str],
    outputs: Outputs,
    make: Callable[[str, Path], tuple[Source, Any]],
    threads: int,
) -> list[Failure]:
    """Make the outputs that a folder lacks, with a progress bar; say what is there already, and how to resume.

    Args:
        console: where to print.
        work: what is done, and what then is done: ("decoding", "decoded").
        inputs: the file of each output, by the output's name.
        missing: the names of those to make.
        outputs: where they go.
        make: as for `make_outputs`.
        threads: how many.

    Returns:
        The files that failed.

    Raises:
        WriteError: as for `make_outputs`.
    """
    from jpegfreq.cli._progress import speed_bar

    if len(missing) < len(inputs):
        there = len(inputs) - len(missing)
        console.print(f"{there} of {counted(len(inputs), 'file')} {verb(there)} {work[1]} already")
    try:
        outputs.begin()
        waiting = {name: inputs[name] for name in missing}
        with resumable(console), speed_bar(console, work[0], len(waiting)) as advance:
            failures = make_outputs(waiting, outputs, make, threads, advance)
        outputs.finish()
    finally:
        outputs.close()
    return failures


def failure_of(path: Path, error: ValueError | OSError | MemoryError) -> Failure:
    """Describe the failure of one file; raise the error if it would meet all files.

    Raises:
        WriteError: an output cannot be written, for a reason other than its name.
    """
    if isinstance(error, WriteError) and error.errno not in _NAME_ERRORS:
        raise error
    return Failure.of_file(str(path), error, path)


def sizes(outputs: Outputs, names: Iterable[str]) -> str:
    """Compare the outputs' size with that of their sources, in words to add to a message; "" if there are none."""
    records = [outputs.records[name] for name in names if name in outputs.records]
    before, after = sum(record.source.size_bytes for record in records), sum(record.output_bytes for record in records)
    if not before:
        return ""
    return f": {after:,} bytes, {after / before:.3f} times the {before:,} bytes of their sources"


def report_further_images(console: Console, count: int) -> None:
    """Say how many files held more images than the one that was copied."""
    if count:
        console.print(
            f"{counted(count, 'file')} {verb(count, 'holds', 'hold')} further images after the first, as MPO files "
            "do; these are not copied"
        )

"""Conversion and statistics on Ray Data: each task is a shard or some files, on this machine's cores or a cluster's.

Every machine must see the files and the store under the same paths. A task does what `convert_shards` does for one
shard, so the store's bytes are the same as without Ray. Statistics are merged in the files' order.
"""

from __future__ import annotations

import logging
import pickle
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from jpegfreq._extras import needs_extra
from jpegfreq.store.measure import Measured, measure_files
from jpegfreq.store.plan import Conversion
from jpegfreq.store.shards import convert_shards
from jpegfreq.views import EvaluationView

__all__ = ["EngineError", "convert_shards_on_ray", "measure_files_on_ray", "ray_session"]

_REACH_SECONDS = 5.0
_FILES_PER_TASK = 64


class EngineError(RuntimeError):
    """Ray is missing, cannot be reached, or lost a task."""


@contextmanager
def ray_session(*, address: str | None = None, cores: int = 1) -> Iterator[None]:
    """Connect to Ray for a while; a Ray that already runs in this process is used and left running.

    Args:
        address: of a cluster: "host:port", "ray://host:port" or "auto"; None to start Ray here and end it afterwards.
        cores: how many tasks run at once, if Ray is started here.

    Raises:
        MissingExtraError: Ray is not installed.
        EngineError: nothing answers at the address.
    """
    with needs_extra("the engine ray"):
        import ray.data
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.execution_options.preserve_order = True
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if address is None:
        quiet |= {"num_cpus": cores, "include_dashboard": False}
    else:
        _reach(address)
    try:
        ray.init(address=address or "local", **quiet)
    except (SystemExit, Exception) as error:  # Ray ends the process if a cluster does not answer
        raise EngineError(f"cannot start Ray at {address or 'this machine'}: {error}") from error
    try:
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Fail early if nothing answers, because Ray itself tries for two minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # "auto", or a name that Ray knows
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_SECONDS).close()
    except (OSError, ValueError) as error:
        raise EngineError(f"no Ray cluster answers at {address}: {error}") from error


def run_tasks(task: Callable[[int], dict[str, Any]], numbers: Iterable[int]) -> Iterator[dict[str, Any]]:
    """Run a task for each number inside a `ray_session`, on one core each.

    Yields:
        The tasks' results, in the numbers' order.

    Raises:
        EngineError: a task failed or was lost.
    """
    import ray.data

    items = list(numbers)
    if not items:
        return
    tasks = ray.data.from_items(items, override_num_blocks=len(items))
    try:
        yield from tasks.map(lambda row: task(row["item"]), num_cpus=1).iter_rows()
    except ray.exceptions.RayError as error:
        raise EngineError(f"a task failed on Ray: {error.__cause__ or error}") from error


def convert_shards_on_ray(
    conversion: Conversion,
    out: Path,
    shards: Iterable[int],
    *,
    progress: Callable[[int, int], None] = lambda images, size_bytes: None,
) -> None:
    """Convert the files of some shards inside a `ray_session`; each shard appears whole or not at all.

    Args:
        conversion: the plan.
        out: the store, after `begin`.
        shards: their numbers.
        progress: called after each shard with its number of images and bytes.
    """
    conversion, out = replace(conversion, folder=conversion.folder.absolute()), out.absolute()

    def convert(shard: int) -> dict[str, Any]:
        done = [0, 0]

        def count(images: int, size_bytes: int) -> None:
            done[0] += images
            done[1] += size_bytes

        convert_shards(conversion, out, [shard], progress=count)
        return {"images": done[0], "size_bytes": done[1]}

    for row in run_tasks(convert, shards):
        progress(row["images"], row["size_bytes"])


def measure_files_on_ray(paths: Sequence[tuple[str, str]], view: EvaluationView) -> Iterator[list[Measured]]:
    """Measure files as `measure_files` does, inside a `ray_session`: the same numbers in the same order.

    Args:
        paths: the name and the path of each file.
        view: the part of each image.
    """
    parts = [
        [(name, str(Path(path).absolute())) for name, path in paths[start : start + _FILES_PER_TASK]]
        for start in range(0, len(paths), _FILES_PER_TASK)
    ]

    def measure(number: int) -> dict[str, Any]:
        measured = [image for batch in measure_files(parts[number], view, threads=1) for image in batch]
        return {"measured": pickle.dumps(measured)}

    for row in run_tasks(measure, range(len(parts))):
        yield pickle.loads(row["measured"])

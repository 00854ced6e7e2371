"""`jpegfreq decode`: a frequency tensor for each picture of a folder."""

from __future__ import annotations

import argparse
import json
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from jpegfreq._files import write_whole
from jpegfreq.batch import usable_cores
from jpegfreq.failures import Failure

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from rich.console import Console

    from jpegfreq.cli._options import Input
    from jpegfreq.format import TensorFormat

SUMMARY = "decode pictures to frequency tensors (.npy or one .npz)"
DESCRIPTION = """\
Decode JPEG files to frequency tensors: OUT/<name>.npy for each, or all in OUT/tensors.npz.
OUT/format.json says what the tensors hold; a folder never mixes formats. Run the same
command again after an interruption: what is complete is skipped.

examples:
  jpegfreq decode photos/ --out tensors/
  jpegfreq decode photos/ --out small/ --channels 24 --dtype float16 --statistics stats.json
  python -c "import numpy; print(numpy.load('tensors/photo.jpg.npy').shape)"
"""
_STAMP = "format.json"
_ARCHIVE = "tensors.npz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import add_format_arguments

    parser.add_argument("inputs", nargs="+", metavar="DIR|FILE", help="folders of JPEG files, or files")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder for the tensors")
    parser.add_argument(
        "--npz", action="store_true", help=f"one uncompressed archive, OUT/{_ARCHIVE}, begun anew if cut"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="default: one for each core")
    parser.add_argument(
        "--damage", choices=("raise", "keep"), default="raise",
        help="a damaged file is a failure, or is kept as far as it goes, with zeros for the rest (default: raise)",
    )  # fmt: skip
    add_format_arguments(parser)


class Store(Protocol):
    """Where tensors go."""

    def has(self, item: Input) -> bool:
        """Whether the file's tensor is complete."""

    def put(self, item: Input, tensor: npt.NDArray[np.generic]) -> None:
        """Keep a tensor; may be called by several threads."""


def run(arguments: argparse.Namespace) -> int:
    """Decode every file that is not yet there; 1 where some failed."""
    from rich.console import Console

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import find_inputs, format_from
    from jpegfreq.cli._progress import list_failures

    format = format_from(arguments)
    inputs = find_inputs(arguments.inputs)
    threads = arguments.threads or usable_cores()
    if threads < 1:
        raise CommandError("--threads must be 1 or more")
    stamp = {"format": format.to_dict(), "damage": arguments.damage}
    _claim(arguments.out, stamp)
    console = Console(stderr=True)
    with _open_store(arguments.out, inputs, archive=arguments.npz) as store:
        waiting = [item for item in inputs if not store.has(item)]
        if len(waiting) < len(inputs):
            console.print(f"{len(inputs) - len(waiting)} of {len(inputs)} files are decoded already")
        failures = _decode_all(waiting, store, format, arguments.damage, threads, console)
    console.print(f"{len(inputs) - len(failures)} of {len(inputs)} files are decoded in {arguments.out}")
    list_failures(console, failures)
    return 1 if failures else 0


def _claim(out: Path, stamp: dict[str, Any]) -> None:
    """Mark the folder as one of this format, or refuse where it is of another."""
    from jpegfreq.cli import CommandError

    path = out / _STAMP
    try:
        out.mkdir(parents=True, exist_ok=True)
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            if before != stamp:
                fields = {**before.get("format", {}), "damage": before.get("damage")}
                wanted = {**stamp["format"], "damage": stamp["damage"]}
                different = ", ".join(name for name in wanted if fields.get(name) != wanted[name])
                raise CommandError(
                    f"{out} holds tensors of another format (different: {different}); choose another --out"
                )
            return
        write_whole(path, json.dumps(stamp, indent=1) + "\n")
    except OSError as error:
        raise CommandError(f"cannot write to {out}: {error}") from error
    except json.JSONDecodeError as error:
        raise CommandError(f"{path} is not what this command wrote: {error}") from error


@contextmanager
def _open_store(out: Path, inputs: list[Input], *, archive: bool) -> Iterator[Store]:
    if not archive:
        yield _Folder(out)
        return
    store = _Archive(out / _ARCHIVE, inputs)
    yield store
    store.close()


class _Folder:
    """One .npy a file, complete once it has its name."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def has(self, item: Input) -> bool:
        target = self._target(item)
        return target.exists() and target.stat().st_mtime_ns >= item.path.stat().st_mtime_ns

    def put(self, item: Input, tensor: npt.NDArray[np.generic]) -> None:
        import numpy as np

        target = self._target(item)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(target.name + ".part")
        with temporary.open("wb") as file:
            np.save(file, tensor)
        temporary.replace(target)

    def _target(self, item: Input) -> Path:
        return self.out / f"{item.name}.npy"


class _Archive:
    """All tensors in one .npz, which gets its name when it is complete; members are named by their files."""

    def __init__(self, path: Path, inputs: list[Input]) -> None:
        from threading import Lock

        self.path = path
        self.lock = Lock()
        self.members = _members(path)
        self.file: zipfile.ZipFile | None = None
        if not all(item.name in self.members for item in inputs):  # else there is nothing to do
            self.members = set()
            self.file = zipfile.ZipFile(path.with_suffix(".npz.part"), "w", zipfile.ZIP_STORED, allowZip64=True)

    def has(self, item: Input) -> bool:
        return item.name in self.members

    def put(self, item: Input, tensor: npt.NDArray[np.generic]) -> None:
        import numpy as np

        assert self.file is not None
        with self.lock, self.file.open(f"{item.name}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, tensor)

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.path.with_suffix(".npz.part").replace(self.path)


def _members(path: Path) -> set[str]:
    if not path.exists():
        return set()
    with zipfile.ZipFile(path) as archive:
        return {name.removesuffix(".npy") for name in archive.namelist()}


def _decode_all(
    inputs: list[Input], store: Store, format: TensorFormat, damage: Any, threads: int, console: Console
) -> list[Failure]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from jpegfreq.assembly import kernels  # noqa: F401  (Numba's start is not part of the speed shown)
    from jpegfreq.assembly.tensor import to_frequency_tensor
    from jpegfreq.coefficients import read_coefficients

    def decode(item: Input) -> int:
        coefficients = read_coefficients(item.path, damage=damage)
        store.put(item, to_frequency_tensor(coefficients, format))
        return item.path.stat().st_size

    failures: list[Failure] = []
    columns = (
        TextColumn("decoding"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    start, done, size_bytes = time.perf_counter(), 0, 0
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(threads) as pool:
        task = progress.add_task("", total=len(inputs), speed="")
        queue = iter(inputs)
        running: dict[Future[int], Input] = {}
        try:
            while True:
                for item in queue:  # a few in hand for each thread, not a future for each of a million files
                    running[pool.submit(decode, item)] = item
                    if len(running) >= 4 * threads:
                        break
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    item = running.pop(future)
                    try:
                        size_bytes += future.result()
                    except (ValueError, OSError, MemoryError) as error:
                        failures.append(Failure.of_file(str(item.path), error, item.path))
                    done += 1
                seconds = time.perf_counter() - start
                speed = f"{done / seconds:.0f} images/s, {size_bytes / seconds / 1e6:.1f} MB/s"
                progress.update(task, completed=done, speed=speed)
        except KeyboardInterrupt:
            pool.shutdown(wait=True, cancel_futures=True)
            console.print("interrupted; run the same command to go on")
            raise
    order = {str(item.path): n for n, item in enumerate(inputs)}
    return sorted(failures, key=lambda failure: order[failure.name])

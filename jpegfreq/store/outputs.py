"""Outputs made from files, one per file: what is there already, of which source, and what would be overwritten.

A folder of outputs has a stamp, format.json, with the options that made them, and a record of each output's source:
its resolved path, size, times and hash. The records are in manifest.jsonl, or in an archive with each member. An output
is current if its source has the recorded size and times, or else the recorded hash. Nothing is written outside the
folder, and an output of one source is never replaced by that of another.

A run may be killed at any time: an output appears whole, before its record, and one without a record is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from shutil import copyfileobj
from typing import IO, Any, TypeAlias

from jpegfreq._files import WriteError, name_complete, read_text, write_whole, written_whole
from jpegfreq._json import parse_json
from jpegfreq.store.plan import differences

__all__ = [
    "ArchiveOutputs",
    "FileOutputs",
    "OutputConflictError",
    "Outputs",
    "Source",
    "describe_source",
    "read_source",
]

_STAMP = "format.json"
_MANIFEST = "manifest.jsonl"
ARCHIVE = "tensors.npz"

# Writes the content of an output to a file.
Write: TypeAlias = Callable[[IO[bytes]], object]


class OutputConflictError(ValueError):
    """An output would replace another one or an input, or lie outside its folder; nothing was written."""


@dataclass(frozen=True)
class Source:
    """The file that an output was made from.

    Attributes:
        path: absolute, without links.
        size_bytes: of the file.
        mtime_ns: when its content was modified, as far as programs tell the truth.
        ctime_ns: when the file was changed in any way, by the file system's clock.
        sha256: of the content, in hexadecimal.
    """

    path: str
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    sha256: str


@dataclass(frozen=True)
class _Record:
    source: Source
    output_bytes: int

    def to_json(self, name: str) -> str:
        return json.dumps({"output": name, "output_bytes": self.output_bytes, "source": asdict(self.source)})

    @classmethod
    def from_json(cls, text: str | bytes) -> tuple[str, _Record]:
        value = parse_json(text)
        return value["output"], cls(Source(**value["source"]), value["output_bytes"])


def read_source(path: str | os.PathLike[str]) -> tuple[Source, bytes]:
    """Read a file and describe it as the source of an output.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())  # before the content, so that a later edit is noticed
        data = file.read()
    digest = hashlib.sha256(data).hexdigest()
    return Source(os.path.realpath(path), len(data), status.st_mtime_ns, status.st_ctime_ns, digest), data


def describe_source(path: str | os.PathLike[str]) -> Source:
    """Describe a file as the source of an output, without holding its content.

    Raises:
        OSError: the file cannot be read.
    """
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Source(os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ctime_ns, digest)


class Outputs(ABC):
    """The outputs of a folder, in whatever container. Call `missing`, `begin`, and `finish` at the end.

    Attributes:
        out: the folder.
        records: the source of each output that is known, by the output's name.
    """

    reserved: tuple[str, ...] = (_STAMP, _MANIFEST, ARCHIVE)

    def __init__(self, out: Path, options: dict[str, Any]) -> None:
        """Read what is there; nothing is written yet.

        Args:
            out: the folder.
            options: everything besides the sources that decides what the outputs hold, as JSON can store it.

        Raises:
            ValueError: the folder holds outputs that were made with other options.
        """
        self.out = out
        self._options = options
        self._resources = ExitStack()
        if out.exists() and not out.is_dir():
            raise ValueError(f"{out} is a file, but a folder is to be written")
        stamp = out / _STAMP
        if stamp.exists():
            try:
                before = parse_json(read_text(stamp))
                different = differences(before, options)
            except (ValueError, AttributeError, KeyError, TypeError) as error:
                raise ValueError(f"{stamp} was not written by this command: {error}") from error
            if before != options:
                raise ValueError(f"{out} holds outputs made with {different}; choose another --out")
        for name in self.reserved:
            self._refuse_links(name, [], os.path.realpath(out), set())
        self.records = self._read_records()

    def missing(self, sources: Mapping[str, Path]) -> list[str]:
        """Return the outputs that are to be made; the others are current.

        Args:
            sources: the source of each output wanted, by the output's name: relative, with forward slashes.

        Raises:
            OutputConflictError: an output would replace another one or an input, or lie outside the folder.
        """
        resolved = {name: os.path.realpath(path) for name, path in sources.items()}
        self._refuse_conflicts(resolved)
        return [name for name, path in resolved.items() if not self._is_current(name, path)]

    def begin(self) -> None:
        """Create the folder and its stamp, and lock it against other processes.

        Raises:
            WriteError: it cannot be written, or another process is writing to it.
        """
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.out, os.O_RDONLY)
        except OSError as error:
            raise WriteError.of(self.out, error) from error
        self._resources.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise WriteError(f"{self.out} is being written by another process") from error
        except OSError:
            pass  # a file system that cannot lock folders
        if not (self.out / _STAMP).exists():
            write_whole(self.out / _STAMP, json.dumps(self._options, indent=1) + "\n")

    @abstractmethod
    def prepare(self, name: str, write: Write) -> Any:
        """Make an output ready to `commit`; several threads may do so at once.

        Raises:
            ValueError: the container cannot hold an output of this name.
            WriteError: it cannot be written.
        """

    @abstractmethod
    def commit(self, name: str, source: Source, prepared: Any) -> None:
        """Record an output, and write what `prepare` did not.

        Raises:
            WriteError: it cannot be written.
        """

    @abstractmethod
    def finish(self) -> None:
        """Complete the container once every output is committed.

        Raises:
            WriteError: it cannot be written.
        """

    def close(self) -> None:
        """Release the folder, whether finished or not."""
        self._resources.close()

    @abstractmethod
    def _read_records(self) -> dict[str, _Record]: ...

    @abstractmethod
    def _is_whole(self, name: str, record: _Record) -> bool:
        """Return whether an output exists as it was recorded."""

    def _refuse_conflicts(self, resolved: Mapping[str, str]) -> None:
        known = {name: record.source.path for name, record in self.records.items()}
        everything = {**known, **resolved}
        inputs = set(resolved.values())
        root = os.path.realpath(self.out)
        checked: set[str] = set()
        unrecorded = not (self.out / _MANIFEST).exists()
        for name, path in resolved.items():
            parts = PurePosixPath(name)
            above = [str(parent) for parent in parts.parents][:-1]
            if parts.is_absolute() or ".." in parts.parts:
                raise OutputConflictError(f"the output {name} of {path} would lie outside {self.out}")
            if parts.parts[0] in self.reserved:
                raise OutputConflictError(f"the output {name} of {path} needs the name of {self.out / parts.parts[0]}")
            if known.get(name, path) != path and not self._is_moved(name, path):
                raise OutputConflictError(
                    f"{self.out / name} was made from {known[name]}, and {path} would replace it; choose another --out"
                )
            for folder in above:
                if folder in everything:
                    raise OutputConflictError(
                        f"{self.out / folder} cannot be both the output of {everything[folder]} and the folder of the "
                        f"output of {path}; choose another --out"
                    )
            if os.path.join(root, name) in inputs:
                raise OutputConflictError(f"the output {self.out / name} of {path} would overwrite an input")
            self._refuse_links(name, above, root, checked)
            if unrecorded and os.path.lexists(os.path.join(root, name)):
                raise OutputConflictError(
                    f"{self.out / name} was not written by this command, or its manifest is missing, and {path} "
                    "would replace it; choose another --out"
                )

    def _refuse_links(self, name: str, above: list[str], root: str, checked: set[str]) -> None:
        """Refuse links below the folder that lead out of it."""
        for entry in (name, *above):
            if entry not in checked and os.path.islink(os.path.join(root, entry)):
                real = os.path.realpath(os.path.join(root, entry))
                if os.path.commonpath([real, root]) != root:
                    raise OutputConflictError(f"{self.out / entry} is a link that leads outside {self.out}, to {real}")
            checked.add(entry)

    def _is_moved(self, name: str, path: str) -> bool:
        """Return whether an output's source lies elsewhere now, with the same content."""
        source = self.records[name].source
        return not os.path.exists(source.path) and _has_content(path, source)

    def _is_current(self, name: str, path: str) -> bool:
        record = self.records.get(name)
        if record is None or not self._is_whole(name, record):
            return False
        source = record.source
        try:
            status = os.stat(path)
        except OSError:
            return False
        times = (status.st_mtime_ns, status.st_ctime_ns)
        if (path, status.st_size, times) == (source.path, source.size_bytes, (source.mtime_ns, source.ctime_ns)):
            return True
        if not _has_content(path, source):
            return False
        touched = replace(source, path=path, mtime_ns=times[0], ctime_ns=times[1])
        self.records[name] = replace(record, source=touched)
        return True


def _has_content(path: str, source: Source) -> bool:
    try:
        return os.path.getsize(path) == source.size_bytes and read_source(path)[0].sha256 == source.sha256
    except OSError:
        return False


class FileOutputs(Outputs):
    """One file per output. manifest.jsonl grows by a line per output, and is sorted at the end."""

    def prepare(self, name: str, write: Write) -> int:
        """Write the output's file, and return its size."""
        path = self.out / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise WriteError.of(path, error) from error
        # Not flushed to the disk one by one: after a power failure, an incomplete file has another size than recorded.
        with written_whole(path, durable=False) as temporary, temporary.open("wb") as file:
            write(file)
            return file.tell()

    def commit(self, name: str, source: Source, prepared: int) -> None:
        """Record the output."""
        self.records[name] = _Record(source, prepared)
        try:
            self._journal.write(self.records[name].to_json(name).encode() + b"\n")
            self._journal.flush()
        except OSError as error:
            raise WriteError.of(self.out / _MANIFEST, error) from error

    def begin(self) -> None:
        """Create the folder and its stamp, lock it, and open the manifest to add to it."""
        super().begin()
        self._write_manifest()  # without a line that was cut short
        try:
            self._journal = self._resources.enter_context(_closed_quietly((self.out / _MANIFEST).open("ab")))
        except OSError as error:
            raise WriteError.of(self.out / _MANIFEST, error) from error

    def finish(self) -> None:
        """Sort the manifest."""
        self._write_manifest()

    def _write_manifest(self) -> None:
        text = "".join(self.records[name].to_json(name) + "\n" for name in sorted(self.records))
        path = self.out / _MANIFEST
        if not path.exists() or path.read_bytes() != text.encode():
            write_whole(path, text)

    def _read_records(self) -> dict[str, _Record]:
        path = self.out / _MANIFEST
        if not path.exists():
            return {}
        *lines, _ = path.read_bytes().split(b"\n")  # after a kill, the last line may have no end
        return _records(path, lines)

    def _is_whole(self, name: str, record: _Record) -> bool:
        try:
            return os.path.getsize(self.out / name) == record.output_bytes
        except OSError:
            return False


def _records(path: Path, lines: Iterable[str | bytes]) -> dict[str, _Record]:
    try:
        return dict(_Record.from_json(line) for line in lines)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} was not written by this command: {error}") from error


class _closed_quietly:  # noqa: N801  # a context manager, named as those of contextlib are
    """Close a file even if the full disk refuses its last bytes, which was reported before."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __enter__(self) -> IO[bytes]:
        return self._file

    def __exit__(self, *error: object) -> None:
        with suppress(OSError):
            self._file.close()


class ArchiveOutputs(Outputs):
    """All outputs in one uncompressed .npz, which is replaced whole; each member's comment is its record."""

    def begin(self) -> None:
        """Create the folder and its stamp, lock it, and begin a new archive beside the old one."""
        super().begin()
        self._part = self.out / f"{ARCHIVE}.part"
        self._written: set[str] = set()
        try:
            self._file = zipfile.ZipFile(self._part, "w", zipfile.ZIP_STORED, allowZip64=True)
        except OSError as error:
            raise WriteError.of(self.out / ARCHIVE, error) from error
        self._resources.callback(self._abandon)

    def prepare(self, name: str, write: Write) -> Write:
        """Return `write` unchanged: an archive is written by one thread."""
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ValueError("the name is not UTF-8, which an .npz archive needs; decode without --npz") from error
        return write

    def commit(self, name: str, source: Source, prepared: Write) -> None:
        """Write the output into the new archive, with its record."""
        info = zipfile.ZipInfo(name)
        try:
            with self._file.open(info, "w", force_zip64=True) as member:
                prepared(member)
        except OSError as error:
            raise WriteError.of(self.out / ARCHIVE, error) from error
        self.records[name] = _Record(source, info.file_size)
        info.comment = self.records[name].to_json(name).encode()
        self._written.add(name)

    def finish(self) -> None:
        """Add the old archive's other members to the new archive, and let it replace the old one."""
        if not self._written:
            return
        try:
            if (self.out / ARCHIVE).exists():
                self._copy_others()
            self._file.close()
            name_complete(self._part, self.out / ARCHIVE)
        except OSError as error:
            raise WriteError.of(self.out / ARCHIVE, error) from error

    def _copy_others(self) -> None:
        with zipfile.ZipFile(self.out / ARCHIVE) as old:
            for info in old.infolist():
                if info.filename in self._written:
                    continue
                copy = zipfile.ZipInfo(info.filename)
                copy.comment = info.comment
                with old.open(info) as content, self._file.open(copy, "w", force_zip64=True) as member:
                    copyfileobj(content, member, 1 << 20)

    def _abandon(self) -> None:
        """Remove the new archive if it has not replaced the old one."""
        with suppress(OSError, ValueError):  # ValueError: a member was cut short
            self._file.close()
        with suppress(OSError):
            self._part.unlink()

    def _read_records(self) -> dict[str, _Record]:
        path = self.out / ARCHIVE
        if not path.exists():
            return {}
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path} is damaged ({error}): remove it, or choose another --out") from error
        for info in members:
            if not info.comment:
                raise ValueError(
                    f"{path} was not written by this command: {info.filename} has no record of its source; "
                    "choose another --out"
                )
        return _records(path, [info.comment for info in members])

    def _is_whole(self, name: str, record: _Record) -> bool:
        return True  # the archive has its name only when it is complete

"""Beginning, resuming and finishing a store: what is complete, what was edited since, and the manifest over all.

A shard's time of modification is when it was begun, before any of its files was read. `begin` looks again at files that
changed since, and withdraws the shards that hold an older content of them.

In manifest.json, each of a shard's "files" has its "name", "size_bytes", "label" and "xxh3_128", which is the 128-bit
XXH3 hash of its content in hexadecimal, as `xxhash.xxh3_128_hexdigest(data)` returns it. The hash shows whether a file
changed or was mixed up with another. It does not protect against forgery, because other content with the same hash can
be made on purpose. Older stores have "sha256" instead. They are read and resumed, and their new shards have "xxh3_128".
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import xxhash

from jpegfreq._files import read_text, write_whole
from jpegfreq._json import parse_json
from jpegfreq.failures import Failure
from jpegfreq.store.plan import Conversion, ShardPlan, differences, lines_json

__all__ = ["begin", "finish", "identity_of", "missing_shards"]


def begin(conversion: ShardPlan, out: Path, *, part: int = 1, parts: int = 1) -> int:
    """Create a store's folder, or resume a store of the same plan.

    Args:
        conversion: the plan.
        out: the store.
        part: which of several machines this is, from 1.
        parts: how many machines there are.

    Returns:
        How many complete shards of this part will be made again, because a file was edited or the shard is gone.

    Raises:
        ValueError: the store was begun with another plan.
        WriteError: it cannot be written.
    """
    try:
        (out / "shards").mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ValueError(f"{out} is a file, not a folder: choose another name for the store") from error
    path = out / "plan.json"
    if path.exists():
        _compare(path, conversion)
        os.utime(path)
    else:
        write_whole(path, conversion.plan_text(), suffix=f".part{part}")
    now_ns = path.stat().st_mtime_ns
    complete = [n for n in conversion.part(part, parts) if conversion.complete_path(out, n).exists()]
    edited = [n for n in complete if _is_edited(conversion, out, n, now_ns)]
    if edited:
        (out / "manifest.json").unlink(missing_ok=True)
    for shard in edited:
        conversion.complete_path(out, shard).unlink()
    return len(edited)


def _compare(path: Path, conversion: ShardPlan) -> None:
    """Refuse a store that was begun with another plan."""
    before, wanted = parse_json(read_text(path)), json.loads(conversion.plan_text())
    if before == wanted:
        return
    if set(before) != set(wanted):
        kinds = ["coefficients of whole images" if "names" in plan else "tensors" for plan in (before, wanted)]
        raise ValueError(f"{path.parent} is a store of {kinds[0]}, not of {kinds[1]}; choose another folder")
    raise ValueError(
        f"{path.parent} was begun with another plan: {differences(before, wanted)}; choose another folder, or repeat "
        "the first run's options and files"
    )


def _is_edited(conversion: ShardPlan, out: Path, shard: int, now_ns: int) -> bool:
    path = conversion.shard_path(out, shard)
    return not path.exists() or is_edited(conversion.folder, path, conversion.record(out, shard).files, now_ns)


def is_edited(folder: Path, shard: Path, files: Iterable[Mapping[str, Any]], now_ns: int) -> bool:
    """Return whether one of a complete shard's files has another content than when the shard was made.

    Files whose st_ctime says that they may have changed are hashed. If none did change, the shard's time becomes
    `now_ns`, so that this is done only once.

    Args:
        folder: where the files are.
        shard: the shard's file.
        files: of each its "name", "size_bytes" and "xxh3_128" or "sha256"; those that could not be opened have no hash.
        now_ns: the file system's current time.
    """
    made_ns = shard.stat().st_mtime_ns
    hashed = False
    for file in files:
        path = folder / file["name"]
        if not path.exists() or path.stat().st_size != file.get("size_bytes", path.stat().st_size):
            return True
        if path.stat().st_ctime_ns < made_ns:  # which nobody can set; its clock may tick in milliseconds
            continue
        if not _has_recorded_hash(path, file):
            return True
        hashed = True
    if hashed:
        os.utime(shard, ns=(now_ns, now_ns))
    return False


def identity_of(path: Path) -> dict[str, Any]:
    """Return what `is_edited` recognizes a file by; nothing if the file cannot be opened."""
    try:
        return {"size_bytes": path.stat().st_size, "sha256": _sha256_of(path)}
    except OSError:
        return {}


def _has_recorded_hash(path: Path, file: Mapping[str, Any]) -> bool:
    """Return whether a file still has the hash that its shard's record holds, of either kind."""
    kinds = {"xxh3_128": _xxh3_128_of, "sha256": _sha256_of}
    return any(kind in file and hash_of(path) == file[kind] for kind, hash_of in kinds.items())


def _xxh3_128_of(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, xxhash.xxh3_128).hexdigest()


def _sha256_of(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def missing_shards(conversion: ShardPlan, out: Path, *, part: int = 1, parts: int = 1) -> list[int]:
    """Return the shards that are not complete, of all or of one machine's part (of 1 to `parts`)."""
    return [n for n in conversion.part(part, parts) if not conversion.complete_path(out, n).exists()]


def finish(conversion: ShardPlan, out: Path, *, part: int = 1, parts: int = 1) -> tuple[int, list[Failure]]:
    """Write manifest.json over a store of tensors once every shard is complete.

    Returns:
        How many shards of other machines are still missing, and the failures of this part.
    """
    missing = len(missing_shards(conversion, out))
    if not missing and isinstance(conversion, Conversion):
        paths = [conversion.complete_path(out, shard) for shard in range(conversion.shard_count)]
        records = [parse_json(path.read_text("utf-8")) for path in paths]
        shards = [{key: record[key] for key in ("shard", "files")} for record in records]
        failures = [failure for record in records for failure in record["failures"]]
        text = lines_json({**conversion.plan(), "shards": shards, "failures": failures})
        write_whole(out / "manifest.json", text, suffix=f".part{part}")
    own = [conversion.record(out, shard).failures for shard in conversion.part(part, parts)]
    return missing, [failure for failures in own for failure in failures]

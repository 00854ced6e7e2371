"""Tar shards as WebDataset writes them: which members are images, and which label belongs to which image."""

from __future__ import annotations

import os
from dataclasses import dataclass

from jpegfreq._json import parse_json
from jpegfreq.sources.labels import class_number
from jpegfreq.sources.opened import Opened
from jpegfreq.sources.tar import Member, read_members
from jpegfreq.sources.walk import IMAGE_EXTENSIONS, is_hidden

__all__ = ["Shard", "ShardImage", "read_shard"]

_MOST_LABEL_BYTES = 1 << 24

# The key of an image's .json that holds its label, where it has no .cls and no key is named.
DEFAULT_JSON_KEY = "label"


@dataclass
class ShardImage:
    """An image in a shard.

    Attributes:
        shard: the tar file.
        member: its place there.
        label: a class number or a class name; -1 where labels are not read.
    """

    shard: str
    member: Member
    label: int | str = -1

    @property
    def name(self) -> str:
        """What to call the image in a message: the shard's file name and the member."""
        return f"{os.path.basename(self.shard)}/{self.member.name}"


@dataclass(frozen=True)
class Shard:
    """A shard's images, in its order, and how many members are left out.

    Attributes:
        images: at least one.
        hidden: how many members are hidden by their names.
        other_files: how many are neither an image nor a label.
    """

    images: tuple[ShardImage, ...]
    hidden: int
    other_files: int


def read_shard(path: str, *, labels: bool, json_key: str | None) -> Shard:
    """Read the table of a shard, and the labels in it; see `tar_shards` for the arguments and the errors."""
    images: dict[str, ShardImage] = {}
    label_members: dict[str, list[Member]] = {}
    spare: dict[str, Member] = {}
    hidden = other_files = 0
    for member in read_members(path):
        folder, _, base = member.name.rpartition("/")
        stem, _, extension = base.partition(".")
        key, extension = f"{folder}/{stem}" if folder else stem, extension.lower()
        if any(map(is_hidden, member.name.split("/"))):
            hidden += 1
        elif f".{extension}" in IMAGE_EXTENSIONS:
            if key in images:
                raise ValueError(f"{path}/{member.name} has the key of {images[key].member.name}")
            images[key] = ShardImage(path, member)
        elif extension.endswith(IMAGE_EXTENSIONS):
            raise ValueError(
                f"{path}/{member.name} holds no image by its extension, .{extension}, which begins at the "
                "first dot of the name: give it a name with a single dot"
            )
        elif extension == "cls" or (extension == "json" and json_key is not None):
            label_members.setdefault(key, []).append(member)
        elif extension == "json":
            spare[key] = member
        else:
            other_files += 1
    if not images:
        raise ValueError(f"{path} holds no image named key.jpg, or with another of {' '.join(IMAGE_EXTENSIONS)}")
    if labels:
        used = {key: [spare.pop(key)] for key in images if key in spare and key not in label_members}
        _take_labels(path, images, {**label_members, **used}, DEFAULT_JSON_KEY if json_key is None else json_key)
    return Shard(tuple(images.values()), hidden, other_files + len(spare))


def _take_labels(
    path: str, images: dict[str, ShardImage], label_members: dict[str, list[Member]], json_key: str
) -> None:
    """Give every image its label; an image without a label and a label without an image are errors."""
    for key, members in label_members.items():
        if key not in images:
            raise ValueError(f"{path}/{members[0].name} is a label without an image")
        found = {member.name: _label(path, member, json_key) for member in members}
        if len(set(found.values())) > 1:
            different = " and ".join(f"{name} says {label!r}" for name, label in found.items())
            raise ValueError(f"{path}: {different}: one image has one label")
        images[key].label = found[members[0].name]
    for key, image in images.items():
        if key not in label_members:
            raise ValueError(f"{path}/{image.member.name} has no label: {key}.cls and {key}.json are missing")


def _label(path: str, member: Member, json_key: str) -> int | str:
    """Read one label: the number in a .cls member, or what a .json member has under the key."""
    place = f"{path}/{member.name}, byte {member.offset_bytes:,}"
    if member.size_bytes > _MOST_LABEL_BYTES:
        raise ValueError(f"{place}: a label of {member.size_bytes:,} bytes; at most {_MOST_LABEL_BYTES:,} are read")
    with Opened(path) as file:
        content = file.read(member.size_bytes, member.offset_bytes)
    if not member.name.lower().endswith(".json"):
        number = class_number(content)
        if number is None:
            raise ValueError(f"{place}: {_shown(content)} is not a class number")
        return number
    try:
        value = parse_json(content)[json_key]
    except ValueError:
        raise ValueError(f"{place}: this is not JSON: {_shown(content)}") from None
    except (KeyError, TypeError, IndexError):
        raise ValueError(f"{place}: there is no key {json_key!r}") from None
    if isinstance(value, str) and value.strip() and not any("\ud800" <= char <= "\udfff" for char in value):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10**9:
        return value
    raise ValueError(f"{place}: {json_key!r} is {value!r}, neither a class number nor a class name")


def _shown(content: bytes) -> str:
    text = content[:60].decode("utf-8", "backslashreplace")
    return repr(text) if len(content) <= 60 else f"{text!r}..."

"""Lists, tar shards and images in object stores, through fsspec's memory and local file systems."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

fsspec = pytest.importorskip("fsspec")

from jpegfreq.sources.images import Images, list_file, open_images, tar_shards  # noqa: E402
from jpegfreq.sources.opened import Opened  # noqa: E402
from tests.images import make_jpeg  # noqa: E402

PHOTOS = {f"{n}": make_jpeg(16 + 8 * n, 24, seed=n) for n in range(3)}


def shard(names: list[str]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in names:
            for suffix, content in (("jpg", PHOTOS[name]), ("cls", name.encode())):
                info = tarfile.TarInfo(f"{name}.{suffix}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A place that holds a.tar, b.tar, list.txt and the files that the list names."""
    root = "memory://photos" if request.param == "memory" else f"file://{tmp_path}"
    files = {
        "a.tar": shard(["0", "1"]),
        "b.tar": shard(["2"]),
        "list.txt": b"x/0.jpg 5\n" + f"{root}/2.jpg 7\n".encode(),
    }
    files |= {"x/0.jpg": PHOTOS["0"], "2.jpg": PHOTOS["2"]}
    for name, data in files.items():
        system, path = fsspec.core.url_to_fs(f"{root}/{name}")
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        system.pipe_file(path, data)
    yield root
    if request.param == "memory":
        system.rm("/photos", recursive=True)


def contents(images: Images) -> dict[int, bytes]:
    return {images.labels[n]: images.read(n) for n in range(len(images))}


def test_shards_are_read_like_local_ones(store: str) -> None:
    images = tar_shards([f"{store}/a.tar", f"{store}/b.tar"])
    assert contents(images) == {int(name): data for name, data in PHOTOS.items()}
    assert contents(open_images(f"{store}/b.tar")) == {2: PHOTOS["2"]}


def test_lists_name_files_beside_them_or_anywhere(store: str) -> None:
    assert contents(open_images(f"{store}/list.txt")) == {5: PHOTOS["0"], 7: PHOTOS["2"]}


def test_what_is_missing_or_damaged_is_named(store: str) -> None:
    with pytest.raises(OSError, match=r"c\.tar"):
        open_images(f"{store}/c.tar")
    with pytest.raises(ValueError, match="folders of object stores are not listed"):
        open_images(store)
    with Opened(f"{store}/a.tar") as file:
        whole = file.read(file.size_bytes, 0)
    with fsspec.open(f"{store}/cut.tar", "wb") as file:
        file.write(whole[:1000])
    with pytest.raises(ValueError, match=r"cut\.tar.*the shard ends"):
        open_images(f"{store}/cut.tar")
    with fsspec.open(f"{store}/wrong.txt", "wb") as file:
        file.write(b"x/9.jpg 5\n")
    with pytest.raises(FileNotFoundError, match=r"line 1: there is no file .*x/9\.jpg"):
        list_file(f"{store}/wrong.txt")


def test_an_unknown_protocol_is_one_sentence() -> None:
    with pytest.raises(OSError, match=r"nonsense://a\.tar: Protocol not known: nonsense"):
        open_images("nonsense://a.tar")


def test_a_data_set_reads_from_an_object_store(store: str) -> None:
    torch = pytest.importorskip("torch")
    from jpegfreq import TensorFormat
    from jpegfreq.torch import FrequencyDataset, FrequencyLoader, TrainingView

    remote = FrequencyDataset(tar_shards([f"{store}/a.tar"]), TrainingView((16, 16)), format=TensorFormat(6))
    (batch,) = FrequencyLoader(remote, 2, shuffle=False)
    assert batch.tensors.shape == (2, 6, 2, 2)
    assert torch.isfinite(batch.tensors).all()

"""`jpegfreq verify`: equal, different and unread files are told apart, and libjpeg's exits hurt nobody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jpegfreq import read_coefficients, read_header
from jpegfreq.cli import main
from jpegfreq.header import Header
from jpegfreq.report import readers as readers_module
from jpegfreq.report.readers import Jpeg2dctReader, LibjpegReader, NotReadError, Read, libraries, plane_reader
from jpegfreq.report.sampling import Files
from jpegfreq.report.verify import verify
from tests.images import make_jpeg
from tests.support import unavailable

PHOTOS = {
    "a.jpg": make_jpeg(90, 70, subsampling="4:2:0"),
    "b.jpg": make_jpeg(61, 33, subsampling="4:4:4", progressive=True, quality=95),
    "c.jpg": make_jpeg(40, 24, "L", quality=60),
    "d.jpg": make_jpeg(50, 50, "CMYK"),
}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, data in PHOTOS.items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def libjpeg() -> Any:
    found = libraries()
    if not found:
        unavailable("no libjpeg of ABI 62 (Pillow's wheel or Debian's libjpeg62-turbo)")
    reader = LibjpegReader(found[0])
    yield reader
    reader.close()


def test_files_that_all_read_alike_are_exact(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tmp_path / "verify.json"
    assert main(["verify", str(photos), "--json", str(result)]) == 0
    assert "Everything that another reader reads is equal." in capsys.readouterr().out
    found = json.loads(result.read_text())
    assert (found["files"], found["exact"], found["different"]) == (4, True, [])
    assert found["readers"]["jpegfreq"] == {"equal": 4, "different": 0, "not_read": 0}
    libjpeg = next(counts for name, counts in found["readers"].items() if name.startswith("libjpeg"))
    assert libjpeg == {"equal": 4, "different": 0, "not_read": 0}
    assert main(["verify", str(photos), "--images", "2", "--json", str(result)]) == 0
    assert json.loads(result.read_text())["files"] == 2


def test_libjpeg_gives_planes_and_tables_in_our_form(libjpeg: LibjpegReader) -> None:
    for data in PHOTOS.values():
        ours, theirs = read_coefficients(data), libjpeg.read(data, None)
        for plane, table, other, other_table in zip(
            ours.planes, ours.quantization_tables, theirs.planes, theirs.tables, strict=True
        ):
            assert np.array_equal(plane, other)
            assert other_table is not None
            assert np.array_equal(table, other_table)
    assert "libjpeg" in libjpeg.name


def test_a_file_at_which_libjpeg_exits_costs_that_file_alone(libjpeg: LibjpegReader) -> None:
    for data in (b"no image", b"", PHOTOS["a.jpg"][:150]):
        with pytest.raises(NotReadError):
            libjpeg.read(data, None)
        assert len(libjpeg.read(PHOTOS["a.jpg"], None).planes) == 3


def test_what_libjpeg_makes_up_with_a_warning_is_not_compared(libjpeg: LibjpegReader) -> None:
    with pytest.raises(NotReadError, match=r"makes up what is missing: .*[Pp]remature end"):
        libjpeg.read(PHOTOS["a.jpg"][:-100], None)


def test_libjpeg_may_not_take_forever(libjpeg: LibjpegReader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers_module, "_SECONDS", 0.0)
    with pytest.raises(NotReadError, match="longer than 0 seconds"):
        libjpeg.read(PHOTOS["a.jpg"], None)
    monkeypatch.setattr(readers_module, "_SECONDS", 60.0)
    assert len(libjpeg.read(PHOTOS["c.jpg"], None).planes) == 1


class Wrong:
    """A reader that gets something wrong."""

    name = "wrong"
    is_separate = False

    def __init__(self, change: str) -> None:
        self.change = change

    def read(self, data: bytes, header: Header | None) -> Read:
        found = read_coefficients(data)
        planes, tables = [plane.copy() for plane in found.planes], list(found.quantization_tables)
        if self.change == "value":
            planes[-1][1, 0, 3, 2] += 5
        elif self.change == "size":
            planes[0] = planes[0][:1]
        elif self.change == "count":
            planes.append(planes[0])
        elif self.change == "table":
            tables[0] = tables[0] + 1
        else:
            raise NotReadError("it does not like the file")
        return Read(planes, tables)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("value", "Cr: 1 coefficient, first in block (1, 0), frequency (3, 2): 5 instead of 0"),
        ("size", "Y: 1 x 12 blocks instead of 9 x 12 blocks"),
        ("count", "4 components instead of 3"),
        ("table", "Y: another quantization table"),
        ("refuse", ""),
    ],
)
def test_differences_are_named_by_component_block_and_frequency(change: str, message: str, photos: Path) -> None:
    data = PHOTOS["a.jpg"]
    assert read_coefficients(data).planes[2][1, 0, 3, 2] == 0
    found = verify(Files([photos / "a.jpg"]), [0], [Wrong(change)], None)
    if message:
        assert [entry.message for entry in found.different] == [message]
        assert found.count("wrong") == (0, 1, 0)
        assert not found.is_exact
    else:
        assert found.count("wrong") == (0, 0, 1)
        assert found.is_exact


def test_a_damaged_file_is_named_and_ends_with_exit_code_1(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photos / "bad.jpg").write_bytes(PHOTOS["a.jpg"][:400])
    assert main(["verify", str(photos)]) == 1
    out = " ".join(capsys.readouterr().out.split())
    assert "not read by jpegfreq" in out
    assert "bad.jpg" in out


def test_names_with_control_characters_are_printed_as_escapes(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a\x1b[31m.jpg", "b\n.jpg"):
        (photos / name).write_bytes(b"no image")
    assert main(["verify", str(photos)]) == 1
    printed = capsys.readouterr().out
    assert "\x1b[31m" not in printed
    assert "and 1 more file:" in " ".join(printed.split())


def test_a_file_that_only_others_read_is_a_difference(photos: Path) -> None:
    class Lenient(Wrong):
        is_separate = True

        def read(self, data: bytes, header: Header | None) -> Read:
            return Read([])

    (photos / "a.jpg").write_bytes(b"\xff\xd8 damaged")
    found = verify(Files([photos / "a.jpg"]), [0], [Lenient("")], None)
    assert [entry.message for entry in found.different] == ["it reads the file, and jpegfreq does not"]


def test_planes_agree_within_one_level(photos: Path) -> None:
    planes = plane_reader()
    if planes is None:
        unavailable("PyTurboJPEG or its library is not installed")
    found = verify(Files([photos]), range(4), [], planes)
    assert found.count(planes.name) == (3, 0, 1)  # planes of CMYK are not compared
    real = planes.read

    def shifted(data: bytes, header: Header) -> Any:
        first, *others = real(data, header)
        return [np.where(first > 200, first - 5, first + 5), *others]

    planes.read = shifted  # type: ignore[method-assign]
    found = verify(Files([photos]), [0], [], planes)
    assert found.different[0].message.startswith("Y: ")
    assert "levels in block (" in found.different[0].message


def test_planes_of_a_progressive_file_without_its_last_scans_are_not_compared(tmp_path: Path) -> None:
    planes = plane_reader()
    if planes is None:
        unavailable("PyTurboJPEG or its library is not installed")
    data = PHOTOS["b.jpg"]
    cut = data[: data.rindex(b"\xff\xda")] + b"\xff\xd9"
    (tmp_path / "cut.jpg").write_bytes(cut)
    found = verify(Files([tmp_path]), [0], [], planes)
    assert [entry.message for entry in found.not_read] == ["scans are missing, and a decoder then smooths the blocks"]


def test_jpeg2dct_is_compared_only_where_it_does_not_encode_again() -> None:
    pytest.importorskip("jpeg2dct")
    reader = Jpeg2dctReader()
    for name in ("a.jpg", "c.jpg"):
        theirs = reader.read(PHOTOS[name], read_header(PHOTOS[name])).planes
        ours = read_coefficients(PHOTOS[name]).planes
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    for name in ("b.jpg", "d.jpg"):
        with pytest.raises(NotReadError, match="encodes the image again"):
            reader.read(PHOTOS[name], read_header(PHOTOS[name]))


def test_without_any_reader_there_is_nothing_to_verify(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(readers_module, "coefficient_readers", lambda: iter(()))
    monkeypatch.setattr(readers_module, "plane_reader", lambda: None)
    assert main(["verify", str(photos)]) == 2
    assert "there is nothing to compare with: install Pillow" in capsys.readouterr().err


def test_what_libraries_print_does_not_reach_the_terminal(photos: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = PHOTOS["a.jpg"]
    (photos / "a.jpg").write_bytes(data[:-2] + b"\1\2\3" + data[-2:])
    main(["verify", str(photos / "a.jpg")])
    assert "Corrupt JPEG data" not in capfd.readouterr().err

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import jpegfreq
from jpegfreq import JpegError, UnsupportedJpegError, blocks, read_coefficients
from jpegfreq._resample import resample
from jpegfreq.assembly.tensor import to_frequency_tensor
from jpegfreq.channels import ChannelSelection
from jpegfreq.crops import center_crop_box, random_resized_crop_box
from jpegfreq.format import TensorFormat
from jpegfreq.statistics import ChannelStatistics
from tests.coefficient_maker import SAMPLINGS, make_coefficients
from tests.resample_reference import resample_reference, resizing_matrix
from tests.support import data_files, instruction_sets, run_on

FILTERS = ["bilinear", "bicubic", "box"]
CHROMAS = ["fancy", "replicate", "direct"]
TOLERANCE = 1e-3


def random_box(random: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
    high, wide = int(random.integers(1, height + 1)), int(random.integers(1, width + 1))
    return int(random.integers(0, height - high + 1)), int(random.integers(0, width - wide + 1)), high, wide


def random_size(random: np.random.Generator) -> tuple[int, int]:
    return 8 * int(random.integers(1, 12)), 8 * int(random.integers(1, 20))


def whole(coefficients: jpegfreq.Coefficients) -> tuple[int, int, int, int]:
    return 0, 0, coefficients.header.height, coefficients.header.width


def assert_equals_reference(coefficients: jpegfreq.Coefficients, box: tuple, size: tuple, **options: object) -> None:
    got = resample(coefficients, box, size, **options)
    want = resample_reference(coefficients, box, size, **options)
    scale = max(1.0, np.abs(want).max() / 1024)
    np.testing.assert_allclose(
        got[: len(want)], want, atol=TOLERANCE * scale, rtol=0, err_msg=f"{box} {size} {options}"
    )


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("antialias", [True, False])
def test_equals_the_float64_reference(sampling: str, filter: str, antialias: bool) -> None:
    random = np.random.default_rng(len(sampling) + 10 * len(filter))
    for seed in range(8):
        height, width = int(random.integers(1, 160)), int(random.integers(1, 160))
        coefficients = make_coefficients(height, width, SAMPLINGS[sampling], seed)
        assert_equals_reference(
            coefficients,
            random_box(random, height, width),
            random_size(random),
            filter=filter,
            antialias=antialias,
            chroma=CHROMAS[seed % 3],
            flip=bool(seed & 1),
            vertical_flip=bool(seed & 2),
        )


def test_equals_the_float64_reference_on_photographs() -> None:
    random = np.random.default_rng(5)
    for path in data_files("photos")[::16]:
        coefficients = read_coefficients(path)
        box = random_resized_crop_box(coefficients.header.height, coefficients.header.width, random)
        options = {
            "chroma": str(random.choice(CHROMAS)),
            "filter": str(random.choice(FILTERS)),
            "flip": bool(random.integers(2)),
        }
        assert_equals_reference(coefficients, box, (224, 224), **options)


def test_equals_the_float64_reference_on_odd_files() -> None:
    random = np.random.default_rng(6)
    compared = 0
    for path in data_files("odd")[::10]:
        try:
            coefficients = read_coefficients(path, max_pixels=1_000_000)
        except JpegError:
            continue
        if coefficients.header.color not in ("grey", "YCbCr"):
            continue
        box = random_box(random, coefficients.header.height, coefficients.header.width)
        assert_equals_reference(coefficients, box, random_size(random), antialias=bool(random.integers(2)))
        compared += 1
    assert compared > 10


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("samples", "outputs"), [(1, 8), (7, 8), (8, 8), (13, 32), (100, 24), (37, 16), (333, 8)])
def test_reference_resizes_as_torch_does(filter: str, antialias: bool, samples: int, outputs: int) -> None:
    torch = pytest.importorskip("torch")
    image = torch.eye(samples, dtype=torch.float64)[None, None]
    want = torch.nn.functional.interpolate(
        image, size=(outputs, samples), mode=filter, antialias=antialias, align_corners=False
    )[0, 0].numpy()
    np.testing.assert_allclose(resizing_matrix(samples, outputs, filter, antialias), want, atol=1e-12)


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:0", "4:4:0", "grey"])
def test_whole_image_at_its_own_size_is_its_frequency_tensor(sampling: str) -> None:
    coefficients = make_coefficients(64, 96, SAMPLINGS[sampling])
    got = resample(coefficients, whole(coefficients), (64, 96))
    np.testing.assert_allclose(got, to_frequency_tensor(coefficients), atol=TOLERANCE)


@pytest.mark.parametrize(
    "box", [(0, 0, 1, 1), (49, 70, 1, 1), (17, 0, 1, 71), (0, 33, 50, 1), (49, 0, 1, 71), (0, 70, 50, 1)]
)
@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("chroma", CHROMAS)
def test_boxes_one_pixel_high_or_wide(box: tuple[int, int, int, int], filter: str, chroma: str) -> None:
    coefficients = make_coefficients(50, 71, SAMPLINGS["4:2:0"])
    for antialias in (True, False):
        assert_equals_reference(coefficients, box, (16, 24), filter=filter, chroma=chroma, antialias=antialias)


def test_shrinking_far_uses_every_pixel_of_the_box() -> None:
    coefficients = make_coefficients(1500, 2000, SAMPLINGS["4:2:0"])
    for filter in FILTERS:
        assert_equals_reference(coefficients, (3, 5, 1490, 1990), (8, 16), filter=filter)


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("filter", FILTERS)
def test_taps_of_halved_chroma_equal_the_reference_at_every_length(filter: str, antialias: bool) -> None:
    coefficients = make_coefficients(64, 321, SAMPLINGS["4:2:0"])
    for width, columns in [(16, 96), (48, 40), (97, 64), (160, 64), (200, 48), (321, 64), (320, 40), (321, 8)]:
        for left in {0, 1, (321 - width) // 2, max(0, 320 - width), 321 - width}:
            box = 0, min(left, 321 - width), 64, width
            assert_equals_reference(
                coefficients, box, (64, columns), filter=filter, antialias=antialias, flip=left % 2 == 1
            )


@pytest.mark.parametrize("channels", ["all", 24, 6, [191, 0, 77, 8, 1, 130], ChannelSelection.all().ordered("zigzag")])
@pytest.mark.parametrize("size", [(64, 64), (72, 136), (8, 8), (40, 104)])
def test_selection_layout_and_flips_only_rearrange(channels: object, size: tuple[int, int]) -> None:
    coefficients = make_coefficients(90, 120, SAMPLINGS["4:2:0"])
    box = (3, 7, 80, 99)
    for flips in ({}, {"vertical_flip": True}):
        everything = resample(coefficients, box, size, **flips)
        format = TensorFormat(channels=channels)
        chosen = resample(coefficients, box, size, format=format, **flips)
        np.testing.assert_allclose(chosen, everything[list(format.selection)], atol=1e-4)
        last = resample(coefficients, box, size, format=TensorFormat(channels=channels, layout="HWC"), **flips)
        np.testing.assert_allclose(last.transpose(2, 0, 1), chosen, atol=1e-4)


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("channels", ["all", 24])
def test_statistics_are_applied_in_the_same_pass(layout: str, channels: object) -> None:
    random = np.random.default_rng(2)
    statistics = ChannelStatistics(tuple(random.normal(size=192)), tuple(random.uniform(1, 9, 192)), "made up")
    coefficients = make_coefficients(70, 60, SAMPLINGS["4:2:0"])
    plain = resample(coefficients, whole(coefficients), (64, 56), format=TensorFormat(channels))
    got = resample(
        coefficients, whole(coefficients), (64, 56), format=TensorFormat(channels, layout=layout, statistics=statistics)
    )
    if layout == "HWC":
        got = got.transpose(2, 0, 1)
    chosen = list(TensorFormat(channels).selection)
    mean, std = np.array(statistics.mean)[chosen, None, None], np.array(statistics.std)[chosen, None, None]
    np.testing.assert_allclose(got, (plain - mean) / std, atol=1e-3)


# Rows of a block that are full, end early, are missing or have one channel; together, and not as neighbours.
@pytest.mark.parametrize(
    "channels",
    [48, 64, (0, 1, 8, 64, 65, 66, 72, 128, 136, 144), (0, 2, 1, 64, 72, 88), (*range(24), 40, 64, 120, 191), (5, 64)],
)
def test_channels_last_are_channels_first_moved(channels: object) -> None:
    for sampling in ("4:2:0", "4:4:4", "grey"):
        coefficients = make_coefficients(70, 60, SAMPLINGS[sampling])
        for width in (8, 40, 64, 136):
            for dtype in ("float32", "float16"):
                first, last = (
                    resample(
                        coefficients,
                        whole(coefficients),
                        (24, width),
                        format=TensorFormat(channels, layout=layout, dtype=dtype),
                    )
                    for layout in ("CHW", "HWC")
                )
                np.testing.assert_array_equal(last, np.moveaxis(first, 0, 2))


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("channels", ["all", 24])
@pytest.mark.parametrize("sampling", ["4:2:0", "grey"])
def test_float16_is_float32_rounded(layout: str, channels: object, sampling: str) -> None:
    coefficients = make_coefficients(70, 60, SAMPLINGS[sampling])
    for width in (56, 64, 8):
        single = resample(coefficients, whole(coefficients), (64, width), format=TensorFormat(channels, layout=layout))
        half = resample(
            coefficients,
            whole(coefficients),
            (64, width),
            format=TensorFormat(channels, layout=layout, dtype="float16"),
        )
        np.testing.assert_array_equal(half, single.astype(np.float16))


@pytest.mark.parametrize("layout", ["CHW", "HWC"])
def test_float16_stays_finite(layout: str) -> None:
    coefficients = make_coefficients(16, 56, SAMPLINGS["grey"])
    coefficients.planes[0][..., 0, 0] = 32767
    coefficients.planes[0][:, 3:, 0, 0] = -32768
    coefficients.quantization_tables[0][:] = 65535
    half = resample(coefficients, (0, 0, 16, 56), (16, 56), format=TensorFormat(layout=layout, dtype="float16"))
    assert np.isfinite(half).all()
    assert half.max() == 65504
    assert half.min() == -65504


def test_chroma_of_a_grey_image_is_zero_and_normalized_like_any_value() -> None:
    coefficients = make_coefficients(40, 40, SAMPLINGS["grey"])
    assert not resample(coefficients, whole(coefficients), (32, 32))[64:].any()
    statistics = ChannelStatistics((3.0,) * 192, (2.0,) * 192, "made up")
    for layout in ("CHW", "HWC"):
        out = resample(
            coefficients, whole(coefficients), (32, 32), format=TensorFormat(layout=layout, statistics=statistics)
        )
        assert (out[64:] if layout == "CHW" else out[..., 64:] == -1.5).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:0", "4:2:2", "luma sub-sampled"])
def test_orientation_turns_the_image_before_anything_else(orientation: int, sampling: str) -> None:
    coefficients = make_coefficients(64, 96, SAMPLINGS[sampling], orientation=orientation)
    turned = blocks.upright(coefficients)
    random = np.random.default_rng(orientation)
    for options in ({}, {"flip": True}, {"vertical_flip": True, "filter": "bicubic"}):
        box, size = random_box(random, turned.header.height, turned.header.width), random_size(random)
        got = resample(coefficients, box, size, apply_orientation=True, **options)
        np.testing.assert_allclose(got, resample_reference(turned, box, size, **options), atol=TOLERANCE)


def test_orientation_of_any_size_turns_the_pixels() -> None:
    coefficients = make_coefficients(61, 43, SAMPLINGS["4:4:4"], orientation=6)
    got = resample(coefficients, (0, 0, 43, 61), (40, 56), apply_orientation=True)
    want = blocks.rotate(
        resample(coefficients, (0, 0, 61, 43), (56, 40)).reshape(3, 8, 8, 7, 5).transpose(0, 3, 4, 1, 2), 1
    )
    np.testing.assert_allclose(got.reshape(3, 8, 8, 5, 7), want.transpose(0, 3, 4, 1, 2), atol=TOLERANCE)


def test_scratch_of_an_earlier_image_leaves_no_trace() -> None:
    small, large = make_coefficients(20, 30, SAMPLINGS["4:2:0"]), make_coefficients(200, 300, SAMPLINGS["4:4:4"])
    large.planes[0][:] = 32767
    first = resample(small, whole(small), (64, 64))
    resample(large, whole(large), (448, 448))
    np.testing.assert_array_equal(resample(small, whole(small), (64, 64)), first)


def test_writes_to_the_array_it_is_given() -> None:
    coefficients = make_coefficients(40, 40, SAMPLINGS["4:4:4"])
    batch = np.full((3, 24, 4, 6), np.nan, np.float32)
    out = resample(coefficients, whole(coefficients), (32, 48), format=TensorFormat(24), out=batch[1])
    assert out.base is batch
    assert np.isnan(batch[[0, 2]]).all()
    np.testing.assert_array_equal(
        batch[1], resample(coefficients, whole(coefficients), (32, 48), format=TensorFormat(24))
    )


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 0, 5),
        (0, 0, 5, 0),
        (0, 0, 41, 8),
        (33, 0, 8, 8),
        (-1, 0, 8, 8),
        (0, 43, 8, 8),
        (0, 0, -3, 8),
        (2**40, 0, 1, 1),
    ],
)
@pytest.mark.parametrize("apply_orientation", [False, True])
def test_a_box_outside_the_image_is_refused(box: tuple[int, int, int, int], apply_orientation: bool) -> None:
    coefficients = make_coefficients(40, 50, SAMPLINGS["4:4:4"], orientation=3)
    with pytest.raises(ValueError, match="box"):
        resample(coefficients, box, (8, 8), apply_orientation=apply_orientation)


@pytest.mark.parametrize("size", [(0, 8), (-8, 8), (65544, 8)])
def test_a_size_out_of_bounds_is_refused(size: tuple[int, int]) -> None:
    coefficients = make_coefficients(40, 50, SAMPLINGS["4:4:4"])
    with pytest.raises(ValueError, match="each 1 to 65536"):
        resample(coefficients, whole(coefficients), size)


@pytest.mark.parametrize("flips", [{}, {"flip": True}, {"vertical_flip": True}])
def test_a_size_that_is_not_whole_blocks_is_followed_by_its_repeated_edge(flips: dict[str, bool]) -> None:
    coefficients = make_coefficients(75, 93, SAMPLINGS["4:2:0"])
    for size in ((8, 12), (13, 24), (1, 30)):
        assert_equals_reference(coefficients, (3, 5, 60, 80), size, **flips)
        assert_equals_reference(coefficients, (3, 5, 60, 80), size, filter="bicubic", chroma="direct", **flips)


def test_unknown_choices_and_wrong_outputs_are_refused() -> None:
    coefficients = make_coefficients(40, 50, SAMPLINGS["4:4:4"])
    box = whole(coefficients)
    with pytest.raises(ValueError, match='filter must be "box"'):
        resample(coefficients, box, (8, 8), filter="lanczos")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='chroma must be "'):
        resample(coefficients, box, (8, 8), chroma="nearest")
    for out in (np.empty((192, 1, 2), np.float32), np.empty((192, 1, 1)), np.empty((192, 1, 2), np.float32)[..., ::2]):
        with pytest.raises(ValueError, match="out must be"):
            resample(coefficients, box, (8, 8), out=out)


def test_planes_smaller_than_their_header_says_are_refused() -> None:
    coefficients = make_coefficients(40, 50, SAMPLINGS["4:4:4"])
    short = jpegfreq.Coefficients(
        coefficients.header,
        (coefficients.planes[0][:4].copy(), *coefficients.planes[1:]),
        coefficients.quantization_tables,
    )
    with pytest.raises(ValueError, match="plane 0 is not as large as the header says"):
        resample(short, (0, 0, 8, 8), (8, 8))


def test_colours_follow_the_rules_of_the_whole_image_tensor() -> None:
    seen = set()
    for path in data_files("odd"):
        try:
            header = jpegfreq.read_header(path)
            if header.color in ("grey", "YCbCr") or header.color in seen:
                continue
            coefficients = read_coefficients(path, max_pixels=1_000_000)
        except JpegError:
            continue
        seen.add(header.color)
        with pytest.raises(UnsupportedJpegError, match=header.color):
            resample(coefficients, whole(coefficients), (8, 8))
    assert {"RGB", "CMYK"} <= seen


CASES = """
import sys
import numpy as np
from jpegfreq._native import instruction_set
from jpegfreq.format import TensorFormat
from jpegfreq._resample import resample
from tests.coefficient_maker import SAMPLINGS, make_coefficients
from tests.int8_formats import int8
assert instruction_set() == sys.argv[2]
results = {}
for number, (name, sampling) in enumerate(SAMPLINGS.items()):
    coefficients = make_coefficients(75, 93, sampling, orientation=1 + number % 8)
    for i, (box, size, options) in enumerate([
        ((2, 3, 70, 70), (64, 64), {}),
        ((2, 3, 70, 70), (40, 136), {"filter": "bicubic", "flip": True}),
        ((2, 3, 70, 70), (24, 16), {"filter": "box", "vertical_flip": True}),
        ((10, 40, 1, 33), (136, 8), {"vertical_flip": True, "apply_orientation": True}),
        ((0, 1, 64, 1), (8, 72), {"apply_orientation": True, "antialias": False}),
        ((0, 0, 75, 75), (24, 24), {"filter": "bicubic", "apply_orientation": True}),
    ]):
        for channels in ("all", 48, 24, 6, (191, 3, 64, 2, 40, 5, 6, 7, 8, 9, 10, 11, 12)):
            for layout in ("CHW", "HWC"):
                for dtype in ("float32", "float16", "int8"):
                    maker = int8 if dtype == "int8" else TensorFormat
                    format = maker(channels, layout=layout, **({} if dtype == "int8" else {"dtype": dtype}))
                    key = f"{name} {i} {channels} {layout} {dtype}"
                    results[key] = resample(coefficients, box, size, format=format, **options)
np.savez(sys.argv[1], **results)
"""


def test_instruction_sets_agree(tmp_path: Path) -> None:
    results = []
    for name in instruction_sets()[1:] or ["plain"]:
        run_on(name, "-c", CASES, tmp_path / f"{name}.npz", name)
        results.append(dict(np.load(tmp_path / f"{name}.npz")))
    generic, *others = results
    for other in others:
        for key, value in generic.items():
            # Half a step of float16 at 1024; a step of int8.
            tolerance = 1e-3 if "float32" in key else 1.0
            np.testing.assert_allclose(
                other[key].astype(np.float32), value.astype(np.float32), atol=tolerance, err_msg=key
            )
        # The vector sets differ in their width only, which changes no bit.
        np.testing.assert_equal(other, others[0])


def test_random_boxes_have_torchvisions_distribution() -> None:
    torch = pytest.importorskip("torch")
    transforms = pytest.importorskip("torchvision.transforms")
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    for height, width in ((375, 500), (40, 300)):
        image = torch.empty(3, height, width)
        crop = transforms.RandomResizedCrop
        theirs = np.array([crop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)])
        ours = np.array([random_resized_crop_box(height, width, random) for _ in range(3000)])
        for quantile in (0.1, 0.25, 0.5, 0.75, 0.9):
            difference = np.abs(np.quantile(ours, quantile, axis=0) - np.quantile(theirs, quantile, axis=0))
            assert (difference <= 0.05 * np.array([height, width, height, width]) + 1).all()


def test_random_boxes_follow_the_draws_they_are_given() -> None:
    draws = iter([1.0 - 1e-12, 0.5, 0.0, 0.0])
    assert random_resized_crop_box(100, 100, lambda: next(draws)) == (0, 0, 100, 100)
    assert random_resized_crop_box(10, 1000, lambda: 0.999) == (0, 493, 10, 13)  # no draw fits: the centre


def test_center_box_keeps_what_resize_and_centre_crop_keep() -> None:
    assert center_crop_box(256, 512, (224, 224), shorter_side=256) == (16, 144, 224, 224)
    assert center_crop_box(512, 512, (224, 224), shorter_side=256) == (32, 32, 448, 448)
    with pytest.raises(ValueError, match="is larger than"):
        center_crop_box(100, 100, (300, 300), shorter_side=256)


def test_resample_is_the_function_whoever_imports_the_module_first() -> None:
    code = "from jpegfreq.crops import Box; import jpegfreq; jpegfreq.resample.__call__"
    subprocess.run([sys.executable, "-c", code], check=True)

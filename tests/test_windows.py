"""Windows of an image that is resized as a whole: the geometry of evaluation."""

from __future__ import annotations

import numpy as np
import pytest

import jpegfreq
from jpegfreq import JpegError, blocks, read_batch, read_coefficients
from jpegfreq._resample import resample
from jpegfreq.crops import Window, center_crop_window
from jpegfreq.format import TensorFormat
from jpegfreq.header import read_header
from jpegfreq.views import EvaluationView
from tests.coefficient_maker import SAMPLINGS, make_coefficients
from tests.images import make_jpeg
from tests.resample_reference import resample_reference, samples_of
from tests.support import data_files

FILTERS = ["bilinear", "bicubic", "box"]
CHROMAS = ["fancy", "replicate", "direct"]
TOLERANCE = 1e-3


def random_window(random: np.random.Generator, height: int, width: int) -> Window:
    """A window of an image that is resized by a factor of 1/8 to 3 along each axis."""
    resized = tuple(max(1, round(side * 2 ** random.uniform(-3, 1.6))) for side in (height, width))
    size = tuple(int(random.integers(1, side + 1)) for side in resized)
    top, left = (int(random.integers(0, side - part + 1)) for side, part in zip(resized, size, strict=True))
    return Window(resized, top, left, size)  # type: ignore[arg-type]


def assert_equals_reference(coefficients: jpegfreq.Coefficients, window: Window, **options: object) -> None:
    got = resample(coefficients, window, window.size, **options)
    want = resample_reference(coefficients, window, window.size, **options)
    scale = max(1.0, np.abs(want).max() / 1024)
    np.testing.assert_allclose(got[: len(want)], want, atol=TOLERANCE * scale, rtol=0, err_msg=f"{window} {options}")


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
            random_window(random, height, width),
            filter=filter,
            antialias=antialias,
            chroma=CHROMAS[seed % 3],
            flip=bool(seed & 1),
            vertical_flip=bool(seed & 2),
        )


@pytest.mark.parametrize("filter", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_equals_a_slice_of_what_torch_resizes(filter: str, antialias: bool) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(3)
    for seed in range(12):
        # Never to a single column: PyTorch 2.14 with antialias makes all rows of it alike.
        height, width = int(random.integers(1, 160)), int(random.integers(20, 160))
        coefficients = make_coefficients(height, width, SAMPLINGS["grey"], seed)
        window = random_window(random, height, width)
        samples = samples_of(coefficients.planes[0], coefficients.quantization_tables[0])[:height, :width]
        image = torch.nn.functional.interpolate(
            torch.from_numpy(samples.copy())[None, None], size=window.resized, mode=filter, antialias=antialias
        )[0, 0].numpy()
        want = image[window.top : window.top + window.size[0], window.left : window.left + window.size[1]]
        tensor = resample(coefficients, window, window.size, filter=filter, antialias=antialias)[:64]  # type: ignore[arg-type]
        rows, columns = tensor.shape[1:]
        found = samples_of(tensor.transpose(1, 2, 0).reshape(rows, columns, 8, 8), np.ones((8, 8)))[
            : window.size[0], : window.size[1]
        ]
        np.testing.assert_allclose(found, want, atol=TOLERANCE * max(1.0, np.abs(want).max() / 128), rtol=0)


@pytest.mark.parametrize("filter", FILTERS)
def test_equals_the_float64_reference_on_photographs(filter: str) -> None:
    for index, path in enumerate(data_files("photos")[3::40]):
        coefficients = read_coefficients(path)
        height, width = coefficients.header.height, coefficients.header.width
        window = center_crop_window(height, width, (224, 224), shorter_side=256)
        assert_equals_reference(coefficients, window, filter=filter, chroma=CHROMAS[index % 3])


@pytest.mark.parametrize("size", [299, 300, 380, 518])
def test_sizes_off_the_grid_are_followed_by_the_image_around_them(size: int) -> None:
    coefficients = read_coefficients(data_files("photos")[0])
    height, width = coefficients.header.height, coefficients.header.width
    window = center_crop_window(height, width, (size, size), shorter_side=round(size * 1.1))
    assert resample(coefficients, window, (size, size)).shape == (192, -(-size // 8), -(-size // 8))
    for flip in (False, True):
        assert_equals_reference(coefficients, window, filter="bicubic", flip=flip)


@pytest.mark.parametrize("filter", FILTERS)
@pytest.mark.parametrize("chroma", CHROMAS)
def test_at_the_borders_of_the_image_taps_are_cut_and_the_edge_is_repeated(filter: str, chroma: str) -> None:
    coefficients = make_coefficients(75, 93, SAMPLINGS["4:2:0"])
    for antialias in (True, False):
        for resized in ((50, 61), (75, 93), (140, 33)):
            for size in ((9, 13), (20, 31)):
                for top in (0, resized[0] - size[0]):
                    for left in (0, resized[1] - size[1]):
                        assert_equals_reference(
                            coefficients,
                            Window(resized, top, left, size),
                            filter=filter,
                            chroma=chroma,
                            antialias=antialias,
                            flip=left == 0,
                        )


@pytest.mark.parametrize("resized", [(1, 1), (3, 900), (2000, 7), (3, 100_000)])
def test_images_squeezed_and_stretched_far(resized: tuple[int, int]) -> None:
    coefficients = make_coefficients(60, 90, SAMPLINGS["4:2:0"])
    size = (min(resized[0], 11), min(resized[1], 19))
    for filter in FILTERS:
        for antialias in (True, False):
            window = Window(resized, resized[0] - size[0], (resized[1] - size[1]) // 2, size)
            assert_equals_reference(coefficients, window, filter=filter, antialias=antialias)


def test_a_long_image_is_not_resized_as_a_whole_in_memory() -> None:
    coefficients = make_coefficients(2, 16000, SAMPLINGS["grey"])
    window = center_crop_window(2, 16000, (224, 224), shorter_side=256)
    assert window.resized == (256, 2_048_000)
    tensor = resample(coefficients, window, (224, 224))
    # Far from the borders: the same as a box so small that its own scale is the same.
    box = resample(coefficients, (0, 7990, 2, 20), (256, 2560))
    np.testing.assert_allclose(tensor[:64], box[:64, 2:30, 146:174], atol=TOLERANCE * 100)


def test_the_window_of_all_is_the_box_of_all() -> None:
    coefficients = make_coefficients(75, 93, SAMPLINGS["4:2:0"])
    for size in ((64, 72), (75, 93), (11, 200)):
        for flip in (False, True):
            window = resample(coefficients, Window(size, 0, 0, size), size, flip=flip)
            np.testing.assert_array_equal(window, resample(coefficients, (0, 0, 75, 93), size, flip=flip))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:0", "luma sub-sampled"])
def test_orientation_turns_the_image_before_anything_else(orientation: int, sampling: str) -> None:
    coefficients = make_coefficients(64, 96, SAMPLINGS[sampling], orientation=orientation)
    turned = blocks.upright(coefficients)
    random = np.random.default_rng(orientation)
    for options in ({}, {"flip": True}, {"vertical_flip": True, "filter": "bicubic"}):
        window = random_window(random, turned.header.height, turned.header.width)
        got = resample(coefficients, window, window.size, apply_orientation=True, **options)
        np.testing.assert_allclose(got, resample_reference(turned, window, window.size, **options), atol=TOLERANCE)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_batch_mixes_boxes_and_windows_and_reads_the_context(progressive: bool) -> None:
    """Rows below the window are not decoded, but those that its filter reaches are."""
    random = np.random.default_rng(8)
    images, parts, flips = [], [], []
    for seed in range(24):
        height, width = int(random.integers(20, 200)), int(random.integers(20, 200))
        images.append(make_jpeg(width, height, seed=seed, progressive=progressive))
        resized = (int(random.integers(19, 300)), int(random.integers(27, 300)))
        top, left = int(random.integers(0, resized[0] - 18)), int(random.integers(0, resized[1] - 26))
        parts.append((3, 5, 12, 15) if seed % 4 == 0 else Window(resized, top, left, (19, 27)))
        flips.append(bool(random.integers(2)))
    for options in ({"filter": "bicubic"}, {"antialias": False, "chroma": "direct"}):
        batch = read_batch(images, size=(19, 27), boxes=parts, flips=flips, **options)
        for image, part, flip, tensor in zip(images, parts, flips, batch, strict=True):
            np.testing.assert_array_equal(
                tensor, resample(read_coefficients(image), part, (19, 27), flip=flip, **options)
            )


def test_rows_below_the_context_are_not_decoded() -> None:
    data = bytearray(make_jpeg(64, 400, quality=95))
    damaged = data[: int(len(data) * 0.8)]
    window = Window((200, 32), 0, 0, (96, 32))
    np.testing.assert_array_equal(
        read_batch([bytes(damaged)], size=(96, 32), boxes=[window]), read_batch([data], size=(96, 32), boxes=[window])
    )
    with pytest.raises(JpegError):
        read_batch([bytes(damaged)], size=(96, 32), boxes=[Window((200, 32), 104, 0, (96, 32))])


@pytest.mark.parametrize(
    ("window", "message"),
    [
        (Window((40, 50), 0, 0, (8, 9)), "the window is height 8 x width 9, but size is height 8 x width 8"),
        (
            Window((40, 50), 33, 0, (8, 8)),
            "ends below the last row of the resized image, which is height 40 x width 50",
        ),
        (Window((40, 50), 0, 43, (8, 8)), "ends right of the last column"),
        (Window((40, 50), -1, 0, (8, 8)), "begins above the first row"),
        (Window((40, 50), 0, -1, (8, 8)), "begins left of the first column"),
        (Window((0, 50), 0, 0, (0, 8)), "is empty"),
        (Window((1 << 31, 50), 0, 0, (8, 8)), "at most 1073741824 pixels are possible"),
    ],
)
def test_a_window_outside_the_resized_image_is_refused(window: Window, message: str) -> None:
    coefficients = make_coefficients(40, 50, SAMPLINGS["4:4:4"])
    with pytest.raises(ValueError, match=message):
        resample(coefficients, window, (8, 8))
    with pytest.raises(ValueError, match=f"image 1: .*{message}"):
        read_batch([make_jpeg(50, 40)] * 2, size=(8, 8), boxes=[(0, 0, 8, 8), window])


def test_a_window_of_fractions_is_refused() -> None:
    with pytest.raises(TypeError, match="the window's place must be"):
        resample(make_coefficients(40, 50, SAMPLINGS["grey"]), Window((40, 50), 0.5, 0, (8, 8)), (8, 8))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"image 0: the box .* is outside every image"):
        read_batch([make_jpeg(50, 40)] * 2, size=(8, 8), boxes=[(2**70, 0, 8, 8), Window((40, 50), 0, 0, (8, 8))])


def sizes() -> list[tuple[int, int]]:
    random = np.random.default_rng(1)
    return [(300, 400), (256, 256), (257, 256), (1, 700), (4000, 6000), *random.integers(1, 700, (300, 2)).tolist()]


@pytest.mark.parametrize(
    ("size", "shorter_side"), [((224, 224), 256), ((300, 300), 329), ((7, 12), 15), ((64, 64), 64)]
)
def test_torchvisions_rounding_is_that_of_resize_and_centre_crop(size: tuple[int, int], shorter_side: int) -> None:
    torch = pytest.importorskip("torch")
    functional = pytest.importorskip("torchvision.transforms.functional")
    for height, width in sizes():
        window = center_crop_window(height, width, size, shorter_side=shorter_side)
        assert list(window.resized) == functional._compute_resized_output_size((height, width), [shorter_side])
        numbers = torch.arange(window.resized[0])[:, None] * window.resized[1] + torch.arange(window.resized[1])
        cropped = functional.center_crop(numbers[None], list(size))[0]
        assert cropped[0, 0] == window.top * window.resized[1] + window.left
        assert tuple(cropped.shape) == window.size


def test_timms_rounding_is_torchvisions() -> None:
    pytest.importorskip("torch")
    data = pytest.importorskip("timm.data")
    from PIL import Image
    from torchvision import transforms

    for crop_pct, side in ((0.875, 256), (0.9, 248), (1.0, 224)):
        steps = data.create_transform((3, 224, 224), interpolation="bicubic", crop_pct=crop_pct).transforms
        theirs = transforms.Compose(steps[:2])
        for height, width in sizes()[5:25]:
            image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width), np.uint8))
            window = center_crop_window(height, width, (224, 224), shorter_side=side)
            ours = image.resize(window.resized[::-1], Image.Resampling.BICUBIC)
            ours = ours.crop((window.left, window.top, window.left + 224, window.top + 224))
            np.testing.assert_array_equal(np.array(theirs(image)), np.array(ours))


def test_pillows_rounding_is_that_of_cover() -> None:
    from PIL import Image, ImageOps

    different = 0
    for height, width in sizes()[5:]:
        window = center_crop_window(height, width, (24, 20), shorter_side=37, rounding="pillow")
        covered = ImageOps.cover(Image.new("L", (width, height)), (37, 37))
        assert window.resized == (covered.height, covered.width)
        assert (window.top, window.left) == ((covered.height - 24) // 2, (covered.width - 20) // 2)
        different += window != center_crop_window(height, width, (24, 20), shorter_side=37)
    assert different > 50


def test_a_crop_larger_than_the_resized_image_is_refused() -> None:
    with pytest.raises(
        ValueError, match="a crop of height 300 x width 300 is larger than an image of height 100 x width"
    ):
        center_crop_window(100, 120, (300, 300), shorter_side=256)
    assert center_crop_window(100, 400, (256, 300), shorter_side=256).size == (256, 300)
    with pytest.raises(
        ValueError, match='rounding must be "torchvision" or "pillow", not "timm"'.replace('"timm"', "'timm'")
    ):
        center_crop_window(100, 120, (8, 8), shorter_side=16, rounding="timm")  # type: ignore[arg-type]


def test_a_view_gives_the_window_of_an_image_as_it_is_read() -> None:
    data = make_jpeg(60, 90)
    view = EvaluationView((30, 20), 40, "bicubic")
    assert view.window(read_header(data)) == center_crop_window(90, 60, (30, 20), shorter_side=40)
    assert repr(view) == "EvaluationView(height 30 x width 20, shorter side 40, bicubic)"
    pillow = EvaluationView((20, 20), 40, rounding="pillow", apply_orientation=True)
    assert str(pillow) == "height 20 x width 20, shorter side 40, centre crop, pillow's rounding, upright"


@pytest.mark.parametrize(
    "view", [EvaluationView((30, 20), 40, "bicubic"), EvaluationView((32, 32), 40, "box", "pillow", True)]
)
def test_a_view_survives_json(view: EvaluationView) -> None:
    import json

    assert EvaluationView.from_dict(json.loads(json.dumps(view.to_dict()))) == view


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filter": "cubic"}, "filter must be"),
        ({"rounding": "timm"}, "rounding must be"),
        ({"shorter_side": 8}, "is larger than a shorter side of 8"),
        ({"shorter_side": 40.5}, "shorter_side must be a whole number"),
        ({"apply_orientation": 1}, "apply_orientation must be True or False"),
        ({"size": "a"}, "size must be"),
        ({"size": None}, "not an evaluation view"),
        ({"further": 1}, 'the field "further" is unknown'),
    ],
)
def test_a_damaged_view_is_refused(change: dict[str, object], message: str) -> None:
    values = EvaluationView((30, 20), 40).to_dict()
    with pytest.raises(ValueError, match=message):
        EvaluationView.from_dict({**values, **change})
    del values["filter"]
    with pytest.raises(ValueError, match='the field "filter" is missing'):
        EvaluationView.from_dict(values)
    with pytest.raises(ValueError, match="not an evaluation view"):
        EvaluationView.from_dict([])  # type: ignore[arg-type]


def test_normalized_selected_channels_last_and_float16_windows_only_rearrange() -> None:
    coefficients = make_coefficients(75, 93, SAMPLINGS["4:2:0"])
    window = Window((61, 70), 7, 9, (30, 45))
    everything = resample(coefficients, window, window.size)
    for channels in (24, [191, 0, 77, 8]):
        for layout in ("CHW", "HWC"):
            for dtype in ("float32", "float16"):
                format = TensorFormat(channels, layout=layout, dtype=dtype)  # type: ignore[arg-type]
                got = resample(coefficients, window, window.size, format=format)
                got = got.transpose(2, 0, 1) if layout == "HWC" else got
                want = everything[list(format.selection)]
                np.testing.assert_allclose(got, want, atol=1e-3, rtol=1e-3 if dtype == "float16" else 0)

"""Tensors of dtype int8, with a step for each channel: made, stored, and undone by networks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jpegfreq import TensorFormat, read_batch, read_coefficients, resample, to_frequency_tensor
from jpegfreq.assembly import kernels
from jpegfreq.cli import main
from jpegfreq.statistics import ChannelStatistics
from jpegfreq.store import StoredDataset
from tests.coefficient_maker import SAMPLINGS, make_coefficients
from tests.images import make_jpeg
from tests.int8_formats import STATISTICS, floats, int8, steps_of
from tests.support import instruction_sets, run_on


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:0", "grey"])
@pytest.mark.parametrize("layout", ["CHW", "HWC"])
@pytest.mark.parametrize("channels", ["all", 24, [130, 3, 5]])
@pytest.mark.parametrize("statistics", [None, STATISTICS])
def test_values_are_steps_rounded_and_clamped(
    sampling: str, layout: str, channels: Any, statistics: ChannelStatistics | None
) -> None:
    coefficients = make_coefficients(75, 93, SAMPLINGS[sampling])
    format = int8(channels, statistics=statistics, layout=layout)
    pairs = [[to_frequency_tensor(coefficients, f) for f in (format, floats(format))]]
    pairs += [
        [resample(coefficients, (1, 2, 70, 80), size, format=f) for f in (format, floats(format))]
        for size in ((64, 72), (60, 8))
    ]
    for found, exact in pairs:
        assert found.dtype == np.int8
        want = np.clip(exact / steps_of(format), -127, 127)
        assert np.abs(found - want).max() <= 0.5001
        assert found.min() >= -127


def test_values_beyond_127_steps_become_127_steps() -> None:
    coefficients = make_coefficients(16, 16, SAMPLINGS["grey"])
    for value in (32767, -32767):
        coefficients.planes[0][..., 0, 0] = value
        for tensor in (
            to_frequency_tensor(coefficients, int8()),
            resample(coefficients, (0, 0, 16, 16), (16, 16), format=int8()),
        ):
            assert (tensor[0] == np.sign(value) * 127).all()


@pytest.mark.parametrize("value", [0.5, 1.5, -0.5, -2.5, 0.49999997, 126.5, 127.5, -1e30, 1e30, 3.2])
def test_ties_go_to_the_even_step(value: float) -> None:
    assert kernels.to_int8(np.float32(value)) == np.clip(np.rint(np.float32(value)), -127, 127)


def test_a_batch_holds_what_resample_returns() -> None:
    images = [make_jpeg(90, 70, seed=seed) for seed in range(3)]
    for layout in ("CHW", "HWC"):
        format = int8(48, layout=layout)
        batch = read_batch(images, size=(64, 56), format=format)
        for image, tensor in zip(images, batch, strict=True):
            np.testing.assert_array_equal(
                tensor, resample(read_coefficients(image), (0, 0, 70, 90), (64, 56), format=format)
            )


CASES = """
import sys
import numpy as np
from jpegfreq import resample
from tests.coefficient_maker import SAMPLINGS, make_coefficients
from tests.int8_formats import int8
results = {}
for name in ("4:4:4", "4:2:0"):
    for channels in ("all", 24):
        for layout in ("CHW", "HWC"):
            coefficients = make_coefficients(75, 93, SAMPLINGS[name])
            tensor = resample(coefficients, (2, 3, 70, 88), (40, 56), format=int8(channels, layout=layout))
            results[f"{name} {channels} {layout}"] = tensor
np.savez(sys.argv[1], **results)
"""


def test_plain_code_and_vector_code_agree(tmp_path: Path) -> None:
    results = []
    for name in instruction_sets()[1:] or ["plain"]:
        run_on(name, "-c", CASES, tmp_path / f"{name}.npz")
        results.append(dict(np.load(tmp_path / f"{name}.npz")))
    generic, *others = results
    for other in others:
        for key, value in generic.items():
            difference = np.abs(other[key].astype(int) - value)
            assert difference.max() <= 1
            assert difference.mean() < 1e-3, key
        np.testing.assert_equal(other, others[0])


def test_steps_reach_as_far_as_asked_but_not_beyond_what_images_hold() -> None:
    statistics = ChannelStatistics((100.0, *(0.0,) * 191), (500.0, *(10.0,) * 191), "made up")
    normalized = np.array(statistics.int8_steps()) * 127
    assert normalized[0] == pytest.approx((1024 + 100) / 500)
    np.testing.assert_allclose(normalized[1:], 8)
    plain = np.array(statistics.int8_steps(normalized=False, deviations=4)) * 127
    assert plain[0] == pytest.approx(1024)
    np.testing.assert_allclose(plain[1:], 40)
    with pytest.raises(ValueError, match="deviations must be above 0"):
        statistics.int8_steps(deviations=0)


def test_a_format_survives_json_and_is_hashable() -> None:
    format = int8(24)
    assert TensorFormat.from_json(format.to_json()) == format
    assert hash(format) != hash(floats(format))
    assert "steps" not in json.loads(floats(format).to_json())


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"dtype": "int8"}, ValueError, 'dtype "int8" needs steps'),
        ({"steps": (1.0,) * 192}, ValueError, "steps go with dtype \"int8\", not with 'float32'"),
        ({"dtype": "int8", "steps": (1.0,) * 24}, ValueError, "steps must be 192 numbers above 0, .* not 24 of them"),
        ({"dtype": "int8", "steps": (0.0,) * 192}, ValueError, "not with 0.0"),
        ({"dtype": "int8", "steps": (float("nan"),) * 192}, ValueError, "not with nan"),
        ({"dtype": "int8", "steps": 3}, TypeError, "steps must be numbers, not 3"),
        ({"dtype": "int8", "steps": ("a",)}, TypeError, "steps must be numbers"),
    ],
)
def test_wrong_steps_are_refused(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        TensorFormat(**options)


def test_a_store_of_int8_holds_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for seed in range(3):
        (photos / f"{seed}.jpg").write_bytes(make_jpeg(60, 50, seed=seed))
    options = ["convert", str(photos), "--out", str(tmp_path / "store"), "--size", "32", "--dtype", "int8"]
    assert main(options) == 2
    assert "--dtype int8 needs --statistics FILE" in capsys.readouterr().err
    STATISTICS.save(tmp_path / "statistics.json")
    assert main([*options, "--channels", "24", "--statistics", str(tmp_path / "statistics.json")]) == 0
    store = StoredDataset(tmp_path / "store")
    assert store.format.dtype == "int8"
    tensor = store[0][0]
    assert tensor.dtype == np.int8
    data = (photos / store.names[0]).read_bytes()
    from jpegfreq import read_header

    window = store.view.window(read_header(data))
    np.testing.assert_array_equal(tensor, read_batch([data], size=(32, 32), boxes=[window], format=store.format)[0])
    assert np.load(next((tmp_path / "store" / "shards").glob("*.npy"))).dtype == np.int8

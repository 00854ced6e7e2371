"""ChannelStatistics and its accumulator, against NumPy over all values at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jpegfreq.statistics import ChannelStatistics, StatisticsAccumulator


def tensors(count: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    spread = rng.uniform(0.5, 300, 192)[:, None, None]
    return [(1000 + spread * rng.normal(size=(192, *rng.integers(1, 6, 2)))).astype(np.float32) for _ in range(count)]


def accumulated(images: list[np.ndarray]) -> StatisticsAccumulator:
    accumulator = StatisticsAccumulator()
    for image in images:
        accumulator.update(image)
    return accumulator


@given(split=st.integers(0, 6), seed=st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_merged_parts_equal_the_whole(split: int, seed: int) -> None:
    images = tensors(6, seed)
    values = np.concatenate([image.reshape(192, -1) for image in images], axis=1).astype(np.float64)
    merged = accumulated(images[:split])
    merged.merge(accumulated(images[split:]))
    statistics = merged.statistics("noise")
    np.testing.assert_allclose(statistics.mean, values.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(statistics.std, np.maximum(values.std(axis=1), 1), rtol=1e-9)


def test_batches_and_layouts_count_alike() -> None:
    batch = np.random.default_rng(0).normal(size=(3, 192, 4, 5)).astype(np.float32)
    one, many, last = StatisticsAccumulator(), StatisticsAccumulator(), StatisticsAccumulator()
    one.update(batch)
    last.update(batch.transpose(0, 2, 3, 1), layout="HWC")
    for image in batch:
        many.update(image)
    for other in (many, last):
        np.testing.assert_allclose(one.mean, other.mean, atol=1e-12)
        np.testing.assert_allclose(one.second_moment, other.second_moment, rtol=1e-12)


def test_large_images_are_measured_in_strips() -> None:
    image = np.random.default_rng(0).normal(5, 2, size=(192, 130, 100)).astype(np.float32)
    statistics = accumulated([image]).statistics("noise")
    np.testing.assert_allclose(statistics.mean, image.astype(np.float64).mean(axis=(1, 2)), rtol=1e-12)
    np.testing.assert_allclose(statistics.std, image.astype(np.float64).std(axis=(1, 2)), rtol=1e-9)


def test_channels_that_hardly_vary_are_not_amplified() -> None:
    image = tensors(1)[0]
    image[191] = 7
    image[190] = 0.003 * np.random.default_rng(0).normal(size=image.shape[1:])
    accumulator = accumulated([image])
    statistics = accumulator.statistics("dust")
    assert statistics.std[190:] == (1, 1)
    assert accumulator.second_moment[191] == 0
    assert ChannelStatistics.from_json(accumulator.to_json("dust")) == statistics


def test_grey_images_say_nothing_about_chroma() -> None:
    colored, grey = tensors(2)
    grey[64:] = 0
    both = accumulated([colored])
    both.update(grey, grey=True)
    np.testing.assert_array_equal(both.mean[64:], accumulated([colored]).mean[64:])
    assert both.count[0] == colored[0].size + grey[0].size
    assert both.count[64] == colored[0].size


def test_state_passes_between_processes_as_json() -> None:
    accumulator = accumulated(tensors(2))
    again = StatisticsAccumulator.from_json(accumulator.to_json("noise"))
    for name in ("count", "mean", "second_moment"):
        np.testing.assert_array_equal(getattr(again, name), getattr(accumulator, name))
    assert ChannelStatistics.from_json(accumulator.to_json("noise")) == accumulator.statistics("noise")


def test_json_round_trip_is_exact(tmp_path) -> None:  # type: ignore[no-untyped-def]
    statistics = accumulated(tensors(3)).statistics("noise, three images")
    statistics.save(tmp_path / "statistics.json")
    assert ChannelStatistics.load(tmp_path / "statistics.json") == statistics
    assert hash(ChannelStatistics.load(tmp_path / "statistics.json")) == hash(statistics)


def test_preset_holds_the_published_numbers() -> None:
    statistics = ChannelStatistics.preset("dctnet")
    assert statistics.mean[:2] == (-88.397, 0.014242)
    assert statistics.std[:4] == (259.96, 2.7776, 2.0454, 1.3947)
    assert statistics.mean[64] == -58.709
    assert statistics.source == "dctnet"
    with pytest.raises(ValueError, match="dctnet"):
        ChannelStatistics.preset("imagenet")


def test_impossible_statistics_are_an_error_that_names_the_field() -> None:
    ones = (1.0,) * 192
    with pytest.raises(ValueError, match="192 values"):
        ChannelStatistics(ones[:-1], ones, "x")
    with pytest.raises(ValueError, match="std of channel 3 is 0"):
        ChannelStatistics(ones, (*ones[:3], 0.0, *ones[4:]), "x")
    with pytest.raises(ValueError, match="not finite"):
        ChannelStatistics((float("nan"), *ones[1:]), ones, "x")
    with pytest.raises(ValueError, match="measured on"):
        ChannelStatistics(ones, ones, "")
    with pytest.raises(ValueError, match="fewer than two"):
        StatisticsAccumulator().statistics("nothing")
    with pytest.raises(ValueError, match="all 192 channels"):
        StatisticsAccumulator().update(np.zeros((24, 4, 4), np.float32))


@pytest.mark.parametrize(
    "text", ["[]", "{}", '{"mean": 3, "std": 3, "source": "x"}', '{"mean": [], "count": {}, "source": "x"}']
)
def test_json_without_statistics_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not channel statistics"):
        ChannelStatistics.from_json(text)

"""Heat maps: the figures they give and how they are stored."""

from __future__ import annotations

import math

import pytest

from jpegfreq.channels import ZIGZAG, ChannelSelection
from jpegfreq.models.analysis.heatmap import HeatMap


def heat(rates: dict[int, float], images: int = 10) -> HeatMap:
    values = tuple(rates.get(channel, math.nan) for channel in range(192))
    return HeatMap(values, values, images, "test")


def test_json_keeps_every_value_and_every_missing_channel() -> None:
    some = heat({0: 1.0, 9: 0.25, 64: 0.1})
    assert HeatMap.from_json(some.to_json()) == HeatMap.from_dict(some.to_dict()) == some
    assert some.channels == (0, 9, 64)
    assert "NaN" not in some.to_json()
    assert some.mean_channels_on == pytest.approx(1.35)


def test_repr_gives_the_averages() -> None:
    assert repr(heat({0: 1.0, 9: 0.25})) == "HeatMap(1.2 of 2 channels on, mean of 10 images; source='test')"


def test_other_json_is_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match="not a heat map"):
        HeatMap.from_json('{"mean": []}')
    with pytest.raises(ValueError, match="a rate is not a number"):
        HeatMap.from_json('{"on_rate": 5, "on_probability": 5, "images": 1, "source": ""}')
    with pytest.raises(ValueError, match='the field "images" is missing'):
        HeatMap.from_json('{"on_rate": [], "on_probability": []}')
    with pytest.raises(ValueError, match="this is a heat map, from which `jpegfreq select` makes a selection"):
        ChannelSelection.from_json(heat({0: 1.0}).to_json())
    with pytest.raises(ValueError, match="outside 0 to 1"):
        heat({0: 1.5})
    with pytest.raises(ValueError, match="at least one channel"):
        heat({})


def test_luma_over_chroma_is_the_ratio_of_mean_rates() -> None:
    assert heat({0: 1.0, 1: 0.5, 64: 0.25, 128: 0.25}).luma_over_chroma == pytest.approx(3)
    assert heat({0: 1.0, 64: 0.0}).luma_over_chroma == math.inf
    assert math.isnan(heat({0: 1.0}).luma_over_chroma)


def test_low_over_high_pools_the_components_along_the_zigzag() -> None:
    rates = {64 * c + k: (0.9 if place < 16 else 0.3 if place >= 32 else 0.5) for c in range(3)
             for place, k in enumerate(ZIGZAG)}  # fmt: skip
    assert heat(rates).low_over_high == pytest.approx(3)


def test_ranking_breaks_ties_by_probability_then_zigzag_then_component() -> None:
    rates, probabilities = [math.nan] * 192, [math.nan] * 192
    for channel, rate, probability in ((8, 1, 0.9), (1, 1, 0.9), (64, 1, 0.9), (0, 1, 0.9), (63, 1, 0.95), (2, 0, 0.1)):
        rates[channel], probabilities[channel] = rate, probability
    ranking = HeatMap(tuple(rates), tuple(probabilities), 4, "test").ranking()
    assert ranking.channels == (63, 0, 64, 1, 8, 2)

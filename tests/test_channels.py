"""ChannelSelection: presets, orders and JSON."""

from __future__ import annotations

import pytest

from jpegfreq.channels import PRESETS, ZIGZAG, ChannelSelection


@pytest.mark.parametrize("count", PRESETS)
def test_preset_has_the_channels_its_name_says(count: int) -> None:
    selection = ChannelSelection.preset(count)
    assert len(selection) == count
    assert selection.name == str(count)
    assert selection.channels == tuple(sorted(selection.channels))


@pytest.mark.parametrize(
    ("count", "luma", "chroma"),
    [
        (6, "0 1 8 9", "0"),
        (24, "0-3 8-11 16-19 24-27", "0 1 8 9"),
        (32, "0-4 8-12 16-20 24-27 32-34", "0 1 2 8 9"),
        (48, "0-5 8-13 16-21 24-29 32-35 40-43", "0 1 2 8 9 10 16 17"),
        (64, "0-6 8-14 16-21 24-29 32-37 40-45 48-53", "0 1 2 8 9 10 16 17 24 25"),
    ],
)
def test_preset_is_the_published_list(count: int, luma: str, chroma: str) -> None:
    def numbers(text: str) -> list[int]:
        ends = [part.split("-") for part in text.split()]
        return [k for end in ends for k in range(int(end[0]), int(end[-1]) + 1)]

    expected = ChannelSelection.by_component(numbers(luma), numbers(chroma), numbers(chroma))
    assert ChannelSelection.preset(count) == expected


def test_all_is_every_channel_in_raster_order() -> None:
    assert ChannelSelection.all().channels == tuple(range(192))
    assert ChannelSelection.of("all") == ChannelSelection.of(192) == ChannelSelection.of(range(192))


def test_zigzag_follows_figure_a_6() -> None:
    diagonals = [sorted((k for k in range(64) if k // 8 + k % 8 == d), key=ZIGZAG.index) for d in range(15)]
    assert [k for diagonal in diagonals for k in diagonal] == list(ZIGZAG)
    assert ZIGZAG[:10] == (0, 1, 8, 16, 9, 2, 3, 10, 17, 24)
    assert ZIGZAG[-3:] == (55, 62, 63)


def test_zigzag_counts_take_the_lowest_frequencies_of_each_component() -> None:
    assert ChannelSelection.zigzag(3, 2, 1).channels == (0, 1, 8, 64, 65, 128)
    assert ChannelSelection.zigzag(64, 64, 64).ordered("raster") == ChannelSelection.all()
    with pytest.raises(ValueError, match="0 to 64"):
        ChannelSelection.zigzag(65)


def test_order_changes_places_and_nothing_else() -> None:
    raster = ChannelSelection.preset(24)
    zigzag = ChannelSelection.preset(24, order="zigzag")
    assert sorted(zigzag) == list(raster)
    assert zigzag.channels[:6] == (0, 1, 8, 16, 9, 2)
    assert zigzag.ordered("raster") == raster
    assert zigzag != raster


def test_component_gives_frequency_and_place() -> None:
    selection = ChannelSelection((130, 5, 64, 6))
    assert selection.component(0) == ((5, 1), (6, 3))
    assert selection.component(1) == ((0, 2),)
    assert selection.component(2) == ((2, 0),)
    assert not selection.luma_only
    assert ChannelSelection((5,)).luma_only


def test_channel_names_say_component_and_frequency() -> None:
    assert ChannelSelection((0, 9, 64, 128 + 17)).channel_names == ("Y(0,0)", "Y(1,1)", "Cb(0,0)", "Cr(2,1)")


def test_json_round_trip() -> None:
    selection = ChannelSelection((5, 3, 191), "learned")
    again = ChannelSelection.from_json(selection.to_json())
    assert again == selection
    assert again.name == "learned"
    assert hash(again) == hash(selection)


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ((), "at least one"),
        ((192,), "not 192"),
        ((-1,), "not -1"),
        ((1, 2, 1), "1 is there twice"),
        (25, "no preset of 25"),
        ("most", '"all"'),
    ],
)
def test_an_impossible_selection_is_an_error_that_names_the_channel(value: object, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ChannelSelection.of(value)  # type: ignore[arg-type]


def test_by_component_refuses_frequencies_of_the_next_component() -> None:
    with pytest.raises(ValueError, match="frequency 64"):
        ChannelSelection.by_component([64])

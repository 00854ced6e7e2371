"""The frequency channels that a tensor holds, and their order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from jpegfreq._arguments import check_choice, whole_number
from jpegfreq._json import parse_json
from jpegfreq._words import counted

__all__ = ["CHANNEL_COUNT", "PRESETS", "ZIGZAG", "ChannelSelection"]

CHANNEL_COUNT = 192
COMPONENT_NAMES = ("Y", "Cb", "Cr")

# T.81 figure A.6: raster index 8 * v + u of each position along the zigzag.
ZIGZAG: tuple[int, ...] = tuple(
    sorted(range(64), key=lambda k: (k // 8 + k % 8, k // 8 if (k // 8 + k % 8) % 2 else k % 8))
)


def _box(*widths: int) -> tuple[int, ...]:
    """Return the frequencies u < widths[v] of each row v."""
    return tuple(8 * v + u for v, width in enumerate(widths) for u in range(width))


# The square lists of Xu et al., CVPR 2020, in raster order: for luma, and for each chroma component.
PRESETS: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    6: (_box(2, 2), _box(1)),
    24: (_box(4, 4, 4, 4), _box(2, 2)),
    32: (_box(5, 5, 5, 4, 3), _box(3, 2)),
    48: (_box(6, 6, 6, 6, 4, 4), _box(3, 3, 2)),
    64: (_box(7, 7, 6, 6, 6, 6, 6), _box(3, 3, 2, 2)),
    192: (_box(*[8] * 8), _box(*[8] * 8)),
}


@dataclass(frozen=True, repr=False)
class ChannelSelection:
    """The channels of a frequency tensor, in order.

    The channel of component c and frequency (v, u) has number 64 * c + 8 * v + u. Components are numbered Y, Cb, Cr;
    v is the vertical frequency. Output channel i holds channel number `channels[i]`. Two selections are equal when
    they choose the same channels in the same order, whatever their names.

    Attributes:
        channels: channel numbers, 0 to 191, each at most once.
        name: a name for people: "24", "zigzag-14-5-5", "learned-flowers"; it is not compared.

    >>> ChannelSelection.preset(6).channels
    (0, 1, 8, 9, 64, 128)
    """

    channels: tuple[int, ...]
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Check the numbers, which may come as any sequence of integers."""
        channels = tuple(whole_number("each of channels", channel) for channel in self.channels)
        if not channels:
            raise ValueError("channels must hold at least one channel")
        outside = [channel for channel in channels if not 0 <= channel < CHANNEL_COUNT]
        if outside:
            raise ValueError(
                f"channels must be 0 to {CHANNEL_COUNT - 1} (64 * component + 8 * v + u), not {outside[0]}"
            )
        if len(set(channels)) != len(channels):
            twice = next(channel for channel in channels if channels.count(channel) > 1)
            raise ValueError(f"channels must differ; {twice} is there twice")
        object.__setattr__(self, "channels", channels)
        if not isinstance(self.name, str):
            raise TypeError(f"name must be text, not {self.name!r}")
        object.__setattr__(self, "name", self.name or f"custom-{len(channels)}")

    def __repr__(self) -> str:
        counts = [len(self.component(c)) for c in range(3)]
        parts = [f"{count} {name}" for count, name in zip(counts, COMPONENT_NAMES, strict=True) if count]
        return f"<ChannelSelection {self.name!r}: {counted(len(self), 'channel')}, {' + '.join(parts)}>"

    @classmethod
    def preset(cls, count: int, *, order: Literal["raster", "zigzag"] = "raster") -> ChannelSelection:
        """Return one of the square lists of Xu et al. (CVPR 2020), by its number of channels.

        Args:
            count: 6, 24, 32, 48, 64 or 192 (all).
            order: the order of each component's frequencies.
        """
        if whole_number("count", count) not in PRESETS:
            raise ValueError(f"there is no preset of {count} channels; there are {', '.join(map(str, PRESETS))}")
        luma, chroma = PRESETS[count]
        selection = cls.by_component(luma, chroma, chroma, name=str(count))
        return selection.ordered(order)

    @classmethod
    def all(cls) -> ChannelSelection:
        """Return all 192 channels in raster order."""
        return cls.preset(CHANNEL_COUNT)

    @classmethod
    def by_component(
        cls, luma: Iterable[int], cb: Iterable[int] = (), cr: Iterable[int] = (), *, name: str = ""
    ) -> ChannelSelection:
        """Make a selection from the raster indices 8 * v + u of each component, Y first.

        >>> ChannelSelection.by_component([0, 1], [0], [0]).channels
        (0, 1, 64, 128)
        """
        frequencies = (tuple(luma), tuple(cb), tuple(cr))
        for index in (k for chosen in frequencies for k in chosen):
            if not 0 <= whole_number("each frequency", index) < 64:
                raise ValueError(f"frequency {index} is outside 0 to 63 (8 * v + u)")
        return cls(tuple(64 * c + k for c, chosen in enumerate(frequencies) for k in chosen), name)

    @classmethod
    def zigzag(cls, luma: int, cb: int = 0, cr: int = 0) -> ChannelSelection:
        """Return the lowest frequencies of each component along the zigzag (T.81 figure A.6), in zigzag order.

        >>> ChannelSelection.zigzag(3, 1, 1).channels
        (0, 1, 8, 64, 128)
        """
        for name, count in (("luma", luma), ("cb", cb), ("cr", cr)):
            whole_number(name, count, least=0, most=64)
        return cls.by_component(ZIGZAG[:luma], ZIGZAG[:cb], ZIGZAG[:cr], name=f"zigzag-{luma}-{cb}-{cr}")

    @classmethod
    def of(cls, value: ChannelSelection | str | int | Sequence[int]) -> ChannelSelection:
        """Make a selection from whatever names one.

        Args:
            value: a selection, "all", the number of channels of a preset (24 or "24"), or channel numbers.
        """
        if isinstance(value, ChannelSelection):
            return value
        if isinstance(value, str):
            if value == "all":
                return cls.all()
            if value.isdigit():
                return cls.preset(int(value))
            raise ValueError(
                f'channels must be "all", one of {", ".join(map(str, PRESETS))}, or numbers, not {value!r}'
            )
        if isinstance(value, Iterable):
            return cls(tuple(value))
        return cls.preset(whole_number("channels", value))

    def ordered(self, order: Literal["raster", "zigzag"]) -> ChannelSelection:
        """Return the same channels sorted by component, and within each in raster or in zigzag order."""
        check_choice("order", order, ("raster", "zigzag"))
        if order == "raster":
            return ChannelSelection(tuple(sorted(self.channels)), self.name)
        rank = {k: place for place, k in enumerate(ZIGZAG)}
        channels = sorted(self.channels, key=lambda channel: (channel // 64, rank[channel % 64]))
        return ChannelSelection(tuple(channels), self.name)

    def component(self, component: int) -> tuple[tuple[int, int], ...]:
        """Return (frequency 8 * v + u, output channel) of each channel of one component, by output channel."""
        return tuple((channel % 64, i) for i, channel in enumerate(self.channels) if channel // 64 == component)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """A name for each channel, component and (v,u): "Y(0,1)", "Cb(0,0)"."""
        return tuple(f"{COMPONENT_NAMES[c // 64]}({c % 64 // 8},{c % 8})" for c in self.channels)

    @property
    def luma_only(self) -> bool:
        """Whether all channels are luma."""
        return max(self.channels) < 64

    def __len__(self) -> int:
        """Return the number of channels."""
        return len(self.channels)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the channel numbers in order."""
        return iter(self.channels)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values that JSON can hold."""
        return {"name": self.name, "channels": list(self.channels)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ChannelSelection:
        """Make the selection that `to_dict` was called on; other entries are ignored.

        Raises:
            ValueError: the values do not describe a selection.
        """
        known = isinstance(values, Mapping)
        if not known or not isinstance(values.get("channels"), list | tuple) or not isinstance(values.get("name"), str):
            heat_map = known and "on_rate" in values
            hint = "; this is a heat map, from which `jpegfreq select` makes a selection" if heat_map else ""
            raise ValueError(f'not a channel selection, which has a "name" and a list of "channels"{hint}')
        return cls(tuple(values["channels"]), values["name"])

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> ChannelSelection:
        """Make a selection from the text of `to_json`; errors as for `from_dict`."""
        return cls.from_dict(parse_json(text))

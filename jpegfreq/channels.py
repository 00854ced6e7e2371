"""Which frequency channels a tensor holds, and in which order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["CHANNEL_COUNT", "PRESETS", "ZIGZAG", "ChannelSelection"]

CHANNEL_COUNT = 192
COMPONENT_NAMES = ("Y", "Cb", "Cr")

# T.81 figure A.6: raster index 8 * v + u of each place along the zigzag.
ZIGZAG: tuple[int, ...] = tuple(
    sorted(range(64), key=lambda k: (k // 8 + k % 8, k // 8 if (k // 8 + k % 8) % 2 else k % 8))
)


def _box(*widths: int) -> tuple[int, ...]:
    """Frequencies u < widths[v] of each row v."""
    return tuple(8 * v + u for v, width in enumerate(widths) for u in range(width))


# The square lists of Xu et al., CVPR 2020, in raster order: luma, and each chroma component.
PRESETS: dict[int, tuple[tuple[int, ...], tuple[int, ...]]] = {
    6: (_box(2, 2), _box(1)),
    24: (_box(4, 4, 4, 4), _box(2, 2)),
    32: (_box(5, 5, 5, 4, 3), _box(3, 2)),
    48: (_box(6, 6, 6, 6, 4, 4), _box(3, 3, 2)),
    64: (_box(7, 7, 6, 6, 6, 6, 6), _box(3, 3, 2, 2)),
    192: (_box(*[8] * 8), _box(*[8] * 8)),
}


@dataclass(frozen=True)
class ChannelSelection:
    """The channels of a frequency tensor, in order.

    Channel k of component c has number 64 * c + 8 * v + u: components Y, Cb, Cr, raster order in the block, v the
    vertical frequency. Output channel i holds channel number `channels[i]`. Two selections are equal when they choose
    the same channels in the same order, whatever their names.

    Attributes:
        channels: channel numbers, 0 to 191, each at most once.
        name: what to call it: "24", "zigzag-14-5-5", "learned-flowers"; not compared.

    >>> ChannelSelection.preset(6).channels
    (0, 1, 8, 9, 64, 128)
    """

    channels: tuple[int, ...]
    name: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        """Check the numbers; take any sequence of integers."""
        channels = tuple(int(channel) for channel in self.channels)
        if not channels:
            raise ValueError("a selection needs at least one channel")
        outside = [channel for channel in channels if not 0 <= channel < CHANNEL_COUNT]
        if outside:
            raise ValueError(f"channel {outside[0]} is outside 0 to {CHANNEL_COUNT - 1} (64 * component + 8 * v + u)")
        if len(set(channels)) != len(channels):
            twice = next(channel for channel in channels if channels.count(channel) > 1)
            raise ValueError(f"channel {twice} is chosen twice")
        object.__setattr__(self, "channels", channels)
        object.__setattr__(self, "name", self.name or f"custom-{len(channels)}")

    @classmethod
    def preset(cls, count: int, *, order: Literal["raster", "zigzag"] = "raster") -> ChannelSelection:
        """The list of Xu et al. with so many channels: 6, 24, 32, 48, 64 or 192.

        Args:
            count: 6, 24, 32, 48, 64 or 192 (all).
            order: order of the frequencies of each component.
        """
        if count not in PRESETS:
            raise ValueError(f"there is no preset of {count} channels; there are {', '.join(map(str, PRESETS))}")
        luma, chroma = PRESETS[count]
        selection = cls.by_component(luma, chroma, chroma, name=str(count))
        return selection.ordered(order)

    @classmethod
    def all(cls) -> ChannelSelection:
        """All 192 channels in raster order."""
        return cls.preset(CHANNEL_COUNT)

    @classmethod
    def by_component(
        cls, luma: Iterable[int], cb: Iterable[int] = (), cr: Iterable[int] = (), *, name: str = ""
    ) -> ChannelSelection:
        """From the raster indices 8 * v + u of each component, Y first.

        >>> ChannelSelection.by_component([0, 1], [0], [0]).channels
        (0, 1, 64, 128)
        """
        frequencies = (tuple(luma), tuple(cb), tuple(cr))
        for index in (k for chosen in frequencies for k in chosen):
            if not 0 <= index < 64:
                raise ValueError(f"frequency {index} is outside 0 to 63 (8 * v + u)")
        return cls(tuple(64 * c + k for c, chosen in enumerate(frequencies) for k in chosen), name)

    @classmethod
    def zigzag(cls, luma: int, cb: int = 0, cr: int = 0) -> ChannelSelection:
        """The lowest frequencies of each component along the zigzag (T.81 figure A.6), in zigzag order.

        >>> ChannelSelection.zigzag(3, 1, 1).channels
        (0, 1, 8, 64, 128)
        """
        if not all(0 <= count <= 64 for count in (luma, cb, cr)):
            raise ValueError(f"zigzag counts must lie in 0 to 64, not {(luma, cb, cr)}")
        return cls.by_component(ZIGZAG[:luma], ZIGZAG[:cb], ZIGZAG[:cr], name=f"zigzag-{luma}-{cb}-{cr}")

    @classmethod
    def of(cls, value: ChannelSelection | str | int | Sequence[int]) -> ChannelSelection:
        """A selection from what people write: itself, "all", a preset's count ("24" or 24), or channel numbers."""
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
        if isinstance(value, int):
            return cls.preset(value)
        return cls(tuple(value))

    def ordered(self, order: Literal["raster", "zigzag"]) -> ChannelSelection:
        """The same channels, component by component, each in raster or in zigzag order."""
        if order == "raster":
            return ChannelSelection(tuple(sorted(self.channels)), self.name)
        if order != "zigzag":
            raise ValueError(f'order must be "raster" or "zigzag", not {order!r}')
        rank = {k: place for place, k in enumerate(ZIGZAG)}
        channels = sorted(self.channels, key=lambda channel: (channel // 64, rank[channel % 64]))
        return ChannelSelection(tuple(channels), self.name)

    def component(self, component: int) -> tuple[tuple[int, int], ...]:
        """(frequency 8 * v + u, place in the tensor) of each channel of one component, by place."""
        return tuple((channel % 64, i) for i, channel in enumerate(self.channels) if channel // 64 == component)

    @property
    def channel_names(self) -> tuple[str, ...]:
        """A name for each channel: "Y(v,u)", "Cb(0,0)"."""
        return tuple(f"{COMPONENT_NAMES[c // 64]}({c % 64 // 8},{c % 8})" for c in self.channels)

    @property
    def luma_only(self) -> bool:
        """Whether no chroma channel is chosen."""
        return max(self.channels) < 64

    def __len__(self) -> int:
        """How many channels."""
        return len(self.channels)

    def __iter__(self) -> Iterator[int]:
        """The channel numbers in order."""
        return iter(self.channels)

    def to_json(self) -> str:
        """As JSON text; `from_json` gives the same selection back."""
        return json.dumps({"name": self.name, "channels": list(self.channels)})

    @classmethod
    def from_json(cls, text: str) -> ChannelSelection:
        """From the text of `to_json`.

        Raises:
            ValueError: it is none.
        """
        value: Any = json.loads(text)
        if not isinstance(value, dict) or not isinstance(value.get("channels"), list) or "name" not in value:
            of = "; it is a heat map: `jpegfreq select` makes a selection of it" if "on_rate" in value else ""
            raise ValueError(f"no selection of channels{of}")
        return cls(tuple(value["channels"]), value["name"])

"""`jpegfreq show`: a picture of a picture's 192 frequency channels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes

    from jpegfreq.coefficients import Coefficients

SUMMARY = "draw a picture's 192 frequency channels"
DESCRIPTION = """\
Draw the 192 frequency channels of one JPEG file: for Y, Cb and Cr the 8 x 8 channels as small
pictures, and how much energy each frequency holds.

example:
  jpegfreq show photo.jpg --out picture.png
"""

_LONG_SIDE = 1100  # pixels of a component's mosaic, at most: larger grids are thinned out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("input", metavar="FILE", help="a JPEG file")
    parser.add_argument("--out", required=True, type=Path, metavar="PICTURE", help=".png, .pdf or .svg")
    parser.add_argument("--dpi", type=int, default=150, help="default: 150")


def run(arguments: argparse.Namespace) -> int:
    """Draw one file; 1 where it cannot be read."""
    import sys

    from jpegfreq.cli import CommandError
    from jpegfreq.coefficients import read_coefficients
    from jpegfreq.errors import JpegError

    try:
        import matplotlib
    except ImportError as error:
        raise CommandError('drawing needs matplotlib: pip install "jpegfreq[plot]"') from error
    matplotlib.use("Agg")
    try:
        coefficients = read_coefficients(arguments.input, damage="keep")
        figure = draw(coefficients, Path(arguments.input))
    except (JpegError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        figure.savefig(arguments.out, dpi=arguments.dpi)
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot write {arguments.out}: {error}") from error
    print(f"wrote {arguments.out}")
    return 0


def draw(coefficients: Coefficients, path: Path) -> Any:
    """The figure of one image: matplotlib.figure.Figure."""
    import numpy as np
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from jpegfreq.assembly.tensor import to_frequency_tensor
    from jpegfreq.channels import COMPONENT_NAMES, ChannelSelection
    from jpegfreq.cli._facts import estimated_quality, subsampling

    header = coefficients.header
    tensor = to_frequency_tensor(coefficients)
    grid_high, grid_wide = tensor.shape[1:]
    energy = np.sqrt(np.square(tensor, dtype=np.float32).mean(axis=(1, 2), dtype=np.float64))
    thumbnails = np.abs(_thinned(tensor))

    shown = 1 if len(header.components) == 1 else 3
    aspect = grid_high / grid_wide
    mosaic_wide = 4.6
    mosaic_high = min(max(mosaic_wide * aspect, 3.0), 8.0)
    figure = Figure(
        figsize=(4.9 + shown * (mosaic_wide + 0.5), mosaic_high + 5.8),
        layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08),
    )
    axes = figure.subplots(
        2, 1 + shown, width_ratios=[4.4] + [mosaic_wide] * shown, height_ratios=[mosaic_high, 4.2], squeeze=False
    )

    quality = estimated_quality(coefficients.quantization_tables)
    count = 64 * shown
    figure.suptitle(f"{path.name}: {count} frequency channels of {grid_wide} x {grid_high} blocks", fontsize=17)
    axes[0, 0].imshow(_pixels(tensor, header.height, header.width))
    axes[0, 0].set_title(
        f"the picture, back from the channels\n{header.width} x {header.height} px, {subsampling(header)}, "
        f"{header.process}, quality about {quality.value}",
        fontsize=11,
    )
    axes[0, 0].set_axis_off()

    values = thumbnails[:count]
    norm = LogNorm(1, max(10.0, float(np.percentile(values, 99.9))), clip=True)
    faintest = max(0.1, float(energy[energy > 0].min(initial=1.0)))
    peak = LogNorm(faintest, max(1.0, float(energy.max())), clip=True)
    for c, name in enumerate(COMPONENT_NAMES[:shown]):
        mosaic = axes[0, 1 + c]
        mosaic_image = mosaic.imshow(_mosaic(thumbnails[64 * c : 64 * c + 64]), cmap="magma", norm=norm, aspect="auto")
        _frequency_axes(mosaic, f"{name}: each channel as a small picture", thumbnails.shape[1:])
        heat = axes[1, 1 + c]
        heat_image = heat.imshow(
            np.maximum(energy[64 * c : 64 * c + 64].reshape(8, 8), faintest), cmap="viridis", norm=peak
        )
        _frequency_axes(heat, f"{name}: energy of each frequency", (1, 1))
        for k, value in enumerate(energy[64 * c : 64 * c + 64]):
            light = peak(max(value, faintest)) < 0.6
            text = f"{value:.0f}" if value >= 9.95 else f"{value:.1f}"
            heat.text(k % 8, k // 8, text, ha="center", va="center", fontsize=8, color="white" if light else "black")
    figure.colorbar(
        mosaic_image,
        ax=axes[0, 1:],
        extend="both",
        shrink=0.9,
        label="size of the coefficient in each block (log scale)",
    )
    figure.colorbar(heat_image, ax=axes[1, 1:], shrink=0.9, label="root mean square over all blocks (log scale)")

    shares = _shares(energy, [ChannelSelection.preset(n) for n in (6, 24, 64)])
    axes[1, 0].set_axis_off()
    axes[1, 0].text(0, 1, _LEGEND.format(*shares), va="top", fontsize=11.5, linespacing=1.4)
    return figure


_LEGEND = """\
How to read this

A JPEG stores blocks of 8 x 8 pixels as 64
frequencies. All blocks' values of one frequency
make one channel, 1/8 as wide and high as the
picture. Y is brightness, Cb and Cr are colour.

(0, 0), top left, holds each block's mean. To the
right the detail from left to right gets finer,
downwards that from top to bottom. Dark: little
or nothing there.

Of all detail (energy without the means), so much
is in the preset of
    6 channels: {0}
    24 channels: {1}
    64 channels: {2}
"""


def _shares(energy: npt.NDArray[np.float64], selections: list[Any]) -> list[str]:
    import numpy as np

    power = energy**2
    power[::64] = 0
    total = power.sum()
    chosen = [power[np.array(selection.channels)].sum() / total if total else 1.0 for selection in selections]
    return [f"{share:.1%}" for share in chosen]


def _thinned(tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Every n-th block each way, so that a mosaic is no larger than a figure can show."""
    step = max(1, -(-8 * max(tensor.shape[1:]) // _LONG_SIDE))
    return tensor[:, ::step, ::step]


def _mosaic(channels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """64 channels side by side, as their frequencies lie in a block."""
    high, wide = channels.shape[1:]
    return channels.reshape(8, 8, high, wide).transpose(0, 2, 1, 3).reshape(8 * high, 8 * wide) + 1e-3


def _frequency_axes(axes: Axes, title: str, cell: tuple[int, ...]) -> None:
    """Label the 8 x 8 cells by their frequencies and rule lines between them."""
    high, wide = cell
    axes.set_title(title, fontsize=12)
    axes.set_xticks([(u + 0.5) * wide - 0.5 for u in range(8)], [str(u) for u in range(8)])
    axes.set_yticks([(v + 0.5) * high - 0.5 for v in range(8)], [str(v) for v in range(8)])
    axes.set_xlabel("horizontal frequency u \N{RIGHTWARDS ARROW}")
    axes.set_ylabel("\N{LEFTWARDS ARROW} vertical frequency v")
    axes.tick_params(length=0)
    for n in range(1, 8):
        axes.axvline(n * wide - 0.5, color="0.35", linewidth=0.6)
        axes.axhline(n * high - 0.5, color="0.35", linewidth=0.6)


def _pixels(tensor: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.uint8]:
    """Inverse DCT of the tensor and JFIF's YCbCr to RGB, thinned out where the picture is large."""
    import numpy as np

    step = max(1, max(height, width) // 1500)
    blocks = tensor.reshape(3, 8, 8, *tensor.shape[1:])
    u, x = np.mgrid[0:8, 0:8]
    basis = np.where(u == 0, np.sqrt(1 / 8), 0.5) * np.cos((2 * x + 1) * u * np.pi / 16)
    basis = basis.astype(np.float32)[:, :: min(step, 8)]
    planes = np.einsum("cvurk,vy,ux->cyrxk", blocks, basis, basis, optimize=True).transpose(0, 2, 1, 4, 3)
    y, cb, cr = planes.reshape(3, planes.shape[1] * planes.shape[2], -1)
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1) + 128
    size = -(-height // min(step, 8)), -(-width // min(step, 8))
    pixels: npt.NDArray[np.uint8] = np.clip(np.rint(rgb[: size[0], : size[1]]), 0, 255).astype(np.uint8)
    return pixels

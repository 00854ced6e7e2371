"""`jpegfreq show`: draw the 192 frequency channels of an image."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from jpegfreq.channels import ChannelSelection
    from jpegfreq.coefficients import Coefficients

SUMMARY = "draw an image's 192 frequency channels"
DESCRIPTION = """\
Draw the 192 frequency channels of a JPEG file. For each of Y, Cb and Cr, the figure
shows the 8 x 8 channels as small images and the energy of each frequency.

example:
  jpegfreq show photo.jpg --out channels.png
"""

_LONG_SIDE = 1100  # pixels of a component's mosaic, at most: larger grids are thinned out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import positive

    parser.add_argument("input", metavar="FILE", help="a JPEG file")
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FIGURE", help="the file to write: .png, .pdf or .svg"
    )
    parser.add_argument("--dpi", type=positive, default=150, metavar="N", help="dots per inch (default: 150)")


def run(arguments: argparse.Namespace) -> int:
    """Draw one file; return 1 if it cannot be read."""
    import sys

    from jpegfreq._files import check_not_special
    from jpegfreq.cli._outputs import check_figure, write_figure
    from jpegfreq.coefficients import read_coefficients
    from jpegfreq.errors import JpegError

    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    check_figure(arguments.out, inputs=[arguments.input])
    try:
        check_not_special(arguments.input)
        coefficients = read_coefficients(arguments.input, damage="keep")
        figure = draw(coefficients, Path(arguments.input))
    except JpegError as error:
        print(error, file=sys.stderr)
        return 1
    write_figure(figure, arguments.out, dpi=arguments.dpi)
    print(f"wrote {arguments.out}")
    return 0


def draw(coefficients: Coefficients, path: Path) -> Figure:
    """Draw the figure of one image; `path` is named in its title."""
    import numpy as np
    from matplotlib.colors import LogNorm
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from jpegfreq.assembly.tensor import to_frequency_tensor
    from jpegfreq.channels import COMPONENT_NAMES, ChannelSelection
    from jpegfreq.report.facts import estimated_quality, subsampling
    from jpegfreq.report.figures import as_drawn

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
    figure.suptitle(
        f"{as_drawn(path.name)}: {count} frequency channels of {grid_high} x {grid_wide} blocks (height x width)",
        fontsize=17,
    )
    axes[0, 0].imshow(_pixels(tensor, header.height, header.width))
    axes[0, 0].set_title(
        f"the image, rebuilt from its channels\n{header.height} x {header.width} px (height x width), "
        f"{subsampling(header)}, "
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
        _frequency_axes(mosaic, f"{name}: each channel as a small image", thumbnails.shape[1:])
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

A JPEG stores each block of 8 x 8 pixels as 64
frequencies. The values of one frequency in all
blocks form a channel, 1/8 as high and as wide as
the image. Y is brightness, Cb and Cr are colour.

(0, 0), at the top left, is the mean of each block.
Horizontal detail gets finer to the right, vertical
detail gets finer downwards. Dark areas hold little
or nothing.

Share of all detail (energy without the means)
that each preset keeps:
    6 channels: {0}
    24 channels: {1}
    64 channels: {2}
"""


def _shares(energy: npt.NDArray[np.float64], selections: list[ChannelSelection]) -> list[str]:
    import numpy as np

    power = energy**2
    power[::64] = 0
    total = power.sum()
    chosen = [power[np.array(selection.channels)].sum() / total if total else 1.0 for selection in selections]
    return [f"{share:.1%}" for share in chosen]


def _thinned(tensor: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Take every n-th block in both directions, so that a mosaic is no larger than a figure can show."""
    step = max(1, -(-8 * max(tensor.shape[1:]) // _LONG_SIDE))
    return tensor[:, ::step, ::step]


def _mosaic(channels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Put 64 channels side by side, in the order of their frequencies in a block."""
    high, wide = channels.shape[1:]
    return channels.reshape(8, 8, high, wide).transpose(0, 2, 1, 3).reshape(8 * high, 8 * wide) + 1e-3


def _frequency_axes(axes: Axes, title: str, cell: tuple[int, ...]) -> None:
    """Label the 8 x 8 cells with their frequencies and draw lines between them."""
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
    """Rebuild RGB pixels by inverse DCT and JFIF's YCbCr to RGB; a large image is thinned out."""
    import numpy as np

    from jpegfreq._dct import dct_matrix

    step = max(1, max(height, width) // 1500)
    blocks = tensor.reshape(3, 8, 8, *tensor.shape[1:])
    basis = dct_matrix().astype(np.float32)[:, :: min(step, 8)]
    planes = np.einsum("cvurk,vy,ux->cyrxk", blocks, basis, basis, optimize=True).transpose(0, 2, 1, 4, 3)
    y, cb, cr = planes.reshape(3, planes.shape[1] * planes.shape[2], -1)
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1) + 128
    size = -(-height // min(step, 8)), -(-width // min(step, 8))
    pixels: npt.NDArray[np.uint8] = np.clip(np.rint(rgb[: size[0], : size[1]]), 0, 255).astype(np.uint8)
    return pixels

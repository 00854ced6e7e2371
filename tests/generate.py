"""Make JPEG files: random ones with tests/writer.py, ordinary ones with cjpeg, jpegtran and Pillow."""

from __future__ import annotations

import io
import itertools
import random
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tests.support import tool
from tests.writer import WrittenComponent, WrittenImage, WrittenScan, padded_shape

Sampling = tuple[tuple[int, int], ...]

# Every pair of sampling factors that a component may have (B.2.2).
FACTORS = [(h, v) for h in range(1, 5) for v in range(1, 5)]


def random_block(rng: random.Random, precision: int) -> list[int]:
    """Make 64 coefficients in zigzag order: empty, sparse, dense or extreme, within the categories of F.1.2."""
    dc_limit, ac_limit = (1023, 1023) if precision == 8 else (16383, 16383)
    kind = rng.choice(["empty", "flat", "sparse", "sparse", "low", "dense", "extreme"])
    block = [0] * 64
    if kind == "empty":
        return block
    block[0] = rng.randint(-dc_limit, dc_limit) if kind == "extreme" else rng.randint(-60, 60)
    if kind == "sparse":
        for _ in range(rng.randint(1, 6)):
            block[rng.randint(1, 63)] = rng.choice([-9, -3, -2, -1, 1, 2, 3, 30])
    elif kind == "low":
        for k in range(1, rng.randint(2, 20)):
            block[k] = rng.randint(-15, 15)
    elif kind == "dense":
        for k in range(1, 64):
            block[k] = rng.randint(-3, 3)
    elif kind == "extreme":
        for _ in range(rng.randint(1, 64)):
            block[rng.randint(1, 63)] = rng.choice(
                [ac_limit, -ac_limit, ac_limit // 2 + 1, rng.randint(-ac_limit, ac_limit)]
            )
    return block


def random_plane(rows: int, columns: int, precision: int, rng: random.Random) -> npt.NDArray[np.int64]:
    """Make a plane [rows, columns, 64] in zigzag order."""
    blocks = [random_block(rng, precision) for _ in range(rows * columns)]
    return np.array(blocks, np.int64).reshape(rows, columns, 64)


def random_groups(sampling: Sampling, rng: random.Random) -> list[tuple[int, ...]]:
    """Divide the components into scans, each in the frame's order and with at most ten blocks per MCU (B.2.3)."""
    order = list(range(len(sampling)))
    rng.shuffle(order)
    groups: list[tuple[int, ...]] = []
    while order:
        count = rng.randint(1, len(order))
        group = tuple(sorted(order[:count]))
        if count > 1 and sum(sampling[i][0] * sampling[i][1] for i in group) > 10:
            continue
        groups.append(group)
        del order[:count]
    return groups


def _table_numbers(count: int, top: int, rng: random.Random) -> tuple[int, ...]:
    return tuple(rng.randint(0, top) for _ in range(count))


def _restart_interval(rng: random.Random) -> int:
    return rng.choice([0, 0, 0, 1, 2, 3, 5, 8])


def sequential_script(sampling: Sampling, baseline: bool, rng: random.Random) -> list[WrittenScan]:
    """Make one or more scans of one or more components, each with its own tables and restart interval."""
    top = 1 if baseline else 3
    return [
        WrittenScan(
            group,
            restart_interval=_restart_interval(rng),
            dc_tables=_table_numbers(len(group), top, rng),
            ac_tables=_table_numbers(len(group), top, rng),
        )
        for group in random_groups(sampling, rng)
    ]


def progressive_script(sampling: Sampling, rng: random.Random) -> list[WrittenScan]:
    """Make a random script that follows G.1.1.1: DC first, each band refined bit by bit, bands in any order."""

    def scan(group: tuple[int, ...], Ss: int, Se: int, Ah: int, Al: int) -> WrittenScan:
        return WrittenScan(
            group,
            Ss,
            Se,
            Ah,
            Al,
            _restart_interval(rng),
            _table_numbers(len(group), 3, rng),
            _table_numbers(len(group), 3, rng),
        )

    dc_bits = rng.choice([0, 0, 1, 3])
    first = [scan(group, 0, 0, 0, dc_bits) for group in random_groups(sampling, rng)]
    queues: list[list[WrittenScan]] = []
    dc_refinements = []
    for bit in range(dc_bits - 1, -1, -1):
        dc_refinements += [scan(group, 0, 0, bit + 1, bit) for group in random_groups(sampling, rng)]
    queues.append(dc_refinements)
    for i in range(len(sampling)):
        edges = sorted({1, 64, *(rng.randint(2, 63) for _ in range(rng.choice([0, 1, 1, 2, 4])))})
        for start, end in itertools.pairwise(edges):
            high = rng.choice([0, 1, 2, 4])
            queue = [scan((i,), start, end - 1, 0, high)]
            low, bit = start, high
            while bit > 0:  # a refinement may divide its band in two
                cut = rng.randint(low, end - 1) if rng.random() < 0.3 else end - 1
                queue.append(scan((i,), low, cut, bit, bit - 1))
                if cut < end - 1:
                    queue.append(scan((i,), cut + 1, end - 1, bit, bit - 1))
                bit -= 1
            queues.append(queue)
    rest = []
    while queues := [queue for queue in queues if queue]:
        rest.append(rng.choice(queues).pop(0))
    return first + rest


def _random_conditioning(rng: random.Random) -> dict[tuple[int, int], int]:
    """Draw L <= U for DC and Kx for AC (B.2.4.3)."""
    upper = rng.randint(0, 15)
    return {(0, rng.randint(0, 3)): upper << 4 | rng.randint(0, upper), (1, rng.randint(0, 3)): rng.randint(1, 63)}


def random_sampling(count: int, rng: random.Random) -> Sampling:
    """Draw factors 1 to 4 for each component, without preferring common ones."""
    if count == 1 and rng.random() < 0.5:
        return ((1, 1),)
    return tuple(rng.choice(FACTORS) for _ in range(count))


def random_image(
    seed: int, *, sof: int, height: int, width: int, sampling: Sampling, precision: int = 8
) -> WrittenImage:
    """Draw coefficients, tables and a scan script for a given frame."""
    rng = random.Random(seed)
    identifiers = rng.sample(range(256), len(sampling)) if rng.random() < 0.3 else range(1, len(sampling) + 1)
    top = 255 if sof == 0 or rng.random() < 0.5 else 65535
    tables = {n: [rng.randint(1, top) for _ in range(64)] for n in range(4)}
    components = tuple(
        WrittenComponent(identifier, h, v, rng.randint(0, 3))
        for identifier, (h, v) in zip(identifiers, sampling, strict=True)
    )
    h_max, v_max = max(h for h, _ in sampling), max(v for _, v in sampling)
    planes = tuple(random_plane(*padded_shape(height, width, c, h_max, v_max), precision, rng) for c in components)
    scans = progressive_script(sampling, rng) if sof in (2, 10) else sequential_script(sampling, sof == 0, rng)
    if rng.random() < 0.3:  # redefine tables on the way
        n = rng.randrange(len(scans))
        scans[n].quantization_tables.update({rng.randint(0, 3): [rng.randint(1, top) for _ in range(64)]})
    if sof >= 9:
        for scan in scans:
            if rng.random() < 0.5:
                scan.conditioning.update(_random_conditioning(rng))
    return WrittenImage(sof, precision, height, width, components, planes, tables, tuple(scans))


# ---------------------------------------------------------------------------------- cjpeg, jpegtran, Pillow


def random_pixels(height: int, width: int, seed: int, channels: int = 3) -> npt.NDArray[np.uint8]:
    """Draw smooth shapes, edges and grain, between a photograph and noise: [height, width, channels]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    planes = []
    for _ in range(channels):
        fy, fx, phase = rng.uniform(0.02, 0.4, 3)
        wave = 90 * np.sin(fy * y + fx * x + 9 * phase) + 60 * ((x * phase + y) % 23 > 11)
        planes.append(128 + wave + rng.normal(0, rng.choice([1, 12]), (height, width)))
    pixels: npt.NDArray[np.uint8] = np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)
    return pixels


def pnm(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Write a PPM file, or a PGM file for one channel."""
    height, width, channels = pixels.shape
    return f"P{6 if channels == 3 else 5} {width} {height} 255\n".encode() + pixels.tobytes()


def _run(name: str, arguments: Sequence[str], data: bytes, scans: str | None) -> bytes:
    command = [tool(name), *arguments]
    with tempfile.TemporaryDirectory() as folder:
        if scans is not None:
            script = Path(folder) / "scans.txt"
            script.write_text(scans)
            command += ["-scans", str(script)]
        return subprocess.run(command, input=data, check=True, capture_output=True).stdout


def cjpeg(
    pixels: npt.NDArray[np.uint8], *arguments: str, sampling: Sampling | None = None, scans: str | None = None
) -> bytes:
    """Encode with cjpeg. `scans` is the text of a scan script such as "0,1,2;" (wizard.txt of libjpeg)."""
    chosen = [] if sampling is None else ["-sample", ",".join(f"{h}x{v}" for h, v in sampling)]
    return _run("cjpeg", [*chosen, *arguments], pnm(pixels), scans)


def jpegtran(data: bytes, *arguments: str, scans: str | None = None) -> bytes:
    """Write the same coefficients as another file with jpegtran."""
    return _run("jpegtran", ["-copy", "all", *arguments], data, scans)


def pillow_jpeg(pixels: npt.NDArray[np.uint8], mode: str, **options: object) -> bytes:
    """Encode with Pillow, in mode "L", "RGB" (stored as YCbCr) or "CMYK"."""
    from PIL import Image

    image = Image.fromarray(pixels[:, :, 0] if mode == "L" else pixels, mode=mode)
    out = io.BytesIO()
    image.save(out, "JPEG", **options)
    return out.getvalue()

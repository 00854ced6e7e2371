"""What decoding costs on a user's own files: jpegfreq and the installed RGB decoders, on one thread."""

from __future__ import annotations

import io
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import jpegfreq
from jpegfreq.crops import center_crop_box

__all__ = ["PROFILE_HEADINGS", "Decoder", "Profile", "Row", "our_decoders", "profile", "profile_cells", "rgb_decoders"]

PROFILE_HEADINGS = ("decoder", "gives", "ms per image", "images/s", "speed against RGB")

BATCH = 50
VIEW, SHORTER_SIDE = 448, 512  # pixels: what the paper's models see


@dataclass(frozen=True)
class Decoder:
    """A way to decode images.

    Attributes:
        name: of the library and the way it is called.
        result: what it returns.
        ours: whether it is jpegfreq's.
        run: decodes a batch, given as the files' bytes.
    """

    name: str
    result: str
    ours: bool
    run: Callable[[list[bytes]], Any]


@dataclass(frozen=True)
class Row:
    """The times of one decoder.

    Attributes:
        name: of the decoder.
        result: what it returns.
        ours: whether it is jpegfreq's.
        seconds: CPU time per image, median over the rounds.
        speed_up: how many times faster than the fastest RGB decoder, median over the rounds; None if none is installed.
    """

    name: str
    result: str
    ours: bool
    seconds: float
    speed_up: float | None


@dataclass(frozen=True)
class Profile:
    """The times of all decoders on the same images.

    Attributes:
        rows: RGB decoders first.
        images: how many were decoded.
        size_bytes: of all of them.
        best_rgb: name of the fastest RGB decoder; None if none is installed.
        left_out: names of the files that a decoder could not read, and why.
    """

    rows: tuple[Row, ...]
    images: int
    size_bytes: int
    best_rgb: str | None
    left_out: tuple[tuple[str, str], ...]

    def to_json(self) -> str:
        """Return the profile as JSON text."""
        return json.dumps(asdict(self), indent=1)

    @property
    def verdict(self) -> str:
        """The result in a sentence."""
        rgb = next((row for row in self.rows if row.name == self.best_rgb), None)
        ours = min((row for row in self.rows if row.ours), key=lambda row: row.seconds)
        if rgb is None:
            return f"jpegfreq decodes one of these images in {1e3 * ours.seconds:.2f} ms."
        saved = 1 - ours.seconds / rgb.seconds
        hours = (rgb.seconds - ours.seconds) * 1e6 / 3600
        return (
            f"The fastest RGB decoder here, {rgb.name}, takes {1e3 * rgb.seconds:.2f} ms per image, and jpegfreq takes "
            f"{1e3 * ours.seconds:.2f} ms for {ours.result}: {saved:.0%} of the CPU time is saved, "
            f"{hours:.1f} core hours per million images."
        )


def profile_cells(profile: Profile) -> list[list[str]]:
    """Return the rows of a profile as text, under PROFILE_HEADINGS."""
    return [
        [
            row.name,
            row.result,
            f"{1e3 * row.seconds:.2f}",
            f"{1 / max(row.seconds, 1e-9):.0f}",
            "-" if row.speed_up is None else f"{row.speed_up:.2f} x",
        ]
        for row in profile.rows
    ]


def rgb_decoders() -> Iterator[Decoder]:
    """Yield the RGB decoders that are installed, each on one thread."""

    def each(name: str, decode: Callable[[bytes], Any]) -> Decoder:
        result = "uint8 BGR" if name == "OpenCV" else "uint8 RGB"
        return Decoder(name, result, False, lambda images: [decode(image) and None for image in images])

    def present(module: str) -> bool:
        return find_spec(module) is not None

    if present("PIL"):
        from PIL import Image

        yield each("Pillow", lambda data: Image.open(io.BytesIO(data)).convert("RGB").load())
    if present("cv2"):
        import cv2

        cv2.setNumThreads(1)

        def opencv(data: bytes) -> None:
            if cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is None:
                raise ValueError("cannot be decoded")

        yield each("OpenCV", opencv)
    if present("simplejpeg"):
        import simplejpeg

        def simple(data: bytes) -> None:
            simplejpeg.decode_jpeg(data, "RGB")

        yield each("simplejpeg", simple)
    if present("torchvision") and present("torch"):
        from jpegfreq.torch.pixels import decode_rgb

        def vision(data: bytes) -> None:
            decode_rgb(data)

        yield each("torchvision", vision)


def our_decoders() -> Iterator[Decoder]:
    """Yield jpegfreq's ways on one thread: coefficients one by one and in a batch, whole tensors, a model's input."""
    small = jpegfreq.TensorFormat(channels=24, layout="HWC")

    def one(images: list[bytes]) -> None:
        for image in images:
            jpegfreq.read_coefficients(image)

    def batch(images: list[bytes]) -> None:
        jpegfreq.read_coefficients_batch(images, threads=1)

    def tensors(format: jpegfreq.TensorFormat) -> Callable[[list[bytes]], None]:
        def run(images: list[bytes]) -> None:
            for image in images:
                jpegfreq.to_frequency_tensor(jpegfreq.read_coefficients(image), format)

        return run

    def model_input(images: list[bytes]) -> None:
        headers = [jpegfreq.read_header(image) for image in images]
        size = (VIEW, VIEW)
        boxes = [center_crop_box(header.height, header.width, size, shorter_side=SHORTER_SIDE) for header in headers]
        jpegfreq.read_batch(images, size=size, boxes=boxes, format=small, threads=1)

    yield Decoder("jpegfreq, one at a time", "int16 coefficients", True, one)
    yield Decoder("jpegfreq, batch", "int16 coefficients", True, batch)
    yield Decoder("jpegfreq", "float32, all 192 channels", True, tensors(jpegfreq.TensorFormat()))
    yield Decoder("jpegfreq", "float32, 24 channels", True, tensors(small))
    yield Decoder("jpegfreq, batch", f"float32, 24 channels of a {VIEW} px crop", True, model_input)


def profile(
    files: Sequence[Path], *, rounds: int = 7, progress: Callable[[Sequence[int]], Iterator[int]] | None = None
) -> Profile:
    """Time all decoders in turn on every batch of images, in several rounds.

    CPU time is measured, so that other programs disturb little; the order of the decoders rotates from round to round.
    Images that one decoder cannot read are left out for all.

    Args:
        files: JPEG files.
        rounds: how many.
        progress: wraps the rounds' numbers, to show the progress.

    Raises:
        ValueError: there is no image that every decoder can read.
    """
    decoders = [*rgb_decoders(), *our_decoders()]
    images, left_out = _readable(files, decoders)
    if not images:
        raise ValueError("none of the images can be read by every decoder")
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    seconds = [[0.0] * rounds for _ in decoders]
    turns = range(rounds)
    for turn in turns if progress is None else progress(turns):
        for part in batches:
            for n in (*range(turn % len(decoders), len(decoders)), *range(turn % len(decoders))):
                start = time.process_time()
                decoders[n].run(part)
                seconds[n][turn] += time.process_time() - start

    medians = [statistics.median(times) / len(images) for times in seconds]
    best = min((n for n, decoder in enumerate(decoders) if not decoder.ours), key=lambda n: medians[n], default=None)

    def speed_up(n: int) -> float | None:
        if best is None:
            return None
        return statistics.median(a / max(b, 1e-9) for a, b in zip(seconds[best], seconds[n], strict=True))

    rows = tuple(
        Row(decoder.name, decoder.result, decoder.ours, medians[n], speed_up(n)) for n, decoder in enumerate(decoders)
    )
    size_bytes = sum(map(len, images))
    return Profile(rows, len(images), size_bytes, None if best is None else decoders[best].name, tuple(left_out))


def _readable(files: Sequence[Path], decoders: Sequence[Decoder]) -> tuple[list[bytes], list[tuple[str, str]]]:
    """Find the images that every decoder can read; decoding each once also compiles and loads what is lazy."""
    images: list[bytes] = []
    left_out: list[tuple[str, str]] = []
    for path in files:
        try:
            data = path.read_bytes()
        except OSError as error:
            left_out.append((path.name, error.strerror or str(error)))
            continue
        for decoder in decoders:
            try:
                decoder.run([data])
            except Exception as error:  # each decoder has its own
                left_out.append((path.name, f"{decoder.name}: {error}"))
                break
        else:
            images.append(data)
    return images, left_out

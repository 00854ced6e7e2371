"""`make demo`: real photographs through jpegfreq, end to end, beside the RGB decoders that are installed.

    make demo [PHOTOS=folder]

Writes into demo/: the tensors of all photographs, and a picture of one's frequency channels.
"""

from __future__ import annotations

import argparse
import io
import shutil
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import jpegfreq
from jpegfreq.cli import main as jpegfreq_command
from jpegfreq.cli._facts import estimated_quality, subsampling
from jpegfreq.cli._options import find_inputs

DEMO = Path(__file__).resolve().parents[1] / "demo"
ROUNDS = 7
BATCH = 50
console = Console()


def main() -> int:
    """Run the demonstration; 1 where a photograph could not be read."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="folder of JPEG photographs (default: those of installed packages)")
    arguments = parser.parse_args()
    photos = arguments.photos or collect_photographs(DEMO / "photos")
    files = [item.path for item in find_inputs([str(photos)])]

    console.rule(f"1. What is in {len(files)} photographs")
    summarize(files)
    command("inspect", str(files[0]))

    console.rule("2. Each one as a frequency tensor: the paper's 24 channels, float16")
    shutil.rmtree(DEMO / "tensors", ignore_errors=True)
    options = ("--channels", "24", "--dtype", "float16")
    failed = command("decode", str(photos), "--out", str(DEMO / "tensors"), *options)
    show_tensor(DEMO / "tensors")

    console.rule("3. The 192 channels of one, as a picture")
    command("show", str(files[0]), "--out", str(DEMO / "channels.png"))

    console.rule("4. How long the same photographs take the RGB decoders here")
    compare(files)
    console.print(f"\nThe tensors and the picture are in [bold]{DEMO}[/bold].")
    return 1 if failed else 0


def command(*words: str) -> int:
    """Run a jpegfreq command as if typed."""
    console.print(f"[dim]$ jpegfreq {' '.join(words)}[/dim]", soft_wrap=True)
    return jpegfreq_command(words)


def collect_photographs(folder: Path) -> Path:
    """The photographs that scikit-image and scikit-learn ship; those that are no JPEG are encoded, q90 4:2:0."""
    from PIL import Image

    names = {
        ("skimage", "data"): "astronaut.png camera.png chelsea.png coffee.png coins.png hubble_deep_field.jpg "
        "motorcycle_left.png motorcycle_right.png retina.jpg rocket.jpg",
        ("sklearn", "datasets/images"): "china.jpg flower.jpg",
    }
    folder.mkdir(parents=True, exist_ok=True)
    for (package, inner), files in names.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            continue
        for name in files.split():
            source = Path(spec.origin).parent / inner / name
            target = folder / f"{source.stem}.jpg"
            if not source.exists() or target.exists():
                continue
            if source.suffix == ".jpg":
                shutil.copyfile(source, target)
            else:
                Image.open(source).convert("RGB").save(target, quality=90, subsampling="4:2:0")
    console.print(f"photographs that scikit-image and scikit-learn ship, in {folder} (PHOTOS=folder takes your own)")
    return folder


def summarize(files: list[Path]) -> None:
    """One table of how the photographs are coded."""
    kinds: dict[str, Counter[str]] = {"coding": Counter(), "colour": Counter(), "subsampling": Counter()}
    qualities, pixels, sizes = [], [], []
    for path in files:
        try:
            header = jpegfreq.read_header(path)
            coefficients = jpegfreq.read_coefficients(path, damage="keep")
        except jpegfreq.JpegError as error:
            console.print(f"[red]{error}")
            continue
        kinds["coding"][f"{header.process}, {header.precision} bits"] += 1
        kinds["colour"][header.color] += 1
        kinds["subsampling"][subsampling(header)] += 1
        qualities.append(estimated_quality(coefficients.quantization_tables).value)
        pixels.append(header.height * header.width / 1e6)
        sizes.append(path.stat().st_size / 1e3)
    grid = Table.grid(padding=(0, 2))
    for name, counter in kinds.items():
        grid.add_row(f"[cyan]{name}", ", ".join(f"{count} {kind}" for kind, count in counter.most_common()))
    for name, values, unit in (("size", pixels, "Mpx"), ("file", sizes, "kB"), ("quality", qualities, "")):
        if values:
            text = f"median {statistics.median(values):.3g} {unit}, {min(values):.3g} to {max(values):.3g} {unit}"
            grid.add_row(f"[cyan]{name}", text)
    console.print(grid)


def show_tensor(folder: Path) -> None:
    """Say what one stored tensor looks like to NumPy."""
    first = min(folder.rglob("*.npy"), default=None)
    if first is not None:
        tensor = np.load(first)
        total = sum(path.stat().st_size for path in folder.rglob("*.npy"))
        console.print(f"{first.name}: {tensor.dtype} {list(tensor.shape)}; all of them: {total / 1e6:.1f} MB")


@dataclass(frozen=True)
class Method:
    """One way to read all photographs, given in batches of their bytes."""

    name: str
    result: str
    ours: bool
    run: Callable[[list[bytes]], Any]


def rgb_methods() -> Iterator[Method]:
    """The RGB decoders that are installed, each on one thread."""

    def each(name: str, decode: Callable[[bytes], Any]) -> Method:
        return Method(name, "uint8 RGB", False, lambda images: [decode(image) and None for image in images])

    def present(module: str) -> bool:
        return find_spec(module) is not None

    if present("PIL"):
        from PIL import Image

        yield each("Pillow", lambda data: Image.open(io.BytesIO(data)).convert("RGB").load())
    if present("cv2"):
        import cv2

        cv2.setNumThreads(1)

        def opencv(data: bytes) -> None:
            cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)

        yield each("OpenCV", opencv)
    if present("simplejpeg"):
        import simplejpeg

        def simple(data: bytes) -> None:
            simplejpeg.decode_jpeg(data, "RGB")

        yield each("simplejpeg", simple)
    if present("torchvision") and present("torch"):
        import torch
        from torchvision.io import ImageReadMode, decode_jpeg

        torch.set_num_threads(1)

        def vision(data: bytes) -> None:
            decode_jpeg(torch.frombuffer(bytearray(data), dtype=torch.uint8), ImageReadMode.RGB)

        yield each("torchvision", vision)


def our_methods() -> Iterator[Method]:
    """Ours, on one thread: coefficients, in a batch, and whole tensors."""
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

    yield Method("jpegfreq, one at a time", "int16 coefficients", True, one)
    yield Method("jpegfreq, batch", "int16 coefficients", True, batch)
    yield Method("jpegfreq", "float32, all 192 channels", True, tensors(jpegfreq.TensorFormat()))
    yield Method("jpegfreq", "float32, 24 channels", True, tensors(small))


def readable(files: list[Path], methods: list[Method]) -> list[bytes]:
    """The photographs that every method can read."""
    images = []
    for path in files:
        data = path.read_bytes()
        try:
            for method in methods:
                method.run([data])
        except Exception as error:  # each decoder has its own
            console.print(f"left out of the timing: {path.name}: {method.name} says {error}", style="yellow")
        else:
            images.append(data)
    return images


def compare(files: list[Path]) -> None:
    """Time all methods in turn on every batch of photographs, several rounds, and print medians of the rounds."""
    methods = [*rgb_methods(), *our_methods()]
    images = readable(files, methods)
    if not images:
        return
    batches = [images[start : start + BATCH] for start in range(0, len(images), BATCH)]
    seconds = {n: [0.0] * ROUNDS for n in range(len(methods))}
    for turn in track(range(ROUNDS), f"{ROUNDS} rounds over {len(images)} photographs", console=console):
        for part in batches:
            for n in (*range(turn % len(methods), len(methods)), *range(turn % len(methods))):
                start = time.process_time()
                methods[n].run(part)
                seconds[n][turn] += time.process_time() - start

    medians = {n: statistics.median(times) for n, times in seconds.items()}
    others = [n for n, method in enumerate(methods) if not method.ours]
    best = min(others, key=lambda n: medians[n], default=None)
    table = Table(title="CPU time of one core, one thread; medians", title_justify="left")
    table.add_column("decoder")
    table.add_column("gives")
    table.add_column("ms a photograph", justify="right")
    table.add_column("photographs/s", justify="right")
    if best is not None:
        table.add_column(f"against {methods[best].name}", justify="right")
    for n, method in enumerate(methods):
        each = medians[n] / len(images)
        cells = [method.name, method.result, f"{1e3 * each:.2f}", f"{1 / each:.0f}"]
        if best is not None:
            ratio = statistics.median(a / b for a, b in zip(seconds[best], seconds[n], strict=True))
            cells.append(f"{ratio:.2f} x")
        table.add_row(*cells, style="bold green" if method.ours else None, end_section=n == len(others) - 1)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())

"""Large photographs to the input of a network, 224 x 224 px: what most people's photographs go through.

Such a photograph shrinks more than tenfold, so people let the decoder make it at an eighth of its size (simplejpeg's
`min_height`, which is fast and inexact) before they resize it. torchvision decodes it whole. jpegfreq goes from its
coefficients to those of the resized image, exactly. All methods normalize, on one thread, into an array that is reused.
"""

from __future__ import annotations

import numpy as np

import jpegfreq
from bench.bench_crops import statistics
from bench.results import Options, Result, Table
from bench.sets import Image
from bench.timing import Method, compare

TITLE = "large photographs to 224 px"
WORST = f"{TITLE}, the file that gains least against simplejpeg"
AGAINST_TORCHVISION = f"{TITLE}, against torchvision"
SCALED, TORCHVISION = "simplejpeg at an eighth of the size, RGB 224", "torchvision, RGB 224"
OURS, OURS_24 = "jpegfreq, 192 channels last, 224", "jpegfreq, 24 channels last, 224"
SIZE = (224, 224)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def run(result: Result, options: Options) -> None:
    images = options.images("L")
    if not images:
        return
    last = jpegfreq.TensorFormat(layout="HWC", statistics=statistics())
    last_24 = jpegfreq.TensorFormat(24, layout="HWC", statistics=statistics())
    methods = [_scaled(), _torchvision(images), _ours(OURS, last), _ours(OURS_24, last_24)]
    samples = result.compare(TITLE, "L", images, methods, baseline=SCALED, seconds=3 * options.seconds)
    result.add(Table(AGAINST_TORCHVISION, "L", compare(samples, TORCHVISION)))
    least: list[Table] = []
    for number, image in enumerate(images):
        header = jpegfreq.read_header(image.data)
        name = f"{header.width}x{header.height}, {header.process}"
        table = Table(TITLE, name, compare(samples, SCALED, only=[number]))
        result.add(table)
        least = sorted([*least, table], key=_gain)[:1]
    result.add(Table(WORST, "L", least[0].rows))


def _gain(table: Table) -> float:
    [ratio] = [row.ratio for row in table.rows if row.method == OURS]
    return ratio


def _ours(name: str, tensor_format: jpegfreq.TensorFormat) -> Method[Image]:
    batch = np.zeros((1, *tensor_format.shape(*SIZE)), np.float32)

    def run(image: Image) -> None:
        jpegfreq.read_batch([image.data], size=SIZE, format=tensor_format, threads=1, out=batch)

    def check(image: Image) -> str:
        run(image)
        coefficients = jpegfreq.read_coefficients(image.data)
        whole = (0, 0, coefficients.header.height, coefficients.header.width)
        same = jpegfreq.resample(coefficients, whole, SIZE, format=tensor_format)
        return "" if np.array_equal(batch[0], same) else f"{image.name} differs from its coefficients, resized"

    return Method(name, run, check, strict=True)


def _scaled() -> Method[Image]:
    import cv2
    import simplejpeg

    cv2.setNumThreads(1)
    batch = np.zeros((1, 3, *SIZE), np.float32)
    shift, scale = 255 * np.array(MEAN, np.float32), 1 / (255 * np.array(STD, np.float32))

    def run(image: Image) -> None:
        height, width = SIZE
        # The smallest of libjpeg's scales that is still as large as the result.
        pixels = simplejpeg.decode_jpeg(image.data, min_height=height, min_width=width)
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        batch[0] = ((pixels.astype(np.float32) - shift) * scale).transpose(2, 0, 1)

    return Method(SCALED, run)


def _torchvision(images: tuple[Image, ...]) -> Method[Image]:
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg
    from torchvision.transforms.v2 import functional

    torch.set_num_threads(1)
    batch = torch.zeros(1, 3, *SIZE)
    inputs = {image: torch.frombuffer(bytearray(image.data), dtype=torch.uint8) for image in images}
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))

    def run(image: Image) -> None:
        pixels = decode_jpeg(inputs[image], mode=ImageReadMode.RGB)
        pixels = functional.resize(pixels, list(SIZE), antialias=True)
        batch[0] = (pixels.float() / 255 - mean) / std

    return Method(TORCHVISION, run)

"""Coefficients to JPEG bytes, against libjpeg-turbo's jpeg_write_coefficients; whole files, against jpegtran.

Both sides use the Huffman tables that fit each image best. The opponent writes from the coefficients that
jpeg_read_coefficients left in its memory, to one buffer that is kept. Our side writes from the arrays that
`read_coefficients` returned, and makes a new bytes object for every file, which is what a user gets.
"""

from __future__ import annotations

from collections.abc import Callable

import jpegfreq
from bench import opponents
from bench.opponents import JpegTurbo, equal_planes
from bench.results import Options, Result, Value
from bench.sets import Image
from bench.timing import Method

WRITE = "coefficients to a baseline file"
WRITE_PROGRESSIVE = "coefficients to a progressive file"
TRANSCODE = "a file to a baseline file with its segments, as jpegtran -copy all -optimize"
TRANSCODE_PROGRESSIVE = "a file to a progressive file, as jpegtran -copy all -progressive"
SIZE = "size of our baseline files, over jpegtran -copy all -optimize"
SIZE_PROGRESSIVE = "size of our progressive files, over jpegtran -copy all -progressive"


def run(result: Result, options: Options) -> None:
    for name in ("A", "B", "C", "L"):
        if images := options.images(name):
            for progressive in (False, True):
                _write(result, name, images, progressive, options.seconds)
    for name in ("A", "B", "C", "P"):
        if images := options.images(name):
            for progressive in (False, True):
                _transcode(result, name, images, progressive, options.seconds)
    if images := options.images("A"):
        _sizes(result, images)


def _process(progressive: bool) -> str:
    return "progressive" if progressive else "baseline"


def _write(result: Result, name: str, images: tuple[Image, ...], progressive: bool, seconds: float) -> None:
    library = opponents.opponent()
    kept = {image: JpegTurbo(library.path) for image in images}
    for image, turbo in kept.items():
        turbo.keep(image.data)
    own = {image: jpegfreq.read_coefficients(image.data) for image in images}
    process = _process(progressive)

    def check(image: Image) -> str:
        file = jpegfreq.write_jpeg(own[image], process=process, restart_rows=0)
        return equal_planes(own[image].planes, file)

    def check_turbo(image: Image) -> str:
        file = kept[image].write(progressive, copy=True)
        return equal_planes(own[image].planes, file or b"")

    methods = [
        Method(library.name, lambda image: kept[image].write(progressive), check_turbo),
        Method(
            "jpegfreq",
            lambda image: jpegfreq.write_jpeg(own[image], process=process, restart_rows=0),
            check,
            strict=True,
        ),
    ]
    title = WRITE_PROGRESSIVE if progressive else WRITE
    result.compare(title, name, images, methods, baseline=library.name, seconds=seconds)
    for turbo in kept.values():
        turbo.close()


def _transcoder(progressive: bool) -> Callable[[Image], bytes]:
    process = _process(progressive)

    def transcode(image: Image) -> bytes:
        coefficients = jpegfreq.read_coefficients(image.data, segments=True)
        return jpegfreq.write_jpeg(coefficients, process=process, restart_rows=0)

    return transcode


def _transcode(result: Result, name: str, images: tuple[Image, ...], progressive: bool, seconds: float) -> None:
    turbo = opponents.opponent()
    own = _transcoder(progressive)

    def check(image: Image) -> str:
        return equal_planes(jpegfreq.read_coefficients(own(image)).planes, image.data)

    methods = [
        Method(turbo.name, lambda image: turbo.transcode(image.data, progressive)),
        Method("jpegfreq", own, check, strict=True),
    ]
    title = TRANSCODE_PROGRESSIVE if progressive else TRANSCODE
    result.compare(title, name, images, methods, baseline=turbo.name, seconds=seconds)


def _sizes(result: Result, images: tuple[Image, ...]) -> None:
    turbo = opponents.opponent()
    for progressive in (False, True):
        own = _transcoder(progressive)
        ours = theirs = 0
        ratios = []
        for image in images:
            size, other = len(own(image)), len(turbo.transcode(image.data, progressive, copy=True) or b"")
            ours += size
            theirs += other
            ratios.append(size / other)
        title = SIZE_PROGRESSIVE if progressive else SIZE
        note = "of all photographs together; smallest and largest of them"
        result.value(Value(title, ours / theirs, min(ratios), max(ratios), "times", note))

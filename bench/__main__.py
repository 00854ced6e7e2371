"""`python -m bench` runs the stages and writes bench/results/ and the tables in bench/README.md."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from bench import machine, report, results, sets

STAGES = {
    "coefficients": "bytes to coefficients, against libjpeg-turbo, jpeg2dct and jpeglib; header, import",
    "generic": "the same as machines without AVX2 and BMI2 do it, such as ARM, against libjpeg-turbo with its SIMD",
    "large": "coefficients of large photographs, with fresh memory for every image",
    "write": "coefficients and whole files to JPEG bytes, against libjpeg-turbo and jpegtran",
    "shrink": "large photographs to 224 px, against simplejpeg's scaled decode and torchvision",
    "rgb": "RGB decoders on the same bytes: simplejpeg, PyTurboJPEG, OpenCV, Pillow, torchvision",
    "tensor": "bytes to the float32 frequency tensor, against libjpeg-turbo's RGB decode",
    "crops": "bytes to a batch of random-resized crops, against torchvision and OpenCV",
    "before": "coefficients and crops, against an earlier commit of jpegfreq (BEFORE=73d9f24)",
    "store": "files to stored tensors, against read_batch alone; reading one; the loader on two threads",
    "training": "the whole training loop: RGB, frequencies, and torchvision's own input",
    "storage": "whole images' coefficients in standard containers, against decoding the JPEG again",
    "memory": "peak memory beyond input and coefficients",
}


def _parser() -> argparse.ArgumentParser:
    stages = "\n".join(f"  {name:13} {text}" for name, text in STAGES.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench",
        description="Measure jpegfreq against other programs that read the same bytes.\n"
        "Both sides take turns on every image. Results are ratios of times (2 = half the time): medians over rounds\n"
        "with the 10th and 90th percentile. bench/README.md explains the method and has the latest tables.",
        epilog=f"stages:\n{stages}\n\nsets:\n{report.describe_sets()}\n\n"
        "examples:\n"
        "  python -m bench --quick                             a first look, in a few minutes\n"
        "  python -m bench --stages coefficients --sets A,B    only these, in a few minutes\n"
        "  PHOTOS=~/Pictures python -m bench --sets A          on your own photographs\n\n"
        "Complete stages write bench/results/ and the tables in bench/README.md;\n"
        "--quick, --sets and BEFORE only print.\n"
        "Do not use the machine while it measures: disturbed rounds are set aside, but they are not repeated.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stages", default=",".join(STAGES), help="stages, separated by commas (default: all)")
    parser.add_argument("--sets", default=",".join(sets.NAMES), help="sets, separated by commas (default: all)")
    parser.add_argument("--quick", action="store_true", help="use fewer images and rounds")
    parser.add_argument("--one-stage", action="store_true", help=argparse.SUPPRESS)
    return parser


def _chosen(text: str, known: tuple[str, ...], what: str) -> tuple[str, ...]:
    chosen = tuple(name for name in text.split(",") if name)
    unknown = [name for name in chosen if name not in known]
    if unknown or not chosen:
        raise SystemExit(f"--{what}s: {', '.join(unknown) or 'nothing'} is unknown; choose from {', '.join(known)}")
    return chosen


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    stages = _chosen(options.stages, tuple(STAGES), "stage")
    chosen_sets = _chosen(options.sets, sets.NAMES, "set")
    if options.one_stage:
        return _run(stages[0], results.Options(chosen_sets, 3 if options.quick else 15, options.quick), arguments)
    print(json.dumps(machine.describe(), indent=1), flush=True)
    failed = []
    for stage in stages:  # each in a fresh process, so that no stage depends on what another imported
        command = [sys.executable, "-m", "bench", "--stages", stage, "--sets", options.sets, "--one-stage"]
        if subprocess.run(command + ["--quick"] * options.quick, cwd=Path(__file__).resolve().parents[1]).returncode:
            failed.append(stage)
    if _complete(results.Options(chosen_sets, quick=options.quick)):
        report.write()
        print(f"\nwritten: {report.README}")
    else:
        print(f"\nThis was no complete measurement: {report.README} is unchanged; the results are in {results.LOOKS}")
    for stage in failed:
        print(f"stage {stage} failed; see above", file=sys.stderr)
    return 1 if failed else 0


def _complete(options: results.Options) -> bool:
    """Tell whether all sets are measured in full, as the figures want it; only then the results are kept and shown."""
    return not options.quick and set(options.sets) == set(sets.NAMES) and "BEFORE" not in os.environ


def _run(stage: str, options: results.Options, arguments: list[str]) -> int:
    shown = [argument for argument in arguments if argument != "--one-stage"]
    result = results.Result(stage, shlex.join(["python", "-m", "bench", *shown]), machine.describe())
    print(f"\n{stage}: {STAGES[stage]}", flush=True)
    importlib.import_module(f"bench.bench_{stage}").run(result, options)
    result.save(results.FOLDER if _complete(options) else results.LOOKS)
    return 0


if __name__ == "__main__":
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    sys.exit(main(sys.argv[1:]))

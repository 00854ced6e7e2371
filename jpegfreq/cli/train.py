"""`jpegfreq train`: an RGB baseline, a static frequency network, or a gated one."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from jpegfreq.models.training.inputs import Inputs
    from jpegfreq.models.training.recipe import TrainConfig
    from jpegfreq.models.training.train import Epoch

SUMMARY = "train a network on frequency tensors, with a gate or without, or on RGB"
DESCRIPTION = """\
Train a network on JPEG files, with no pixel decode. DATA and VALIDATION are folders with a folder a
class, .txt lists of "path label" lines, folders of WebDataset .tar shards, or stores that
`jpegfreq convert` wrote; both of one kind, with the same classes.

Everything is checked before the first step: classes, sizes, formats, the folder of the run. The same
command again goes on with a run that was stopped, to the same weights (on a CPU). OUT holds last/ and
best/ (for `jpegfreq predict`, `heatmap`, `select`, `compare`; with --target-channels the best of the
epochs that keep about so many channels on), log.csv (epochs from 0), tensorboard/, the statistics where they were
measured, and gate.json: of each epoch and channel how often it was on and the mean of
p(on), over the training images (drawn) and over the validation images (p(on) > 1/2).

examples:
  jpegfreq train photos/train photos/val --out runs/dct24 --channels 24 --size 224
  jpegfreq train photos/train photos/val --out runs/rgb --rgb --size 112           the baseline
  jpegfreq train photos/train photos/val --out runs/gated --gate --target-channels 24
  jpegfreq heatmap runs/gated photos/val --out heat.json; jpegfreq select heat.json -k 24 --out best.json
  jpegfreq train photos/train photos/val --out runs/best --channels best.json      the gate's choice, fixed
  jpegfreq train photos/train photos/val --out runs/fine --weights resnet18.pth --learning-rate 0.02
  torchrun --nproc-per-node 2 -m jpegfreq train ...                                two processes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments; what is not given comes from the recipe."""
    from jpegfreq.models.networks.registry import architectures

    parser.add_argument("data", metavar="DATA", help="training images")
    parser.add_argument("validation", metavar="VALIDATION", help="validation images")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="the run's folder")
    model = parser.add_argument_group("what is trained")
    model.add_argument(
        "--architecture", default="resnet18", metavar="NAME",
        help=f"{', '.join(architectures())} (default: resnet18)",
    )  # fmt: skip
    model.add_argument("--rgb", action="store_true", help="the same network on RGB pixels: the baseline")
    model.add_argument(
        "--channels", metavar="CHANNELS",
        help='"all"; a preset (6, 24, 32, 48, 64); "zigzag:14,5,5", the lowest frequencies of Y, Cb, Cr; numbers; '
        "or a selection's JSON file (default: all)",
    )  # fmt: skip
    model.add_argument(
        "--statistics", metavar="FILE", help="of `jpegfreq stats` or an earlier run (default: measured on DATA)"
    )
    model.add_argument(
        "--size", type=int, metavar="PIXELS",
        help="side of the input before the block DCT; --rgb at 224 does the work of 448 (default: a store's, or 448)",
    )  # fmt: skip
    model.add_argument("--shorter-side", type=int, metavar="PIXELS", help="for validation (default: 8/7 of the size)")
    model.add_argument(
        "--stride", default="paper",
        help='"paper" keeps the strides after the stem; "full" turns the first stride-2 stage into stride 1, which '
        "doubles the grid of every later stage (default: paper; use full for mobilenet_v2 below 896 px)",
    )  # fmt: skip
    model.add_argument(
        "--weights",
        metavar="PATH",
        help="start from another run or checkpoint, or from a file of torchvision's weights for RGB; of other "
        "channels or RGB all but the layers that see the input is taken (default: new weights)",
    )  # fmt: skip
    gate = parser.add_argument_group("the gate")
    gate.add_argument("--gate", action="store_true", help="let a gate choose channels, image by image")
    gate.add_argument(
        "--target-channels",
        type=float,
        metavar="N",
        help="steer lambda so that N channels are on by argmax, on average",
    )
    gate.add_argument("--gate-weight", type=float, metavar="LAMBDA", help="lambda, a channel that is on (default: 0.1)")
    gate.add_argument(
        "--gate-learning-rate", type=float, metavar="RATE",
        help="as --learning-rate (default: paper 0.1; modern 6, 30 times the network's, for short trainings)",
    )  # fmt: skip
    gate.add_argument("--temperature", type=float, help="of the Gumbel-softmax at first (default: 1)")
    gate.add_argument("--final-temperature", type=float, help="and at last (default: 1)")
    recipe = parser.add_argument_group("the recipe")
    recipe.add_argument(
        "--recipe", choices=("paper", "modern"), default="modern",
        help="paper: SGD, 90 epochs, a tenth every 30; modern: 30 epochs, warm-up and cosine, label smoothing, "
        "averaged weights (default: modern)",
    )  # fmt: skip
    recipe.add_argument("--epochs", type=int, metavar="N")
    recipe.add_argument("--batch-size", type=int, metavar="N", help="of all processes together (default: 64)")
    recipe.add_argument("--learning-rate", type=float, metavar="RATE", help="for 256 images a step; scaled linearly")
    recipe.add_argument("--weight-decay", type=float, metavar="DECAY")
    recipe.add_argument("--label-smoothing", type=float, metavar="SHARE")
    recipe.add_argument("--mixup", type=float, metavar="ALPHA", help="mix images by Beta(ALPHA, ALPHA)")
    recipe.add_argument("--average-decay", type=float, metavar="DECAY", help="of the averaged weights; 0 for none")
    recipe.add_argument("--amp", action="store_true", help="bfloat16 where that is safe")
    recipe.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--device", default="cpu", help='"cpu", "cuda", ... (default: cpu)')
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="native threads that read (default: 1)")


_GIVEN = (
    "epochs", "batch_size", "learning_rate", "weight_decay", "label_smoothing", "mixup", "average_decay",
    "gate_weight", "gate_learning_rate", "temperature", "final_temperature", "target_channels", "shorter_side",
    "weights",
)  # fmt: skip
_OF_A_GATE = ("target_channels", "gate_weight", "gate_learning_rate", "temperature", "final_temperature")


def run(arguments: argparse.Namespace) -> int:
    """Train; errors in the data or the options end it before the first step."""
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import _selection, _statistics
    from jpegfreq.cli._progress import lines_console
    from jpegfreq.format import TensorFormat

    try:
        from jpegfreq.models.training.recipe import TrainConfig, preset
        from jpegfreq.models.training.target import missed_by
        from jpegfreq.models.training.train import best_epoch, train
    except ImportError as error:
        raise CommandError(f'training needs PyTorch: pip install "jpegfreq[train]" ({error})') from error
    given = {name: getattr(arguments, name) for name in _GIVEN if getattr(arguments, name) is not None}
    _check_options(arguments, given)
    console = lines_console(quiet=os.environ.get("RANK", "0") != "0")  # torchrun's first process alone speaks
    try:
        form = None
        if not arguments.rgb:
            form = TensorFormat(
                _selection(arguments.channels or "all"), layout="HWC", statistics=_statistics(arguments.statistics)
            )
        config = TrainConfig(
            arguments.data,
            arguments.validation,
            str(arguments.out),
            architecture=arguments.architecture,
            format=form,
            size=_size(arguments.data, arguments.size),
            stride=arguments.stride,
            gated=arguments.gate,
            amp=arguments.amp,
            seed=arguments.seed,
            device=arguments.device,
            threads=arguments.threads,
        )
        config = replace(preset(arguments.recipe, config), **given)
        with _Bars(console) as bars:
            result = train(config, observer=bars)
    except KeyError as error:
        raise CommandError(f"{arguments.data}/manifest.json has no {error}") from error
    except (ValueError, OSError, ImportError) as error:
        raise CommandError(str(error)) from error
    best, last = best_epoch(result.epochs, config.target_channels), result.epochs[-1]
    console.print(
        f"{result.folder}: best top-1 {best.top1:.4f}, of epoch {best.epoch + 1}, last {last.top1:.4f}; "
        f"{result.folder}/best and last hold the networks",
    )
    if config.target_channels is not None and missed_by(last.channels_on, config.target_channels):
        console.print(
            f"warning: the gate was to keep {config.target_channels:g} channels on, and keeps {last.channels_on:.1f}: "
            "train longer, or try another --gate-learning-rate",
            style="yellow",
        )
    return 0


def _check_options(arguments: argparse.Namespace, given: dict[str, Any]) -> None:
    """Refuse options that nothing would use.

    Raises:
        CommandError: there is one.
    """
    from jpegfreq.cli import CommandError

    idle = [name for name in _OF_A_GATE if name in given and not arguments.gate]
    if idle:
        raise CommandError(f"--{idle[0].replace('_', '-')} is an option of the gate: add --gate")
    if "gate_weight" in given and "target_channels" in given:
        raise CommandError("--target-channels steers lambda, and --gate-weight fixes it: choose one")
    for name in ("channels", "statistics"):
        if arguments.rgb and getattr(arguments, name) is not None:
            raise CommandError(f"--{name} is of frequencies, and --rgb trains on pixels: choose one")


def _size(data: str, size: int | None) -> int:
    """The input's side: as asked for, a store's own, or 448.

    Raises:
        CommandError: another size than the store's is asked for.
    """
    from jpegfreq.cli import CommandError

    manifest = Path(data) / "manifest.json"
    if not manifest.exists():
        return 448 if size is None else size
    stored = int(json.loads(manifest.read_text(encoding="utf-8"))["size"])
    if size not in (None, stored):
        raise CommandError(f"{data} holds tensors of {stored} px, and {size} px were asked for: convert again")
    return stored


class _Bars:
    """The run and its epoch as bars, and a line an epoch."""

    def __init__(self, console: Console) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns: Any = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[now]}"),
            TimeRemainingColumn(),
        )  # fmt: skip
        self.progress: Progress = Progress(*columns, console=console, disable=console.quiet)
        self.whole: TaskID | None = None
        self.part: TaskID | None = None

    def __enter__(self) -> _Bars:
        self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.progress.stop()

    def note(self, text: str) -> None:
        """A line above the bars."""
        self.progress.console.print(text)

    def begin(self, config: TrainConfig, inputs: Inputs, first_epoch: int) -> None:
        """Say what is trained, and on what."""
        what = "RGB" if inputs.format is None else f"{len(inputs.format.selection)} channels"
        gate = "" if not config.gated else ", gated"
        self.progress.console.print(
            f"{config.architecture} on {what}{gate}: {len(inputs.training.dataset)} images of {len(inputs.classes)} "
            f"classes, {len(inputs.validation.dataset)} to validate"
            + (f"; going on after epoch {first_epoch}" if 0 < first_epoch < config.epochs else "")
            + ("; this run is complete" if first_epoch == config.epochs else ""),
        )
        if inputs.seconds_measuring:
            self.progress.console.print(
                f"statistics measured in {inputs.seconds_measuring:.1f} s; --statistics {config.out}/statistics.json "
                "saves other runs on these images the time",
            )
        self.whole = self.progress.add_task("epochs", total=config.epochs, completed=first_epoch, now="")
        self.part = self.progress.add_task("steps", total=len(inputs.training), now="")

    def step(self, epoch: int, step: int, steps: int, loss: float, images: int) -> None:
        """One step on."""
        assert self.part is not None
        self.progress.update(self.part, completed=step + 1, total=steps, now=f"loss {loss:.3f}")

    def end_epoch(self, epoch: Epoch) -> None:
        """The epoch's line."""
        assert self.whole is not None
        on = f"  {epoch.channels_on:5.1f} channels on" if epoch.channels_on == epoch.channels_on else ""
        out = f"  {epoch.left_out} left out" if epoch.left_out else ""
        share = epoch.seconds_waiting / max(epoch.seconds_waiting + epoch.seconds_computing, 1e-9)
        self.progress.console.print(
            f"epoch {epoch.epoch + 1:3}  loss {epoch.loss:6.3f}  top-1 {epoch.top1:.4f}  top-5 {epoch.top5:.4f}{on}  "
            f"{epoch.images_per_second:.1f} images/s, {share:.1%} waiting{out}",
        )
        self.progress.update(self.whole, completed=epoch.epoch + 1)

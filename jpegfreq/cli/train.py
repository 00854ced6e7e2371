"""`jpegfreq train`: an RGB baseline, a static frequency network, or a gated one."""

from __future__ import annotations

import argparse
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpegfreq._files import read_text
from jpegfreq._json import parse_json
from jpegfreq.cli._models import add_code_argument
from jpegfreq.cli._options import add_any_statistics
from jpegfreq.cli._training import CHANNELS_HELP, WEIGHTS_HELP, RunBars, add_run_arguments

if TYPE_CHECKING:
    from jpegfreq.format import TensorFormat
    from jpegfreq.models.checkpoint import ModelConfig
    from jpegfreq.models.training.train import Epoch
    from jpegfreq.views import EvaluationView

SUMMARY = "train a classifier on frequency tensors, with or without a gate, or on RGB"
DESCRIPTION = """\
Train a classifier on JPEG files without decoding pixels. DATA and VALIDATION are both of the
same kind and have the same classes: folders with a folder per class, .txt lists of
"path label" lines, folders of WebDataset .tar shards, or stores that `jpegfreq convert` wrote.

Everything is checked before the first step: classes, sizes, formats, and the run's folder.
The same command resumes a run that was stopped, and on a CPU it reaches the same weights as
without the stop. If the images have changed since, it refuses and says what has changed.

FOLDER then holds
  best/, last/      checkpoints for `jpegfreq predict`, `heatmap`, `select` and `compare`; with
                    --target-channels, best/ is the best epoch near the target
  log.csv           one line per epoch, counted from 1; tensorboard/ has the same values
  gate.json         for each epoch and channel, how often the gate turned it on
  statistics.json   if the statistics were measured

examples:
  jpegfreq train photos/train photos/val --out runs/dct24 --channels 24 --size 224
  jpegfreq train photos/train photos/val --out runs/rgb --rgb --size 112           # the baseline
  jpegfreq train photos/train photos/val --out runs/gated --gate --target-channels 24
  jpegfreq heatmap runs/gated photos/val --out heat.json
  jpegfreq select heat.json -k 24 --out best.json
  jpegfreq train photos/train photos/val --out runs/best --channels best.json      # the gate's choice, fixed
  jpegfreq train photos/train photos/val --out runs/fine --weights resnet18.pth --learning-rate 0.02
  jpegfreq from-rgb --network torchvision:resnet18 --weights resnet18.pth --out model/
  jpegfreq train photos/train photos/val --out runs/tuned --weights model/ --learning-rate 0.02 --epochs 5
  jpegfreq train photos/train photos/val --out runs/vit --architecture vit_s_16 --optimizer adamw
  jpegfreq train photos/train photos/val --out runs/dct24 --channels 24 --size 224 --epochs 60 --extend
  jpegfreq plot runs/dct24 --out dct24.html                                        # its curves
  torchrun --nproc-per-node 2 -m jpegfreq train ...                                # two processes
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments. Those without a value take it from the recipe."""
    from jpegfreq.models.networks.registry import architectures_help

    parser.add_argument("data", metavar="DATA", help="training images")
    parser.add_argument("validation", metavar="VALIDATION", help="validation images")
    parser.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="the run's folder")
    model = parser.add_argument_group("the network and its input")
    model.add_argument(
        "--architecture", metavar="NAME",
        help=f"{architectures_help()} (default: resnet18, or the network of --weights)",
    )  # fmt: skip
    model.add_argument("--rgb", action="store_true", help="train the same network on RGB pixels: the baseline")
    model.add_argument("--channels", metavar="CHANNELS", help=CHANNELS_HELP)
    model.add_argument(
        "--statistics", metavar="FILE",
        help="mean and std of each channel, from `jpegfreq stats` or an earlier run (default: measured on DATA)",
    )  # fmt: skip
    add_any_statistics(model)
    model.add_argument(
        "--size", type=int, metavar="PIXELS",
        help="height and width of the input before the block DCT; --rgb at 224 costs about as much as frequencies at "
        "448 (default: 448, or 224 for networks with patches or pixels; or the store's)",
    )  # fmt: skip
    model.add_argument(
        "--shorter-side", type=int, metavar="PIXELS",
        help="what a validation image's shorter side is resized to before the centre crop (default: 8/7 of the size)",
    )  # fmt: skip
    model.add_argument(
        "--stride", default="paper",
        help='"paper" keeps the strides after the stem; "full" doubles the grid of every stage after the first, and of '
        "every stage of ConvNeXt and Swin (default: paper; use full for mobilenet_v2 below 896 px, and for ConvNeXt "
        "and Swin below 448)",
    )  # fmt: skip
    model.add_argument(
        "--weights", metavar="PATH",
        help=f"{WEIGHTS_HELP}. A network of `jpegfreq from-rgb` is trained further at its own size and on its own "
        "channels; with other --channels or --rgb it is adapted anew",
    )  # fmt: skip
    model.add_argument(
        "--free-front",
        action="store_true",
        help="train the layer too that turns frequencies into pixels for a network of `jpegfreq from-rgb`, which stays "
        "fixed otherwise",
    )
    add_code_argument(model)
    gate = parser.add_argument_group("the gate")
    gate.add_argument("--gate", action="store_true", help="let a gate choose the channels of each image")
    gate.add_argument(
        "--target-channels", type=float, metavar="N",
        help="steer the price of a channel until N channels are on, on average (default: a fixed price)",
    )  # fmt: skip
    gate.add_argument(
        "--gate-weight",
        type=float,
        metavar="LAMBDA",
        help="the price in the loss of a channel that is on (default: 0.1)",
    )
    gate.add_argument(
        "--gate-learning-rate", type=float, metavar="RATE",
        help="for 256 images per step, as --learning-rate (default: paper 0.1; modern 6, which is 30 times the "
        "network's, for short trainings)",
    )  # fmt: skip
    gate.add_argument(
        "--temperature", type=float, metavar="T", help="of the Gumbel-softmax in the first epoch (default: 1)"
    )
    gate.add_argument("--final-temperature", type=float, metavar="T", help="in the last epoch (default: 1)")
    recipe = parser.add_argument_group("the recipe")
    recipe.add_argument(
        "--recipe", choices=("paper", "modern"), default="modern",
        help="paper: 90 epochs, the rate divided by 10 every 30; modern: 30 epochs, warm-up and cosine, label "
        "smoothing, averaged weights (default: modern)",
    )  # fmt: skip
    recipe.add_argument(
        "--optimizer", choices=("sgd", "adamw"), default="sgd",
        help="adamw, with its own learning rate and weight decay, suits vision transformers, Swin and ConvNeXt; a gate "
        "is trained with SGD in either case (default: sgd)",
    )  # fmt: skip
    recipe.add_argument("--epochs", type=int, metavar="N", help="passes over DATA (default: paper 90; modern 30)")
    recipe.add_argument(
        "--batch-size", type=int, metavar="N", help="images per step, in all processes together (default: 64)"
    )
    recipe.add_argument(
        "--learning-rate", type=float, metavar="RATE",
        help="for 256 images per step; it is multiplied by batch size / 256 (default: paper 0.1; modern 0.2; adamw "
        "0.0005)",
    )  # fmt: skip
    recipe.add_argument(
        "--weight-decay", type=float, metavar="DECAY",
        help="SGD adds this share of a weight to its gradient; AdamW takes this share, times the learning rate, off "
        "the weight (default: paper 4e-5; modern 5e-5; adamw 0.05)",
    )  # fmt: skip
    recipe.add_argument(
        "--label-smoothing", type=float, metavar="SHARE",
        help="share of each label spread over all classes (default: paper 0; modern 0.1)",
    )  # fmt: skip
    recipe.add_argument(
        "--mixup",
        type=float,
        metavar="ALPHA",
        help="mix images by shares from Beta(ALPHA, ALPHA) (default: 0, no mixing)",
    )
    recipe.add_argument(
        "--average-decay", type=float, metavar="DECAY",
        help="of the averaged weights, which are validated and saved; 0 for none (default: paper 0; modern 0.99)",
    )  # fmt: skip
    recipe.add_argument("--amp", action="store_true", help="run the network in bfloat16 where that is safe")
    recipe.add_argument("--seed", type=int, default=0, metavar="N", help="default: 0")
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="native threads that read files (default: 1)"
    )
    add_run_arguments(parser)


_GIVEN = (
    "epochs", "batch_size", "learning_rate", "weight_decay", "label_smoothing", "mixup", "average_decay",
    "gate_weight", "gate_learning_rate", "temperature", "final_temperature", "target_channels", "shorter_side",
    "checkpoint_every",
)  # fmt: skip
_GATE_OPTIONS = ("target_channels", "gate_weight", "gate_learning_rate", "temperature", "final_temperature")


def run(arguments: argparse.Namespace) -> int:
    """Train; an error in the data or the options ends the command before the first step."""
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import check_statistics
    from jpegfreq.cli._progress import message_console
    from jpegfreq.models.training.recipe import ADAMW, TrainConfig, preset
    from jpegfreq.models.training.steering import missed_by
    from jpegfreq.models.training.train import best_epoch, train

    given = {name: getattr(arguments, name) for name in _GIVEN if getattr(arguments, name) is not None}
    _check_options(arguments, given)
    console = message_console(quiet=os.environ.get("RANK", "0") != "0")  # only torchrun's first process prints
    try:
        adapted = _adapted(arguments)
        architecture = adapted.architecture if adapted else arguments.architecture or "resnet18"
        form = None
        if not arguments.rgb:
            form = _format(arguments, adapted)
        config = TrainConfig(
            arguments.data,
            arguments.validation,
            str(arguments.out),
            architecture=architecture,
            format=form,
            size=_size(arguments.data, arguments.size if adapted is None else adapted.size[0], architecture),
            stride=arguments.stride,
            source=None if adapted is None else adapted.source,
            weights=arguments.weights,
            free_front=arguments.free_front,
            run_code=arguments.run_code,
            gated=arguments.gate,
            amp=arguments.amp,
            seed=arguments.seed,
            device=arguments.device,
            threads=arguments.threads,
            compute_threads=arguments.compute_threads,
        )
        if adapted is not None:
            given.setdefault("shorter_side", adapted.shorter_side)
            given["filter"] = adapted.filter
        values = {**ADAMW, **given} if arguments.optimizer == "adamw" else given
        config = replace(preset(arguments.recipe, config), **values)
        if not arguments.any_statistics:
            stored = _stored_view(arguments.data)
            check_statistics(arguments.statistics, config.validation_view if stored is None else stored)
        with RunBars(console, _line) as bars:
            result = train(config, observer=bars, extend=arguments.extend)
    except (ValueError, ImportError) as error:
        raise CommandError(str(error)) from error
    best, last = best_epoch(result.epochs, config.target_channels), result.epochs[-1]
    console.print(
        f"validation accuracy: best {best.top1:.1%} in epoch {best.epoch}, last {last.top1:.1%}; the networks are in "
        f"{result.folder / 'best'} and {result.folder / 'last'}; `jpegfreq plot` draws the run"
    )
    if config.target_channels is not None and missed_by(last.channels_on, config.target_channels):
        console.print(
            f"warning: --target-channels is {config.target_channels:g}, but {last.channels_on:.1f} channels are on: "
            "train longer, or try another --gate-learning-rate",
            style="yellow",
        )
    return 0


def _adapted(arguments: argparse.Namespace) -> ModelConfig | None:
    """Return the config of the adapted RGB network that --weights names; None for all other weights.

    Raises:
        CommandError: an option does not fit it, or its folder is damaged.
    """
    from jpegfreq.cli import CommandError
    from jpegfreq.models.checkpoint import checkpoint_in, read_config

    if arguments.weights is None or not Path(arguments.weights).is_dir():
        config = None
    else:
        config = read_config(checkpoint_in(arguments.weights))
    if config is None or config.source is None:
        for name in ("free_front", "run_code"):
            if getattr(arguments, name):
                raise CommandError(
                    f"--{name.replace('_', '-')} would have no effect: it is for --weights of `jpegfreq from-rgb`"
                )
        return None
    if arguments.architecture not in (None, config.architecture):
        raise CommandError(f"--architecture is {arguments.architecture}, but {arguments.weights} is a {config}")
    height, width = config.size
    if height != width:
        raise CommandError(
            f"{arguments.weights} takes images of height {height} x width {width}, but `jpegfreq train` only trains on "
            "square ones"
        )
    if arguments.size not in (None, height):
        raise CommandError(
            f"--size is {arguments.size}, but {arguments.weights} takes images of {height} x {height} pixels: make one "
            f"for your size with `jpegfreq from-rgb --size {arguments.size}`"
        )
    return config


def _format(arguments: argparse.Namespace, adapted: ModelConfig | None) -> TensorFormat:
    """Return the format of the input: the adapted network's own, but for the options that were given."""
    from jpegfreq.cli._options import _selection, _statistics
    from jpegfreq.format import TensorFormat

    if adapted is None or adapted.format is None:
        return TensorFormat(
            _selection(arguments.channels or "all"), layout="HWC", statistics=_statistics(arguments.statistics)
        )
    own = replace(adapted.format, layout="HWC")
    if arguments.channels is not None:
        own = replace(own, channels=_selection(arguments.channels))
    if arguments.statistics is not None:
        own = replace(own, statistics=_statistics(arguments.statistics))
    return own


def _check_options(arguments: argparse.Namespace, given: dict[str, Any]) -> None:
    """Refuse options that would have no effect.

    Raises:
        CommandError: there is one.
    """
    from jpegfreq.cli import CommandError

    idle = [name for name in _GATE_OPTIONS if name in given and not arguments.gate]
    if idle:
        raise CommandError(f"--{idle[0].replace('_', '-')} is an option of the gate: add --gate")
    if "gate_weight" in given and "target_channels" in given:
        raise CommandError("--target-channels steers the price that --gate-weight fixes: choose one")
    for name in ("channels", "statistics"):
        if arguments.rgb and getattr(arguments, name) is not None:
            raise CommandError(f"--{name} is for frequencies, but --rgb trains on pixels: choose one")


def _size(data: str, size: int | None, architecture: str) -> int:
    """Return the input's height and width: as asked for, the store's, or the architecture's usual one.

    Raises:
        CommandError: the store has another size, or its manifest is damaged.
    """
    from jpegfreq.cli import CommandError
    from jpegfreq.models.networks.registry import ARCHITECTURES

    view = _stored_view(data)
    stored = size if view is None else view.size[0]
    if size not in (None, stored):
        raise CommandError(f"{data} holds tensors of {stored} px, but --size is {size}: convert the images again")
    if stored is None and architecture in ARCHITECTURES:
        return ARCHITECTURES[architecture].size
    return 448 if stored is None else stored  # an unknown architecture is refused later


def _stored_view(data: str) -> EvaluationView | None:
    """Return the view of a store's tensors; None for other training data.

    Raises:
        CommandError: the store's manifest is damaged.
    """
    from jpegfreq.cli import CommandError
    from jpegfreq.views import EvaluationView

    manifest = Path(data) / "manifest.json"
    if not manifest.exists():
        return None
    try:
        facts = parse_json(read_text(manifest))
        return EvaluationView.from_dict({name: facts[name] for name in EvaluationView.field_names()})
    except (ValueError, KeyError, TypeError) as error:
        raise CommandError(f"{manifest} is not the manifest of a store: {error!r}") from error


def _line(epoch: Epoch) -> str:
    """Return the text of an epoch."""
    on = "" if math.isnan(epoch.channels_on) else f"  {epoch.channels_on:5.1f} channels on"
    out = f"  {epoch.left_out} left out" if epoch.left_out else ""
    waiting = epoch.seconds_waiting / max(epoch.seconds_waiting + epoch.seconds_computing, 1e-9)
    training = "  accuracy:" if math.isnan(epoch.accuracy) else f"  accuracy:  training {epoch.accuracy:.1%}"
    top5 = "" if math.isnan(epoch.top5) else f"  top-5 {epoch.top5:.1%}"
    return (
        f"epoch {epoch.epoch:3}  loss {epoch.loss:6.3f}{training}  validation {epoch.top1:.1%}{top5}{on}  "
        f"{epoch.images_per_second:.1f} images/s, {waiting:.1%} waiting for input{out}"
    )

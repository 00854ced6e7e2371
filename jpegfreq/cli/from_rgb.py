"""`jpegfreq from-rgb`: let a trained RGB network take frequency tensors."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jpegfreq._files import printable, read_text, reason_of
from jpegfreq._words import counted

if TYPE_CHECKING:
    from jpegfreq.models.frontend import EvaluationFilter, FrequencyNetwork

SUMMARY = "let a trained RGB network take frequency tensors"
DESCRIPTION = """\
Make a checkpoint of a network that was trained on RGB images, so that it takes frequency
tensors. Its answers stay the same, and nothing is retrained: the way from frequencies to
normalized pixels is one fixed linear layer in front of the network, or is folded into its
first convolution. With fewer than 192 channels, the missing ones stand at their mean.

NETWORK says where the network comes from:
  torchvision:NAME    a classifier of torchvision, such as torchvision:resnet50
  timm:NAME           a network of timm, such as timm:vit_base_patch16_224
  FILE.py:FUNCTION    your own: FUNCTION() returns a torch.nn.Module that takes
                      [N, 3, height, width] and gives [N, classes]

The preprocessing of torchvision's and timm's networks (size, mean, std, resize) is known.
For your own network, give --size, --mean and --std. Its file is executed, now and whenever
the checkpoint is loaded, so every command then needs --run-code, and the file must stay
where it is. Without a checkpoint: in Python, `jpegfreq.models.from_rgb` adapts any network,
and `torch.export.save` keeps the result.

FOLDER becomes a checkpoint like that of `jpegfreq train`, for `predict`, `compare`,
`heatmap`, `select` and `train --weights FOLDER`; it holds the weights.

examples:
  jpegfreq from-rgb --network torchvision:resnet50 --weights resnet50-11ad3fa6.pth --out model/
  jpegfreq from-rgb --network timm:vit_tiny_patch16_224 --weights vit.safetensors --channels 48 --out model/
  jpegfreq from-rgb --network torchvision:resnet18 --weights own.pth --classes names.txt --out model/
  jpegfreq from-rgb --network nets.py:make --run-code --weights own.pth --size 224 \\
      --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5 --out model/
  jpegfreq predict model/ photo.jpg
  jpegfreq compare model/ --data photos/val        # beside the RGB network
"""

_OWN = ("mean", "std", "filter")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._models import add_code_argument
    from jpegfreq.cli._options import add_format_arguments, positive

    parser.add_argument(
        "--network", required=True, metavar="NETWORK", help="torchvision:NAME, timm:NAME or FILE.py:FUNCTION"
    )
    parser.add_argument(
        "--weights", metavar="FILE",
        help="the network's weights: a file with a state dict (.pth, .pt or .safetensors); or DEFAULT, or another name "
        "of torchvision's, which is downloaded unless it has been before",
    )  # fmt: skip
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FOLDER", help="the checkpoint to write: a new folder"
    )
    parser.add_argument(
        "--size", type=positive, metavar="PIXELS", help="height and width of the images (default: the network's own)"
    )
    parser.add_argument(
        "--shorter-side", type=positive, metavar="PIXELS",
        help="what an image's shorter side is resized to before the centre is cropped (default: the network's own; for "
        "FILE.py:FUNCTION 8/7 of the size)",
    )  # fmt: skip
    parser.add_argument(
        "--classes", type=Path, metavar="FILE",
        help="a text file with the name of each class on its own line (default: those of torchvision's own weights)",
    )  # fmt: skip
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE",
        help="an option for the function that builds the network, such as num_classes=10 or img_size=384; repeatable",
    )  # fmt: skip
    own = parser.add_argument_group("for FILE.py:FUNCTION")
    add_code_argument(own)
    for name, what in (("mean", "mean"), ("std", "standard deviation")):
        own.add_argument(
            f"--{name}", type=_three, metavar="R,G,B",
            help=f"the {what} that the network's input was normalized with, for pixels from 0 to 1",
        )  # fmt: skip
    own.add_argument("--filter", choices=("bilinear", "bicubic"), help="how images are resized (default: bilinear)")
    add_format_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Adapt the network and write the checkpoint."""
    from jpegfreq._files import is_new
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._progress import message_console
    from jpegfreq.models.checkpoint import CONFIG, save_model

    if arguments.out.exists() and not (arguments.out.is_dir() and is_new(arguments.out, CONFIG)):
        raise CommandError(f"--out {arguments.out} exists already: name a new folder")
    try:
        network = _adapted(arguments)
        save_model(arguments.out, network)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        raise CommandError(reason_of(error)) from error
    console = message_console()
    for line in _told(network):
        console.print(printable(line))
    code = " --run-code" if arguments.run_code else ""
    console.print(
        f"wrote {arguments.out}. Next: `jpegfreq predict {arguments.out} PHOTO.jpg{code}` names the classes of a "
        f"photo; `jpegfreq needs {arguments.out} PHOTOS/{code} --out needs/` finds the channels that the network needs"
    )
    return 0


def _told(network: FrequencyNetwork) -> list[str]:
    """Say what the network takes now, and how it does so."""
    ways = {
        "layer": "a fixed layer in front of it turns them into normalized pixels, for 0.011 GMAC at most at 224 pixels",
        "folded patch": "its patch embedding takes them as they are, at no extra cost",
        "folded stride 4": "its first convolution takes them as they are",
    }
    height, width = network.size
    images = f"images of height {height} x width {width} pixels"
    if network.shorter_side is not None:
        images += (
            f", cropped from the centre once the shorter side is resized to {network.shorter_side} ({network.filter})"
        )
    classes = f"; it names {counted(len(network.classes), 'class')}" if network.classes else ""
    return [
        f"{network.source} takes {counted(len(network.format.selection), 'channel')} now ({network.form}): "
        f"{ways[network.form]}",
        f"it expects {images}{classes}",
    ]


def _adapted(arguments: argparse.Namespace) -> FrequencyNetwork:
    """Build the network, load its weights, and let it take frequencies.

    Raises:
        CommandError: an option is missing, or would have no effect.
        ValueError, OSError, ImportError, RuntimeError: the network or its weights are not what the options say.
    """
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._options import format_from, refuse_unused
    from jpegfreq.models.frontend_pretrained import from_timm, from_torchvision
    from jpegfreq.models.rgb_source import runs_code

    common: dict[str, Any] = {
        "size": arguments.size,
        "shorter_side": arguments.shorter_side,
        "format": format_from(arguments),
        "classes": () if arguments.classes is None else _lines(arguments.classes),
    }
    options = dict(map(_option, arguments.option))
    if runs_code(arguments.network):
        return _own(arguments, options, common)
    package, _, name = arguments.network.partition(":")
    if package not in ("torchvision", "timm") or not name:
        raise CommandError(
            f"--network must be torchvision:NAME, timm:NAME or FILE.py:FUNCTION, such as torchvision:resnet50, not "
            f"{arguments.network!r}"
        )
    refuse_unused(arguments, (*_OWN, "run_code"), f"{arguments.network} is known, unlike FILE.py:FUNCTION")
    if arguments.weights is None:
        raise CommandError(
            "--weights FILE is missing: without its trained weights, a network gives the answers of chance. "
            "--weights DEFAULT downloads those of torchvision or timm"
        )
    for option in ("weights", *common):
        if option in options:
            raise CommandError(f"--option {option}=...: give --{option.replace('_', '-')} instead")
    build = from_torchvision if package == "torchvision" else from_timm
    try:
        return build(name, weights=arguments.weights, **common, **options)
    except OSError as error:
        if Path(arguments.weights).suffix or Path(arguments.weights).exists():
            raise
        raise CommandError(
            f"--weights {arguments.weights}: {package} could not download them ({reason_of(error)}); give the path of "
            "a file instead"
        ) from error


def _own(arguments: argparse.Namespace, options: dict[str, Any], common: dict[str, Any]) -> FrequencyNetwork:
    """Adapt the network that a function of the user's returns."""
    from jpegfreq.cli import CommandError
    from jpegfreq.models.frontend import from_rgb
    from jpegfreq.models.frontend_pretrained import load_weights
    from jpegfreq.models.rgb_source import build_rgb

    file, _, function = arguments.network.rpartition(":")
    if not arguments.run_code:
        raise CommandError(f"--network {arguments.network} executes {file}: if you trust its code, add --run-code")
    for name in ("size", "mean", "std"):
        if getattr(arguments, name) is None:
            raise CommandError(f"--{name} is missing: nothing else tells it for {arguments.network}")
    source = f"{Path(file).absolute()}:{function}"
    network = build_rgb(source, options)
    if arguments.weights is not None:
        load_weights(network, arguments.network, Path(arguments.weights))
    common["shorter_side"] = common["shorter_side"] or round(arguments.size * 8 / 7)
    filter: EvaluationFilter = arguments.filter or "bilinear"
    made = from_rgb(network, mean=arguments.mean, std=arguments.std, filter=filter, **common)
    made.source, made.options = source, options
    return made


def _three(text: str) -> tuple[float, ...]:
    """Parse three numbers with commas between them, as an argument's type.

    Raises:
        argparse.ArgumentTypeError: it is something else.
    """
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != 3:
        raise argparse.ArgumentTypeError(f"must be three numbers, for R, G and B, such as 0.5,0.5,0.5, not {text!r}")
    return values


def _option(text: str) -> tuple[str, Any]:
    """Parse NAME=VALUE; the value is Python's, or text.

    Raises:
        CommandError: it is something else.
    """
    from jpegfreq.cli import CommandError

    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise CommandError(f"--option must be NAME=VALUE, such as num_classes=10, not {text!r}")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def _lines(path: Path) -> tuple[str, ...]:
    """Read the names of classes.

    Raises:
        CommandError: the file is empty, or has a blank line.
    """
    from jpegfreq.cli import CommandError

    names = tuple(line.strip() for line in read_text(path).rstrip().splitlines())
    for number, name in enumerate(names, 1):
        if not name:
            raise CommandError(f"--classes {path}: line {number} is empty, but each line must name a class")
    if not names:
        raise CommandError(f"--classes {path}: the file names no class")
    return names

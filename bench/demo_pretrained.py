"""The demo's network: it was trained on RGB, answers from coefficients, and tells which channels it needs."""

from __future__ import annotations

import copy
import io
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from torch import nn

from bench import efficientnet
from jpegfreq import TensorFormat
from jpegfreq.models import Classifier, FrequencyNetwork, ModelConfig, Prediction, from_rgb, model_summary, save_model
from jpegfreq.models.analysis.compare import reading_milliseconds
from jpegfreq.models.analysis.needs import Needs, find_needs, needs_work
from jpegfreq.models.checkpoint import rgb_original
from jpegfreq.report.needs import needs_sections
from jpegfreq.report.page import Section, Tile, figures_html, image_html, text_html, tiles_html
from jpegfreq.torch import FrequencyDataset, Images, TrainingView

SIDE, SHORTER_SIDE = efficientnet.SIDES[0]
COUNTS = (24, 48)  # channels to choose
CROPS, BATCH = 240, 16  # that the gate sees, a quarter of them held out; per step
SECONDS, FEWEST, MOST = 40, 40, 160  # of the gate, roughly, before channels are compared; steps
SHOWN = 24  # photographs with answers
THUMBNAIL = 260  # pixels, of the longer side
LONGER_RUN = Path(__file__).resolve().parent / "results" / "pretrained-gate-0.png"

# The likeliest class of each photograph and its probability; None where the file could not be read.
Answers = Sequence[tuple[str, float] | None]

console = Console()


@dataclass(frozen=True)
class Cost:
    """What one kind of input costs, and what it changes.

    Attributes:
        name: "RGB", or the number of channels.
        size_bytes: of one image's input as it is sent to an accelerator: 8-bit pixels, or float16.
        milliseconds: CPU time per image on one thread, from the file to the normalized tensor.
        same: photographs with the same answer as on RGB.
        photographs: that could be read.
    """

    name: str
    size_bytes: int
    milliseconds: float
    same: int
    photographs: int


def run(folder: Path, files: Sequence[Path]) -> list[Section]:
    """Let the network answer, find the channels that it needs, and measure what was saved; return the page's sections.

    Args:
        folder: model/ and needs/ are written into it.
        files: photographs.
    """
    adapted = adapt(TensorFormat(layout="HWC", dtype="float16"))
    original = rgb_original(adapted)
    assert original is not None
    shutil.rmtree(folder / "model", ignore_errors=True)
    save_model(folder / "model", adapted.network)
    shown = list(files[:SHOWN])
    answers = {"RGB": answers_of(original, shown), "192": answers_of(adapted, shown)}
    print_answers(shown, answers)
    console.print(f"[dim]$ jpegfreq predict {folder / 'model'} PHOTO.jpg --run-code[/dim] asks it about another file")

    needs = find(adapted, files)
    shutil.rmtree(folder / "needs", ignore_errors=True)
    (folder / "needs").mkdir()
    needs.save(folder / "needs")
    models = {"RGB": original, "192": adapted}
    for count in reversed(COUNTS):
        selection = needs.of("gate", count).selection
        models[str(count)] = adapt(TensorFormat(selection, layout="HWC", dtype="float16"))
        answers[str(count)] = answers_of(models[str(count)], shown)
    costs = costs_of(models, shown, answers)
    print_costs(costs)
    assert isinstance(adapted.network, FrequencyNetwork)
    return [saved_section(costs, adapted.network), answers_section(shown, answers), *map_sections(needs)]


def adapt(format: TensorFormat) -> Classifier:
    """Let EfficientNet-Lite0 take frequency tensors, as `jpegfreq from-rgb` does."""
    network = from_rgb(
        efficientnet.lite0(),
        size=SIDE,
        mean=efficientnet.MEAN,
        std=efficientnet.STD,
        format=format,
        classes=efficientnet.class_names(),
        shorter_side=SHORTER_SIDE,
        filter=efficientnet.FILTER,
    )
    network.source = f"{Path(efficientnet.__file__).resolve()}:lite0"
    return Classifier(ModelConfig.of(network), network)


def answers_of(classifier: Classifier, files: Sequence[Path]) -> Answers:
    """Ask a network what is on photographs."""
    found = classifier.predict(files, top=1, errors="return")
    return [(each.label, each.probabilities[0]) if isinstance(each, Prediction) else None for each in found]


def print_answers(files: Sequence[Path], answers: Mapping[str, Answers]) -> None:
    """Print the answers on RGB and on all channels beside each other."""
    table = Table(title="What EfficientNet-Lite0 sees", title_justify="left")
    for heading in ("photograph", "from RGB pixels", "from coefficients", "same"):
        table.add_column(heading)
    for file, rgb, ours in zip(files, answers["RGB"], answers["192"], strict=True):
        cells = ["unreadable" if each is None else f"{each[0]} {each[1]:.0%}" for each in (rgb, ours)]
        same = "yes" if rgb is not None and ours is not None and rgb[0] == ours[0] else "no"
        table.add_row(file.name, *cells, same, style=None if same == "yes" else "yellow")
    console.print(table)


def crops(files: Sequence[Path]) -> Images:
    """List CROPS images, each photograph as often as needed; every fourth one is of a held-out photograph.

    So the gate is measured on photographs that it never saw, as far as there are more than three.
    """
    held_out, learned = list(files[3::4]), [file for n, file in enumerate(files) if n % 4 != 3]
    held_out = held_out or learned
    paths = []
    for n in range(CROPS):
        group, place = (held_out, n // 4) if n % 4 == 3 else (learned, n - n // 4)
        paths.append(str(group[place % len(group)]))
    return Images(paths, (0,) * len(paths))


def find(adapted: Classifier, files: Sequence[Path]) -> Needs:
    """Let a gate learn which channels the network needs, on random crops of the photographs."""
    format = adapted.config.format
    assert format is not None
    dataset = FrequencyDataset(
        crops(files), TrainingView((SIDE, SIDE), scale=(0.1, 1.0), filter="bicubic"), format=format, errors="skip"
    )
    inputs = dataset.fill(dataset.prepare(range(len(dataset)))).tensors
    steps = affordable_steps(adapted.network, inputs[:BATCH].float())
    options = {"steps": steps, "batch": BATCH}
    columns = (TextColumn("a gate learns which channels the network needs"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=needs_work(len(inputs), COUNTS, format.selection, **options))
        return find_needs(
            adapted.network,
            inputs,
            COUNTS,
            progress=lambda images: bar.advance(task, images),
            source=f"{len(inputs)} random crops of {len(files)} photographs, {steps} steps",
            **options,
        )


def affordable_steps(network: nn.Module, inputs: torch.Tensor) -> int:
    """Estimate how many steps of learning take SECONDS, by timing a few."""
    frozen = copy.deepcopy(network).requires_grad_(False).to(memory_format=torch.channels_last)  # as `find_needs` does
    x = inputs.contiguous(memory_format=torch.channels_last).requires_grad_()
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        frozen(x).square().mean().backward()
        seconds.append(time.perf_counter() - start)
    return min(max(round(SECONDS / min(seconds)), FEWEST), MOST)


def costs_of(models: Mapping[str, Classifier], files: Sequence[Path], answers: Mapping[str, Answers]) -> list[Cost]:
    """Measure what each kind of input costs, on the photographs that every model can read."""
    readable = [n for n in range(len(files)) if all(found[n] is not None for found in answers.values())]
    images = Images([str(files[n]) for n in readable], (0,) * len(readable))
    costs = []
    for (name, classifier), milliseconds in zip(
        models.items(), reading_milliseconds(list(models.values()), images), strict=True
    ):
        format = classifier.config.format
        size_bytes = 3 * SIDE * SIDE if format is None else 2 * len(format.selection) * (SIDE // 8) ** 2
        same = sum(label(answers[name][n]) == label(answers["RGB"][n]) for n in readable)
        costs.append(Cost(name, size_bytes, milliseconds, same, len(readable)))
    return costs


def label(answer: tuple[str, float] | None) -> str:
    return "" if answer is None else answer[0]


def print_costs(costs: Sequence[Cost]) -> None:
    table = Table(title="What an image costs before the network sees it", title_justify="left")
    for heading in ("input", "kB to the accelerator", "ms to read", "answers as on RGB"):
        table.add_column(heading, justify="left" if heading == "input" else "right")
    for cost in costs:
        what = "RGB pixels" if cost.name == "RGB" else f"{cost.name} channels"
        share = f"{cost.same} of {cost.photographs}"
        table.add_row(what, f"{cost.size_bytes / 1e3:.0f}", f"{cost.milliseconds:.2f}", share)
    console.print(table)


def saved_section(costs: Sequence[Cost], network: FrequencyNetwork) -> Section:
    """Say what was saved, in tiles."""
    rgb, *ours = costs
    by_name = {cost.name: cost for cost in ours}
    added = (model_summary(network.front, (192, SIDE // 8, SIDE // 8)).macs, model_summary(network, (192, 28, 28)).macs)
    tiles = [
        Tile("answers that stay the same", "", f"{by_name['192'].same} of {rgb.photographs}", "on all 192 channels"),
        *(
            Tile(
                f"on {cost.name} channels, chosen by a gate",
                "",
                f"{cost.same} of {cost.photographs}",
                "answers as on RGB; nothing was retrained",
            )
            for cost in ours[1:]
        ),
        *(
            Tile(
                f"to the accelerator, {cost.name} channels",
                f"{rgb.size_bytes / 1e3:.0f} kB",
                f"{cost.size_bytes / 1e3:.0f} kB",
                "per image: 8-bit RGB, then float16",
            )
            for cost in ours[1:]
        ),
        *(
            Tile(
                f"CPU time to read an image, {cost.name} channels",
                f"{rgb.milliseconds:.1f} ms",
                f"{cost.milliseconds:.1f} ms",
                "one thread, from the file to the tensor; first with torchvision, then with jpegfreq",
            )
            for cost in ours[1:]
        ),
        Tile("added to the network", "", f"{added[0] / 1e9:.3f} GMAC", f"of {added[1] / 1e9:.2f} GMAC together"),
    ]
    text = text_html(
        "EfficientNet-Lite0 was trained on the RGB pixels of ImageNet, by others. Here it answers from DCT "
        "coefficients: one fixed linear layer before it does what the inverse DCT, the colour conversion and the "
        "normalization do. No weight of the network was changed, and no image was decoded to pixels."
    )
    return Section("A network that was trained on RGB, without RGB", text + figures_html(tiles))


def answers_section(files: Sequence[Path], answers: Mapping[str, Answers]) -> Section:
    """Show the photographs with both answers."""
    tiles = []
    for n, file in enumerate(files):
        rgb, ours = answers["RGB"][n], answers["192"][n]
        if rgb is None or ours is None:
            continue
        fewer = [f"{name}: {label(found[n])}" for name, found in answers.items() if name not in ("RGB", "192")]
        caption = f"RGB: {rgb[0]} {rgb[1]:.0%}. Coefficients: {ours[0]} {ours[1]:.0%}. {'; '.join(fewer)}"
        tiles.append(image_html(thumbnail(file), alt=file.stem, caption=caption))
    text = text_html(
        "The centre of each photograph, as both see it: the RGB network gets pixels from torchvision's decoder, the "
        "other one coefficients from jpegfreq. The last two answers are those on 48 and 24 channels, with all others "
        "at their mean. ImageNet has 1000 classes; what is on a photograph need not be one of them, and where the "
        "network is unsure, the loss of a few channels can change its answer. bench/README.md has its accuracy on "
        "photographs of these classes."
    )
    return Section("What it says about your photographs", text + tiles_html(tiles))


def thumbnail(file: Path) -> bytes:
    """Return a small JPEG of a photograph."""
    with Image.open(file) as image:
        small = image.convert("RGB")
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    data = io.BytesIO()
    small.save(data, "JPEG", quality=85)
    return data.getvalue()


def map_sections(needs: Needs) -> list[Section]:
    """Show what the gate learned, and the map of a longer run beside it."""
    sections = needs_sections(needs)
    if LONGER_RUN.exists():
        longer = image_html(
            LONGER_RUN.read_bytes(),
            alt="heat map of a longer run",
            caption="For comparison, a longer run (python -m bench.pretrained): 160 steps of 20 images, from 400 "
            "photographs of many kinds.",
        )
        sections[-1] = Section(sections[-1].title, sections[-1].html + longer)
    return sections

"""`jpegfreq select`: the channels that matter most, as a selection to train with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jpegfreq.models.analysis.ranking import Ranking

SUMMARY = "choose the channels that matter most, as a selection"
DESCRIPTION = """\
Write the K channels that matter most as a JSON file, to be given to --channels (and --format of
convert) wherever a preset can stand. SOURCE says where the order comes from:
  heat.json      of `jpegfreq heatmap`: how often a gate turns each channel on
  stats.json     of `jpegfreq stats`: the energy of each channel
  a checkpoint   together with --by:
      gate       how often its gate turns each channel on, over DATA
      energy     variance of each channel, from the statistics that the model holds
      loss       how much the loss rises without the channel, over labelled images of DATA
      weights    norm of the first layer's weights

examples:
  jpegfreq select heat.json -k 24 --out learned24.json
  jpegfreq select runs/dct64 photos/val --by loss -k 24 --out learned24.json
  jpegfreq select runs/gated photos/val --by gate -k 24 --compare     how far the ways agree
  jpegfreq decode photos/ --channels learned24.json --out tensors/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._options import positive

    parser.add_argument("source", type=Path, metavar="SOURCE", help="heat.json, stats.json, or a checkpoint's folder")
    parser.add_argument(
        "data", nargs="?", metavar="DATA",
        help="images, for gate and loss: a folder (for loss with a folder a class), a .txt list, or .tar shards",
    )  # fmt: skip
    parser.add_argument("-k", "--count", type=positive, default=24, metavar="K", help="how many channels (default: 24)")
    parser.add_argument(
        "--by", choices=("gate", "energy", "loss", "weights"), help="how to rank a checkpoint's channels"
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="the JSON file to write; its name names the selection")
    parser.add_argument(
        "--compare", action="store_true", help="rank in every way the checkpoint and DATA allow; say how far they agree"
    )
    parser.add_argument(
        "--images",
        type=positive,
        default=256,
        metavar="N",
        help="for gate and loss: a sample of so many (default: 256)",
    )
    parser.add_argument("--device", default="cpu", help="default: cpu")


def run(arguments: argparse.Namespace) -> int:
    """Rank, choose, write."""
    from rich.console import Console
    from rich.table import Table

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._outputs import check_outputs

    if arguments.out is not None:
        if arguments.out.suffix != ".json":
            raise CommandError("--out must end in .json: so it is known again as --channels")
        check_outputs(arguments.out)
    if arguments.out is None and not arguments.compare:
        raise CommandError("--out FILE is missing: where to write the selection (or --compare, to look only)")
    rankings = _rankings(arguments)

    from jpegfreq.models.analysis.ranking import agreement, save_selection, select

    console = Console()
    first = rankings[0]
    try:
        selection = select(first, arguments.count, name=arguments.out.stem if arguments.out else "")
    except ValueError as error:
        raise CommandError(str(error)) from error
    tied = [score for score in first.scores if score == first.scores[len(selection) - 1]]
    if first.by == "gate" and first.scores[len(selection) : len(selection) + 1] == tuple(tied[:1]):
        console.print(
            f"warning: {len(tied)} channels are on equally often ({tied[0]:.1%} of the images), some of them beyond "
            "the cut: which are chosen is a matter of p(on) alone",
            style="yellow",
            soft_wrap=True,
        )
    by_component = [sum(channel // 64 == component for channel in selection) for component in range(3)]
    console.print(
        f"by {first.by} ({first.source}): {len(selection)} channels, Y {by_component[0]}, Cb {by_component[1]}, "
        f"Cr {by_component[2]}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(" ".join(selection.channel_names), highlight=False, soft_wrap=True)
    if len(rankings) > 1:
        table = Table(title=f"how far the rankings agree (first {arguments.count} channels)", title_justify="left")
        for heading in ("ranking", "and", "rank correlation", "both among the first"):
            table.add_column(heading)
        for n, a in enumerate(rankings):
            for b in rankings[n + 1 :]:
                both = agreement(a, b, arguments.count)
                table.add_row(both.first, both.second, f"{both.spearman:.2f}", f"{both.overlap} of {both.count}")
        console.print(table)
    if arguments.out is not None:
        save_selection(arguments.out, selection, first)
        console.print(f"wrote {arguments.out}", highlight=False)
    return 0


def _rankings(arguments: argparse.Namespace) -> list[Ranking]:
    """The ranking asked for, and behind it the others where they are to be compared."""
    from jpegfreq.cli import CommandError

    try:
        if arguments.source.suffix == ".json":
            if arguments.by is not None or arguments.compare:
                raise CommandError(
                    f"--by and --compare are for checkpoints; {arguments.source.name} is ranked by its own"
                )
            return [_ranking_of_file(arguments.source)]
        return _rankings_of_checkpoint(arguments)
    except (ValueError, KeyError, OSError) as error:
        raise CommandError(f"{arguments.source}: {error}") from error


def _ranking_of_file(path: Path) -> Ranking:
    import json

    from jpegfreq.models.analysis.heatmap import HeatMap
    from jpegfreq.models.analysis.ranking import energy_ranking
    from jpegfreq.statistics import ChannelStatistics

    text = path.read_text(encoding="utf-8")
    facts = json.loads(text)
    if isinstance(facts, dict) and "on_rate" in facts:
        return HeatMap.from_json(text).ranking()
    if isinstance(facts, dict) and "mean" in facts:
        return energy_ranking(ChannelStatistics.from_json(text))
    raise ValueError("neither a heat map (jpegfreq heatmap) nor statistics (jpegfreq stats)")


def _rankings_of_checkpoint(arguments: argparse.Namespace) -> list[Ranking]:
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._models import any_images, image_bar, labelled_images, load_classifier

    classifier = load_classifier(arguments.source, device=arguments.device)
    from jpegfreq.models.analysis.heatmap import heat_map
    from jpegfreq.models.analysis.probes import loss_ranking, sample_images, weight_ranking
    from jpegfreq.models.analysis.ranking import energy_ranking

    format, gated = classifier.config.format, classifier.config.gated
    if format is None:
        raise CommandError(f"{arguments.source}: the model takes RGB pixels, it has no frequency channels")
    wanted = arguments.by or ("gate" if gated else None)
    possible = {
        "gate": gated and arguments.data is not None,
        "energy": format.statistics is not None,
        "loss": arguments.data is not None,
        "weights": True,
    }
    if wanted is None:
        raise CommandError(f"{arguments.source}: the model has no gate: choose --by energy, loss or weights")
    if not possible[wanted]:
        if wanted == "energy":
            raise CommandError("the model's format holds no statistics: give the JSON of `jpegfreq stats` as SOURCE")
        if wanted == "gate" and not gated:
            raise CommandError(f"{arguments.source}: the model has no gate: choose --by energy, loss or weights")
        raise CommandError(f"--by {wanted} measures on images: name their folder behind the checkpoint")
    names = [wanted]
    if arguments.compare:
        names += [name for name, can in possible.items() if can and name != wanted]

    def measure(name: str) -> Ranking:
        if name == "energy":
            assert format is not None
            assert format.statistics is not None
            return energy_ranking(format.statistics, format.selection.channels)
        if name == "weights":
            return weight_ranking(classifier)
        if name == "loss":
            images = sample_images(labelled_images(arguments.data), arguments.images)
            with image_bar("loss without each channel", len(images) * len(format.selection)) as advance:
                return loss_ranking(classifier, images, progress=advance)
        images = sample_images(any_images(arguments.data), arguments.images)
        source = f"{arguments.source.resolve().name} on {Path(arguments.data).resolve().name}"
        with image_bar("gate", len(images)) as advance:
            return heat_map(classifier, images, progress=advance, source=source).ranking()

    return [measure(name) for name in names]

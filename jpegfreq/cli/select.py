"""`jpegfreq select`: choose the channels that matter most, as a selection to train with."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jpegfreq._files import printable, read_text, reason_of
from jpegfreq._json import parse_json
from jpegfreq._words import counted

if TYPE_CHECKING:
    from rich.console import Console

    from jpegfreq.channels import ChannelSelection
    from jpegfreq.cli._models import Unread
    from jpegfreq.models.analysis.ranking import Ranking
    from jpegfreq.models.predict import Classifier

SUMMARY = "choose the channels that matter most, as a selection"
DESCRIPTION = """\
Write the K channels that matter most as a JSON file, which --channels accepts
wherever it accepts a preset. SOURCE decides how the channels are ranked:
  heat.json      from `jpegfreq heatmap`: how often a gate turns a channel on
  stats.json     from `jpegfreq stats`: the energy of a channel
  a checkpoint   together with --by:
      gate       how often its gate turns a channel on, measured on DATA
      energy     the variance of a channel, from the model's own statistics
      loss       how much the loss rises without a channel, on labelled DATA
      weights    the norm of a channel's weights in the first layer

examples:
  jpegfreq select heat.json -k 24 --out learned24.json
  jpegfreq select runs/dct64 photos/val --by loss -k 24 --out learned24.json
  jpegfreq select runs/gated photos/val --by gate -k 24 --compare
  jpegfreq decode photos/ --channels learned24.json --out tensors/
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from jpegfreq.cli._models import add_code_argument, add_device_argument
    from jpegfreq.cli._options import positive

    parser.add_argument(
        "source", type=Path, metavar="SOURCE", help="heat.json, stats.json, or the folder of a checkpoint"
    )
    parser.add_argument(
        "data", nargs="?", metavar="DATA",
        help="images for --by gate and --by loss: a folder (for loss with one folder per class), a .txt list, or "
        ".tar shards",
    )  # fmt: skip
    parser.add_argument(
        "-k", "--count", type=positive, default=24, metavar="K", help="how many channels to choose (default: 24)"
    )
    parser.add_argument(
        "--by", choices=("gate", "energy", "loss", "weights"), help="how to rank the channels of a checkpoint"
    )
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="the JSON file to write; the selection takes its name from the file"
    )
    parser.add_argument(
        "--compare",
        action="store_true",
        help="rank in every way that the checkpoint and DATA allow, and print how far the rankings agree",
    )
    parser.add_argument(
        "--images",
        type=positive,
        default=256,
        metavar="N",
        help="measure --by gate and --by loss on N images drawn at random (default: 256)",
    )
    add_device_argument(parser)
    add_code_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Rank, choose and write; return 1 if some images could not be read."""
    from rich.console import Console
    from rich.text import Text

    from jpegfreq.cli import CommandError
    from jpegfreq.cli._models import Unread
    from jpegfreq.cli._outputs import check_outputs

    if arguments.out is not None:
        if arguments.out.suffix != ".json":
            raise CommandError(
                f"--out {arguments.out}: the name must end in .json, because --channels knows a selection by it"
            )
        check_outputs(arguments.out, inputs=(arguments.source, arguments.data))
    if arguments.out is None and not arguments.compare:
        raise CommandError("--out FILE is missing; it names the file to write (--compare prints only)")
    unread = Unread()
    rankings = _rankings(arguments, unread)

    from jpegfreq.models.analysis.ranking import save_selection, select

    console = Console()
    first = rankings[0]
    try:
        selection = select(first, arguments.count, name=arguments.out.stem if arguments.out else "")
    except ValueError as error:
        raise CommandError(f"{arguments.source}: -k {arguments.count}: {error}") from error
    _print_selection(console, first, selection)
    if len(rankings) > 1:
        _print_agreement(console, rankings, arguments.count)
    if arguments.out is not None:
        save_selection(arguments.out, selection, first)
        text = f"wrote {arguments.out}: --channels {arguments.out} takes it wherever it takes a preset"
        console.print(Text(text), soft_wrap=True)
    return unread.report()


def _print_selection(console: Console, ranking: Ranking, selection: ChannelSelection) -> None:
    """Print the chosen channels, and a warning if the choice between some of them is close."""
    from rich.text import Text

    tied = [score for score in ranking.scores if score == ranking.scores[len(selection) - 1]]
    if ranking.by == "gate" and ranking.scores[len(selection) : len(selection) + 1] == tuple(tied[:1]):
        text = (
            f"warning: {counted(len(tied), 'channel')} are on equally often ({tied[0]:.1%} of the images), and not "
            "all of them are chosen: among them the mean probability of being on decided"
        )
        console.print(Text(text, "yellow"), soft_wrap=True)
    counts = [sum(channel // 64 == component for channel in selection) for component in range(3)]
    console.print(
        Text(
            f"by {ranking.by} ({printable(ranking.source)}): {counted(len(selection), 'channel')}, Y {counts[0]}, "
            f"Cb {counts[1]}, Cr {counts[2]}"
        ),
        soft_wrap=True,
    )
    console.print(Text(" ".join(selection.channel_names)))


def _print_agreement(console: Console, rankings: Sequence[Ranking], count: int) -> None:
    """Print how far each pair of rankings agrees."""
    from rich.table import Table

    from jpegfreq.models.analysis.ranking import agreement

    table = Table(title=f"agreement of the rankings (best {counted(count, 'channel')})", title_justify="left")
    for heading in ("ranking", "and", "rank correlation", "in both"):
        table.add_column(heading)
    for n, a in enumerate(rankings):
        for b in rankings[n + 1 :]:
            both = agreement(a, b, count)
            table.add_row(both.first, both.second, f"{both.spearman:.2f}", f"{both.overlap} of {both.count}")
    console.print(table)


def _rankings(arguments: argparse.Namespace, unread: Unread) -> list[Ranking]:
    """Make the ranking that was asked for, followed by the others if they are to be compared."""
    from jpegfreq.cli import CommandError

    try:
        if arguments.source.suffix == ".json":
            if arguments.by is not None or arguments.compare:
                option = "--by" if arguments.by is not None else "--compare"
                raise CommandError(f"{option} needs a checkpoint, but {arguments.source} is a JSON file")
            return [_ranking_of_file(arguments.source)]
        return _rankings_of_checkpoint(arguments, unread)
    except (ValueError, KeyError, OSError) as error:
        reason = reason_of(error)
        raise CommandError(reason if str(arguments.source) in reason else f"{arguments.source}: {reason}") from error


def _ranking_of_file(path: Path) -> Ranking:
    from jpegfreq.models.analysis.heatmap import HeatMap
    from jpegfreq.models.analysis.ranking import energy_ranking
    from jpegfreq.statistics import ChannelStatistics

    text = read_text(path)
    facts = parse_json(text)
    if isinstance(facts, dict) and "on_rate" in facts:
        return HeatMap.from_dict(facts).ranking()
    if isinstance(facts, dict) and "mean" in facts:
        return energy_ranking(ChannelStatistics.from_json(text))
    raise ValueError("neither a heat map (`jpegfreq heatmap`) nor statistics (`jpegfreq stats`)")


def _rankings_of_checkpoint(arguments: argparse.Namespace, unread: Unread) -> list[Ranking]:
    from jpegfreq.cli import CommandError
    from jpegfreq.cli._models import load_classifier

    classifier = load_classifier(arguments.source, arguments)
    format, gated = classifier.config.format, classifier.config.gated
    if format is None:
        raise CommandError(f"{arguments.source}: the model takes RGB pixels, so it has no frequency channels")
    wanted = arguments.by or ("gate" if gated else None)
    possible = {
        "gate": gated and arguments.data is not None,
        "energy": format.statistics is not None,
        "loss": arguments.data is not None,
        "weights": True,
    }
    if wanted is None or (wanted == "gate" and not gated):
        raise CommandError(f"{arguments.source}: the model has no gate: choose --by energy, loss or weights")
    if not possible[wanted]:
        if wanted == "energy":
            raise CommandError(
                f"{arguments.source}: the model's format holds no statistics, which --by energy needs: give the JSON "
                "file of `jpegfreq stats` as SOURCE"
            )
        raise CommandError(f"--by {wanted} measures on images: name DATA after the checkpoint")
    rankings = [_measure(wanted, classifier, arguments, unread)]
    for name in possible if arguments.compare else ():
        if possible[name] and name != wanted:
            try:
                rankings.append(_measure(name, classifier, arguments, unread))
            except ValueError as error:  # no layer of an adapted network need have weights of the channels
                print(f"{name} is not compared: {error}", file=sys.stderr)
    return rankings


def _measure(name: str, classifier: Classifier, arguments: argparse.Namespace, unread: Unread) -> Ranking:
    """Rank a checkpoint's channels in one way."""
    from jpegfreq.cli._models import any_images, image_bar, labelled_images
    from jpegfreq.models.analysis.heatmap import heat_map
    from jpegfreq.models.analysis.probes import loss_ranking, sample_images, weight_ranking
    from jpegfreq.models.analysis.ranking import energy_ranking

    format = classifier.config.format
    assert format is not None
    if name == "energy":
        assert format.statistics is not None
        return energy_ranking(format.statistics, format.selection.channels)
    if name == "weights":
        return weight_ranking(classifier)
    if name == "loss":
        images = sample_images(labelled_images(arguments.data), arguments.images)
        with image_bar("loss without each channel", len(images) * len(format.selection)) as advance:
            return loss_ranking(classifier, images, progress=advance, on_unread=unread)
    images = sample_images(any_images(arguments.data), arguments.images)
    source = f"{arguments.source.resolve().name} on {Path(arguments.data).resolve().name}"
    with image_bar("gate", len(images)) as advance:
        return heat_map(classifier, images, progress=advance, on_unread=unread, source=source).ranking()

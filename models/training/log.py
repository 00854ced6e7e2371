"""What a run writes for people to read: log.csv, TensorBoard event files and gate.json."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from jpegfreq._files import WriteError, write_whole
from jpegfreq._json import parse_json

__all__ = ["write_gate_rates", "write_log"]

# Note [Rates of a gate]
# gate.json holds, per epoch and channel, what the gate decided and how sure it was, on the training images and on the
# validation images. The two decisions differ in kind: training draws a sample, evaluation does not.
_RATES = {
    "on_rate": "share of the validation images for which the channel is on: p(on) > 1/2, without sampling",
    "on_probability": "mean of p(on) over the validation images",
    "training_on_rate": "share of the epoch's training images for which a sample of Bernoulli(p(on)) was on",
    "training_on_probability": "mean of p(on) over the epoch's training images, with the weights of their step",
}


def write_log(out: Path, lines: Sequence[Mapping[str, float]]) -> None:
    """Write OUT/log.csv anew, and add the last line to OUT/tensorboard if TensorBoard is installed.

    Args:
        out: the run's folder.
        lines: one per epoch, each with an "epoch" that counts from 1.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]))
    writer.writeheader()
    writer.writerows(lines)
    write_whole(out / "log.csv", text.getvalue())
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    epoch = int(lines[-1]["epoch"])
    try:
        board = SummaryWriter(str(out / "tensorboard"), purge_step=epoch)
        for name, value in lines[-1].items():
            if name != "epoch" and not math.isnan(value):
                board.add_scalar(name, value, epoch)
        board.close()
    except OSError as error:
        raise WriteError.of(out / "tensorboard", error) from error


def write_gate_rates(
    path: Path, epoch: int, channels: Sequence[int], validation: Sequence[Sequence[float]],
    training: Sequence[Sequence[float]],
) -> None:  # fmt: skip
    """Add an epoch to gate.json (Note [Rates of a gate]); what the file held of this epoch or later ones is replaced.

    Args:
        path: of gate.json.
        epoch: counts from 1.
        channels: the tensor channels, in the gate's order.
        validation: on_rate and on_probability of each channel.
        training: training_on_rate and training_on_probability of each channel.
    """
    known = parse_json(path.read_text(encoding="utf-8"))["epochs"] if path.exists() else []
    rates = dict(zip(_RATES, (*validation, *training), strict=True))
    epochs = [*(line for line in known if line["epoch"] < epoch), {"epoch": epoch, **rates}]
    write_whole(path, json.dumps({"channels": list(channels), "meaning": _RATES, "epochs": epochs}))

"""Training: an RGB baseline, a static frequency network, or a gated one, by one visible loop."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from jpegfreq._files import write_whole
from jpegfreq.format import TensorFormat
from jpegfreq.models.checkpoint import ModelConfig, save_model
from jpegfreq.models.gate import ChannelGate, GatedNetwork, GatedOutput
from jpegfreq.models.pretrained import load_pretrained, read_pretrained
from jpegfreq.models.training.inputs import Inputs, open_inputs
from jpegfreq.models.training.recipe import TrainConfig
from jpegfreq.models.training.run_folder import STATE, begin_run, check_run_folder, read_state
from jpegfreq.models.training.target import TargetControl, decision_weight, indecision, missed_by, sharpened_count
from jpegfreq.torch import Batch, FrequencyLoader

__all__ = ["Epoch", "Observer", "TrainResult", "best_epoch", "train"]

_NAMED = 10  # images that cannot be read
_LOG, _GATE = "log.csv", "gate.json"
_STATISTICS = "statistics.json"

# Note [Rates of a gate]
# gate.json says of each epoch, for each channel: what the gate decided and how sure it was, on the images it was
# trained on and on those it is validated on. The two decisions differ in kind: training draws, evaluation does not.
_RATES = {
    "on_rate": "share of the validation images for which the channel is on: p(on) > 1/2, nothing is drawn",
    "on_probability": "mean of p(on) over the validation images",
    "training_on_rate": "share of the epoch's training images for which a sample of Bernoulli(p(on)) was on",
    "training_on_probability": "mean of p(on) over the epoch's training images, by the weights of their step",
}


# Note [Best]
# The best epoch is that of the highest top-1, the later of equal ones. While a gate is steered to a target, early
# epochs see far more channels than were asked for. So with a target only epochs near it compete (`missed_by`), and
# until there is one, the nearest is the best.


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to; a line of log.csv.

    Attributes:
        epoch: from 0.
        learning_rate: at its last step.
        loss: mean of the training loss, the gate's term included.
        accuracy: top-1 on the training images as they were augmented, 0 to 1; not counted with mixup (NaN).
        validation_loss: mean cross-entropy.
        top1: validation accuracy, 0 to 1, of the averaged weights where there are any.
        top5: the same for the five likeliest.
        channels_expected: mean over training images of the sum of p(on); NaN without a gate.
        channels_on: mean over validation images of the channels that are on, by argmax; NaN without a gate.
        gate_weight: lambda at the last step; NaN without a gate.
        temperature: of the Gumbel-softmax; NaN without a gate.
        images_per_second: training, waiting included.
        seconds_waiting: for input, of the training steps.
        seconds_computing: of the training steps.
        left_out: training and validation images that could not be read, of all processes.
    """

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    validation_loss: float
    top1: float
    top5: float
    channels_expected: float
    channels_on: float
    gate_weight: float
    temperature: float
    images_per_second: float
    seconds_waiting: float
    seconds_computing: float
    left_out: int


@dataclass(frozen=True)
class TrainResult:
    """A finished run.

    Attributes:
        folder: holds last/ and best/ (Note [Best]; for `load_model`), log.csv, tensorboard/, statistics.json where the
            statistics were measured, and of a gate gate.json (Note [Rates of a gate]).
        epochs: one a pass, those before a resumption too.
        model: what was trained, with its format and labels.
    """

    folder: Path
    epochs: tuple[Epoch, ...]
    model: ModelConfig


class Observer(Protocol):
    """Who is told how a run goes."""

    def note(self, text: str) -> None:
        """Something worth showing: what was taken over from other weights."""

    def begin(self, config: TrainConfig, inputs: Inputs, first_epoch: int) -> None:
        """Everything is checked; training begins."""

    def step(self, epoch: int, step: int, steps: int, loss: float, images: int) -> None:
        """A training step ended."""

    def end_epoch(self, epoch: Epoch) -> None:
        """An epoch is validated and saved."""


def train(config: TrainConfig, *, observer: Observer | None = None) -> TrainResult:
    """Train, or go on where the run in `config.out` was stopped.

    Every epoch ends with a checkpoint from which the same weights follow (on a CPU) as without the stop. Under torchrun
    the processes share each batch; the first one writes.

    Args:
        config: the run.
        observer: told of each step and epoch.

    Raises:
        OSError, ValueError, ImportError: the config, the sources or the device do not fit, or `out` cannot be written
            or holds another run; before anything is measured or trained.
    """
    device = _device(config)
    if "WORLD_SIZE" in os.environ and not dist.is_initialized():
        dist.init_process_group("nccl" if config.device.startswith("cuda") else "gloo")
    rank, world_size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    out = Path(config.out)
    check_run_folder(out, config, TrainConfig.from_json, movable={"out", "device", "threads"})
    state = read_state(out)
    if state is not None and state["format"] is not None:
        config = replace(config, format=TensorFormat.from_json(state["format"]))
    pretrained = None if config.weights is None or state is not None else read_pretrained(config.weights)
    known = None if pretrained is None or pretrained.format is None else pretrained.format.statistics
    inputs = open_inputs(config, rank=rank, world_size=world_size, statistics=known)
    model = ModelConfig(
        config.architecture,
        len(inputs.classes),
        inputs.format,
        inputs.size,
        inputs.shorter_side,
        config.stride,
        config.gated,
        inputs.classes,
    )
    torch.manual_seed(config.seed)
    network = model.create()
    if pretrained is not None:
        names = load_pretrained(
            network.network if isinstance(network, GatedNetwork) else network,
            pretrained,
            architecture=model.architecture,
            format=model.format,
            gate=network.gate if isinstance(network, GatedNetwork) else None,
        )
        if observer is not None:
            observer.note(f"{pretrained.path}: {names.summary}")
            compared = () if pretrained.config is None else ("format", "size", "stride")
            if others := [name for name in compared if getattr(pretrained.config, name) != getattr(model, name)]:
                observer.note(f"{pretrained.path}: it was trained with another {' and another '.join(others)}")
    network = network.to(device).to(memory_format=torch.channels_last)
    optimizer = _optimizer(config, network)
    average = None
    if config.average_decay:
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.average_decay), use_buffers=True)
    control = None
    if config.target_channels is not None and inputs.format is not None:
        control = TargetControl(len(inputs.format.selection), config.target_channels)
    history: list[Epoch] = []
    if state is not None:
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        if average is not None:
            average.load_state_dict(state["average"])
        if control is not None:
            control.load_state_dict(state["control"])
        history = [Epoch(**epoch) for epoch in state["history"]]
    elif rank == 0:
        begin_run(out, config)
        if inputs.seconds_measuring and inputs.format is not None and inputs.format.statistics is not None:
            inputs.format.statistics.save(out / _STATISTICS)  # for other runs' --statistics
    shared = DistributedDataParallel(network) if world_size > 1 else network
    kept = network if average is None else average.module
    unread = _Unread(observer)
    if observer is not None:
        observer.begin(config, inputs, len(history))

    for number in range(len(history), config.epochs):
        torch.manual_seed(hash((config.seed, number, rank)) % 2**63)  # of the gate's samples
        temperature = config.temperature_at(number)
        for module in network.modules():
            if isinstance(module, ChannelGate):
                module.temperature = temperature
        network.train()
        inputs.training.set_epoch(number)
        steps = len(inputs.training)
        sums = torch.zeros(5, dtype=torch.float64)  # loss, right, images, channels expected, left out
        rates = torch.zeros(2, len(inputs.format.selection) if config.gated and inputs.format else 0).double()
        waiting = computing = 0.0
        weight = control.gate_weight if control is not None else config.gate_weight
        rate = 0.0
        before = time.perf_counter()
        for step, batch in enumerate(_timed(inputs.training)):
            arrived = time.perf_counter()
            rate = config.learning_rate_at(number + step / steps)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["multiple"]
            x = batch.tensors.to(device, torch.float32, non_blocking=True)  # [N, C, H, W]
            x, labels, targets = _mixed(config, number, step, x, batch.labels.to(device), len(inputs.classes))
            with torch.autocast(device.type, torch.bfloat16, enabled=config.amp):
                output = shared(x)
            logits, decision = output if isinstance(output, GatedOutput) else (output, None)
            loss = nn.functional.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)
            expected = torch.zeros(())
            share, sharpened = 0.0, 0.0
            if decision is not None:
                expected = decision.on_probability.sum(1).mean()
                loss = loss + weight * expected
                rates += torch.stack([decision.on, decision.on_probability]).detach().sum(1).double().cpu()
                if control is not None:
                    share = (number + step / steps) / config.epochs
                    sharpened = sharpened_count(decision.on_probability)
                    loss = loss + decision_weight(share) * indecision(decision.on_probability)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if average is not None:
                average.update_parameters(network)
            right = (logits.argmax(1) == labels).sum()
            count = len(batch.labels)
            moment = torch.stack([loss.detach() * count, right, expected.detach() * count]).double().cpu()
            if not torch.isfinite(moment[0]):
                raise ValueError(
                    f"the loss of epoch {number + 1}, step {step + 1} is {loss.item()}: lower the learning rate"
                )
            left_out = unread.count(batch)
            sums += torch.stack([moment[0], moment[1], torch.tensor(float(count)), moment[2], torch.tensor(left_out)])
            if control is not None:
                control.step(_mean_over_processes(sharpened), share)
                weight = control.gate_weight
            after = time.perf_counter()
            waiting += arrived - before
            computing += after - arrived
            before = after
            if observer is not None:
                observer.step(number, step, steps, float(moment[0]) / max(count, 1), count)
        sums = _sum_over_processes(sums)
        if dist.is_initialized():  # each process has met other images: all validate with the first one's norms
            for norm in kept.buffers():
                dist.broadcast(norm, 0)
        validation = _validate(kept, inputs.validation, device, config.amp, unread)
        if not math.isfinite(validation.loss):
            raise ValueError(f"the validation loss of epoch {number + 1} is {validation.loss}: lower the learning rate")
        images = max(float(sums[2]), 1)
        rates = _sum_over_processes(rates) / images
        gated = float("nan") if not config.gated else 1.0
        epoch = Epoch(
            number,
            rate,
            float(sums[0]) / images,
            float(sums[1]) / images if not config.mixup else float("nan"),
            validation.loss,
            validation.top1,
            validation.top5,
            float(sums[3]) / images * gated,
            validation.channels_on * gated,
            weight * gated,
            temperature * gated,
            images / (waiting + computing),
            waiting,
            computing,
            int(sums[4]) + validation.left_out,
        )
        history.append(epoch)
        if rank == 0:
            for name in ("last", "best")[: 1 + (best_epoch(history, config.target_channels) is epoch)]:
                save_model(out / name, kept, model)
            _log(out, history)
            if config.gated and inputs.format is not None:
                found = (*validation.rates, *rates.tolist())
                _note_rates(out / _GATE, number, inputs.format, dict(zip(_RATES, found, strict=True)))
            buffer = io.BytesIO()
            torch.save(
                {
                    "network": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "average": None if average is None else average.state_dict(),
                    "control": None if control is None else control.state_dict(),
                    "history": [asdict(past) for past in history],
                    "format": None if inputs.format is None else inputs.format.to_json(),
                },
                buffer,
            )
            write_whole(out / STATE, buffer.getvalue())
        if dist.is_initialized():
            dist.barrier()
        if observer is not None:
            observer.end_epoch(epoch)
    return TrainResult(out, tuple(history), model)


def best_epoch(history: Sequence[Epoch], target_channels: float | None) -> Epoch:
    """The epoch that best/ is of: Note [Best].

    Args:
        history: at least one.
        target_channels: of the run.
    """

    def merit(epoch: Epoch) -> tuple[float, float, int]:
        missed = 0.0 if target_channels is None else missed_by(epoch.channels_on, target_channels)
        return -missed, epoch.top1, epoch.epoch

    return max(history, key=merit)


class _Unread:
    """Counts the images that could not be read, and tells of the first ones, each once."""

    def __init__(self, observer: Observer | None) -> None:
        self.observer = observer
        self.named: set[str] = set()

    def count(self, batch: Batch) -> int:
        """How many of a batch."""
        messages = [stray.message for stray in batch.strays if not stray.read]
        for message in messages:
            if self.observer is not None and message not in self.named and len(self.named) < _NAMED:
                self.observer.note(f"left out: {message}" + (" (more are counted)" * (len(self.named) == _NAMED - 1)))
                self.named.add(message)
        return len(messages)


def _timed(loader: FrequencyLoader) -> Iterator[Batch]:
    """The epoch's batches that hold an image.

    Raises:
        ValueError: this process has none for a step that others wait in.
    """
    for batch in loader:
        if len(batch.labels):
            yield batch
        elif dist.is_initialized():
            raise ValueError(f"no image of a batch could be read: {batch.strays[0].message}")


def _optimizer(config: TrainConfig, network: nn.Module) -> torch.optim.Optimizer:
    """SGD. A gate is never decayed: decay would pull p(on) towards a half."""
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    gate: list[nn.Parameter] = []
    for name, parameter in network.named_parameters():
        if isinstance(network, GatedNetwork) and name.startswith("gate."):
            gate.append(parameter)
        else:
            (decayed if parameter.ndim > 1 or config.decay_all else plain).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay, "multiple": 1.0},
        {"params": plain, "weight_decay": 0.0, "multiple": 1.0},
        {"params": gate, "weight_decay": 0.0, "multiple": config.gate_rate},
    ]
    nesterov = config.nesterov and config.momentum > 0
    return torch.optim.SGD(groups, lr=0.1, momentum=config.momentum, nesterov=nesterov)


def _mixed(
    config: TrainConfig, epoch: int, step: int, x: Tensor, labels: Tensor, classes: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Images, labels and targets; with mixup each image is mixed with another of the batch, and so are the targets."""
    if not config.mixup:
        return x, labels, labels
    random = np.random.default_rng((config.seed, epoch, step, 1))
    share = float(random.beta(config.mixup, config.mixup))
    order = torch.from_numpy(random.permutation(len(labels))).to(x.device)
    hot = nn.functional.one_hot(labels, classes).float()
    return torch.lerp(x[order], x, share), labels, torch.lerp(hot[order], hot, share)


@dataclass(frozen=True)
class _Validation:
    """Means over the validation images; of a gate, each channel's rate by argmax and mean p(on)."""

    loss: float
    top1: float
    top5: float
    channels_on: float
    left_out: int
    rates: tuple[list[float], list[float]]


@torch.no_grad()
def _validate(
    network: nn.Module, loader: FrequencyLoader, device: torch.device, amp: bool, unread: _Unread
) -> _Validation:
    """The whole validation source, shared among processes; the gate decides by argmax."""
    network.eval()
    loader.set_epoch(0)
    sums = torch.zeros(5, dtype=torch.float64)  # images, loss, right, among five, left out
    gate = network.gate if isinstance(network, GatedNetwork) else None
    on = torch.zeros(2, 0 if gate is None else gate.mix.in_channels, dtype=torch.float64)
    for batch in loader:
        sums[4] += unread.count(batch)
        if not len(batch.labels):
            continue
        x = batch.tensors.to(device, torch.float32)
        labels = batch.labels.to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            if gate is not None and isinstance(network, GatedNetwork):
                x, decision = gate(x)
                logits = network.network(x).float()
                on += torch.stack([decision.on.sum(0), decision.on_probability.sum(0)]).double().cpu()
            else:
                logits = network(x).float()
        likeliest = logits.topk(min(5, logits.shape[1]), 1).indices == labels[:, None]
        loss = nn.functional.cross_entropy(logits, labels, reduction="sum")
        sums[:4] += torch.stack([torch.tensor(len(labels)), loss.cpu(), likeliest[:, 0].sum(), likeliest.sum()])
    sums, on = _sum_over_processes(sums), _sum_over_processes(on)
    images = max(float(sums[0]), 1)
    on /= images
    return _Validation(
        float(sums[1]) / images,
        float(sums[2]) / images,
        float(sums[3]) / images,
        float(on[0].sum()),
        int(sums[4]),
        (on[0].tolist(), on[1].tolist()),
    )


def _sum_over_processes(values: Tensor) -> Tensor:
    if dist.is_initialized():
        on_device = values.cuda() if dist.get_backend() == "nccl" else values
        dist.all_reduce(on_device)
        return on_device.cpu()
    return values


def _mean_over_processes(value: float) -> float:
    if not dist.is_initialized():
        return value
    return float(_sum_over_processes(torch.tensor([value], dtype=torch.float64))) / dist.get_world_size()


def _device(config: TrainConfig) -> torch.device:
    """The device, tried out; each process that torchrun starts has a GPU of its own.

    Raises:
        ValueError: there is none, or it does not know bfloat16.
    """
    if config.device == "cuda" and "LOCAL_RANK" in os.environ and torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        device = torch.device(config.device)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.amp):
            one = torch.ones(1, 1, 1, 1, device=device)
            nn.functional.conv2d(one, one).cpu()
    except (RuntimeError, AssertionError) as error:
        wanted = " with bfloat16" if config.amp else ""
        raise ValueError(f"device {config.device!r}{wanted} cannot be used: {str(error).splitlines()[0]}") from error
    return device


def _note_rates(path: Path, epoch: int, form: TensorFormat, rates: dict[str, list[float]]) -> None:
    """Add an epoch to gate.json, behind those before it."""
    known = json.loads(path.read_text(encoding="utf-8"))["epochs"] if path.exists() else []
    epochs = [*(line for line in known if line["epoch"] < epoch), {"epoch": epoch, **rates}]
    write_whole(path, json.dumps({"channels": form.selection.channels, "meaning": _RATES, "epochs": epochs}))


def _log(out: Path, history: list[Epoch]) -> None:
    """log.csv whole, and the last epoch for TensorBoard."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(Epoch)])
    writer.writeheader()
    writer.writerows(asdict(epoch) for epoch in history)
    write_whole(out / _LOG, text.getvalue())
    last = history[-1]
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return
    board = SummaryWriter(str(out / "tensorboard"), purge_step=last.epoch)
    for name, value in asdict(last).items():
        if name != "epoch" and value == value:
            board.add_scalar(name, value, last.epoch)
    board.close()

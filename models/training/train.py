"""Training an RGB baseline, a static frequency network, or a gated one, in one visible loop."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from jpegfreq._words import counted
from jpegfreq.format import TensorFormat
from jpegfreq.models.checkpoint import ModelConfig, check_code, read_format, save_model
from jpegfreq.models.device import best_device
from jpegfreq.models.gate import ChannelGate, GateDecision, GatedNetwork, GatedOutput
from jpegfreq.models.pixel_layer import PixelLayer
from jpegfreq.models.pretrained import Pretrained, load_adapted, load_pretrained, read_pretrained
from jpegfreq.models.training.average import averaged
from jpegfreq.models.training.distributed import (
    broadcast_buffers,
    join_processes,
    share_network,
    total_over_processes,
    wait_for_all,
)
from jpegfreq.models.training.inputs import Inputs, open_inputs
from jpegfreq.models.training.log import write_gate_rates, write_log
from jpegfreq.models.training.observer import Observer, Silent, UnreadableImages
from jpegfreq.models.training.recipe import TrainConfig
from jpegfreq.models.training.run_folder import begin_run, check_run_folder
from jpegfreq.models.training.state import STATE, CheckpointInterval, RunState, Sums, read_state, seed_of
from jpegfreq.models.training.steering import Steering, missed_by, sharpened_count, steps_to_target
from jpegfreq.models.training.validation import Validation, validate
from jpegfreq.torch import Batch, FrequencyLoader

__all__ = ["Epoch", "TrainResult", "best_epoch", "train"]

# Note [Best]
# The best epoch is the one with the highest top-1; of equal ones, the last. While a gate is steered to a target, early
# epochs see far more channels than were asked for. So with a target only epochs near it compete (`missed_by`), and
# until there is one, the nearest is the best.


@dataclass(frozen=True)
class Epoch:
    """The results of one epoch; a line of log.csv.

    Attributes:
        epoch: counts from 1.
        learning_rate: at its last step.
        loss: mean of the training loss, the gate's part included.
        accuracy: top-1 on the training images as they were augmented, 0 to 1; NaN with mixup, where it has no meaning.
        validation_loss: mean cross-entropy.
        top1: validation accuracy, 0 to 1, of the averaged weights if there are any.
        top5: the share of validation images whose class is among the five likeliest; NaN for fewer than ten classes.
        channels_expected: mean over training images of the sum of p(on); NaN without a gate.
        channels_on: mean over validation images of the channels that are on, by argmax; NaN without a gate.
        gate_weight: lambda at the last step; NaN without a gate.
        temperature: of the Gumbel-softmax; NaN without a gate.
        images_per_second: in training, with the time spent waiting for input.
        seconds_waiting: for input, in the training steps; the mean over processes.
        seconds_computing: in the training steps; the mean over processes.
        left_out: training and validation images that could not be read, in all processes.
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
        folder: holds last/ and best/ (Note [Best]; for `load_model`), log.csv, tensorboard/, statistics.json if the
            statistics were measured, and gate.json (log.py, Note [Rates of a gate]) if there is a gate.
        epochs: one per pass over the data, including those before the run was resumed.
        model: what was trained, with its format and labels.
    """

    folder: Path
    epochs: tuple[Epoch, ...]
    model: ModelConfig


@dataclass
class _Run:
    """Everything that the loop works with."""

    config: TrainConfig
    out: Path
    device: torch.device
    rank: int
    world_size: int
    inputs: Inputs
    model: ModelConfig
    network: nn.Module
    shared: nn.Module  # the network as the loop calls it
    optimizers: tuple[torch.optim.Optimizer, ...]  # of the network; with AdamW, another of a gate
    average: AveragedModel | None
    steering: Steering
    state: RunState
    observer: Observer[Epoch]
    unreadable: UnreadableImages


def train(config: TrainConfig, *, observer: Observer[Epoch] | None = None, extend: bool = False) -> TrainResult:
    """Train, or resume the run in `config.out` where it was stopped.

    A run resumes from the end of its last epoch, or from a checkpoint within an epoch (`checkpoint_every`). On a CPU it
    reaches the same weights as without the stop. Under torchrun the processes share each batch, and the first one
    writes.

    Args:
        config: the run.
        observer: is told of each step and epoch.
        extend: resume a run that was to have fewer epochs. The learning rate follows the longer run's schedule, so
            with the cosine it rises again.

    Raises:
        OSError, ValueError, ImportError: the config, the sources or the device do not fit, `out` cannot be written or
            holds another run, or the images have changed since it was stopped. Nothing is measured or trained then.
    """
    run = _begin(config, observer if observer is not None else Silent(), extend=extend)
    config, state, steering = run.config, run.state, run.steering
    interval = CheckpointInterval(config.checkpoint_every)
    steps = len(run.inputs.training)
    for epoch in range(len(state.history) + 1, config.epochs + 1):
        _set_temperature(run.network, config.temperature_at(epoch))
        run.network.train()
        done, sums = state.take_progress()
        rate = 0.0
        for step, batch, waited in _batches(run.inputs.training, epoch, done):
            start = time.perf_counter()
            progress = epoch - 1 + (step - 1) / steps
            share = progress / config.epochs
            rate = config.learning_rate_at(progress)
            for group in (group for optimizer in run.optimizers for group in optimizer.param_groups):
                group["lr"] = rate * group["multiple"]
            torch.manual_seed(seed_of(config.seed, epoch, step, run.rank))  # of the gate's samples and of dropout

            # Batch norms need `fewest` images. A process with fewer takes part without any.
            count = len(batch.labels) if len(batch.labels) >= run.inputs.fewest else 0
            together, due = total_over_processes(
                torch.tensor([count, run.rank == 0 and interval.is_due(step)])
            ).tolist()
            outcome = _forward(run, batch, epoch, step, share) if count else _nothing(run)
            if together:
                for optimizer in run.optimizers:
                    optimizer.zero_grad()
                # Gradients are averaged over processes; this makes it the mean over images.
                (outcome.loss * (count * run.world_size / together)).backward()
                for optimizer in run.optimizers:
                    optimizer.step()
                if run.average is not None:
                    run.average.update_parameters(run.network)
                if steering.steers:
                    on = total_over_processes(torch.tensor(outcome.sharpened * count, dtype=torch.float64))
                    steering.step(float(on) / together, share)

            loss = float(outcome.loss.detach())
            if not math.isfinite(loss):
                raise ValueError(f"the loss of epoch {epoch}, step {step} is {loss}: lower the learning rate")
            sums.add(
                loss=loss * count,
                right=outcome.right,
                images=count,
                rates=outcome.rates,
                left_out=run.unreadable.count(stray.message for stray in batch.strays if not stray.read),
                waiting=waited,
                computing=time.perf_counter() - start,
            )
            if due and step < steps:
                _save(run, step, sums)
            run.observer.step(epoch, step, loss, count)
        _end_epoch(run, epoch, rate, sums.over_processes())
    return TrainResult(run.out, _epochs(state), run.model)


@dataclass(frozen=True)
class _Outcome:
    """What the network made of a process's part of a batch.

    Attributes:
        loss: mean over its images.
        right: how many were classified correctly.
        rates: [2, C], sums over the images of the gate's samples and of p(on); C is 0 without a gate.
        sharpened: channels on (`sharpened_count`), for a steered gate.
    """

    loss: Tensor
    right: float
    rates: Tensor
    sharpened: float = 0.0


def _forward(run: _Run, batch: Batch, epoch: int, step: int, share: float) -> _Outcome:
    """Return the loss of a batch, and what else is counted."""
    config = run.config
    x = batch.tensors.to(run.device, torch.float32, non_blocking=True)  # [N, C, H, W]
    labels = batch.labels.to(run.device)
    x, targets = _mixed(config, epoch, step, x, labels, len(run.inputs.classes))
    with torch.autocast(run.device.type, torch.bfloat16, enabled=config.amp):
        output = run.shared(x)
    logits, decision = output if isinstance(output, GatedOutput) else (output, None)
    loss = nn.functional.cross_entropy(logits.float(), targets, label_smoothing=config.label_smoothing)
    right = float((logits.argmax(1) == labels).sum())
    if decision is None:
        return _Outcome(loss, right, _no_rates(run))
    loss = loss + run.steering.weight * decision.on_probability.sum(1).mean()
    sharpened = 0.0
    if run.steering.steers:
        sharpened = sharpened_count(decision.on_probability)
        loss = loss + run.steering.indecision_loss(decision.on_probability, share)
    return _Outcome(loss, right, _rates(decision), sharpened)


def _nothing(run: _Run) -> _Outcome:
    """Return the outcome without images: a loss whose gradients are zero (distributed.py)."""
    return _Outcome(run.shared(None), 0.0, _no_rates(run))


def _rates(decision: GateDecision) -> Tensor:
    return torch.stack([decision.on, decision.on_probability]).detach().sum(1).double().cpu()


def _no_rates(run: _Run) -> Tensor:
    format = run.inputs.format
    return torch.zeros(2, len(format.selection) if run.config.gated and format is not None else 0)


def _batches(loader: FrequencyLoader, epoch: int, done: int) -> Iterator[tuple[int, Batch, float]]:
    """Yield (step from 1, batch, seconds spent waiting for it) of an epoch, after the steps that are done."""
    loader.set_epoch(epoch - 1)
    if done:
        loader.load_state_dict({**loader.state_dict(), "epoch": epoch - 1, "step": done})
    before = time.perf_counter()
    for batch in loader:
        yield int(loader.state_dict()["step"]), batch, time.perf_counter() - before
        before = time.perf_counter()


def _mixed(
    config: TrainConfig, epoch: int, step: int, x: Tensor, labels: Tensor, classes: int
) -> tuple[Tensor, Tensor]:
    """Return images and targets; with mixup each image, and its target, is mixed with another one of the batch."""
    if not config.mixup:
        return x, labels
    random = np.random.default_rng((config.seed, epoch - 1, step - 1, 1))
    share = float(random.beta(config.mixup, config.mixup))
    order = torch.from_numpy(random.permutation(len(labels))).to(x.device)
    hot = nn.functional.one_hot(labels, classes).float()
    return torch.lerp(x[order], x, share), torch.lerp(hot[order], hot, share)


def _set_temperature(network: nn.Module, temperature: float) -> None:
    for module in network.modules():
        if isinstance(module, ChannelGate):
            module.temperature = temperature


def _save(run: _Run, step: int, sums: Sums) -> None:
    """Save the state within an epoch."""
    total = sums.over_processes()
    if run.rank == 0:
        run.state.save(step=step, sums=total)
    wait_for_all()


def _end_epoch(run: _Run, number: int, rate: float, sums: Sums) -> None:
    """Validate, log and save."""
    config, inputs, state = run.config, run.inputs, run.state
    if not sums["images"]:
        raise ValueError(
            f"no batch of epoch {number} had {inputs.fewest} readable images: see the images that were left out"
        )
    kept = run.network if run.average is None else run.average.module
    broadcast_buffers(kept)
    found = validate(kept, inputs.validation, run.device, config.amp, run.unreadable)
    if not math.isfinite(found.loss):
        raise ValueError(f"the validation loss of epoch {number} is {found.loss}: lower the learning rate")
    epoch = _epoch(run, number, rate, sums, found)
    state.history.append(asdict(epoch))
    if run.rank == 0:
        is_best = best_epoch(_epochs(state), config.target_channels).epoch == number
        for name in ("last", "best") if is_best else ("last",):
            save_model(run.out / name, kept, run.model)
        write_log(run.out, state.history)
        if config.gated and inputs.format is not None:
            channels, training = inputs.format.selection.channels, sums.values["rates"] / sums["images"]
            write_gate_rates(run.out / "gate.json", number, channels, found.rates, training.tolist())
        state.save()
    wait_for_all()
    run.observer.end_epoch(epoch)


def _epoch(run: _Run, number: int, rate: float, sums: Sums, found: Validation) -> Epoch:
    images, config = sums["images"], run.config
    waiting, computing = (sums[name] / run.world_size for name in ("waiting", "computing"))
    only_gated = 1.0 if config.gated else math.nan
    return Epoch(
        epoch=number,
        learning_rate=rate,
        loss=sums["loss"] / images,
        accuracy=math.nan if config.mixup else sums["right"] / images,
        validation_loss=found.loss,
        top1=found.top1,
        top5=found.top5,
        channels_expected=float(sums.values["rates"][1].sum()) / images * only_gated,
        channels_on=found.channels_on * only_gated,
        gate_weight=run.steering.weight * only_gated,
        temperature=config.temperature_at(number) * only_gated,
        images_per_second=images / (waiting + computing),
        seconds_waiting=waiting,
        seconds_computing=computing,
        left_out=int(sums["left_out"]) + found.left_out,
    )


def _epochs(state: RunState) -> tuple[Epoch, ...]:
    return tuple(Epoch(**line) for line in state.history)  # type: ignore[arg-type]


def best_epoch(history: Sequence[Epoch], target_channels: float | None) -> Epoch:
    """Return the epoch that best/ holds: Note [Best].

    Args:
        history: at least one epoch.
        target_channels: of the run.
    """

    def merit(epoch: Epoch) -> tuple[float, float, int]:
        missed = 0.0 if target_channels is None else missed_by(epoch.channels_on, target_channels)
        return -missed, epoch.top1, epoch.epoch

    return max(history, key=merit)


def _begin(config: TrainConfig, observer: Observer[Epoch], *, extend: bool) -> _Run:
    """Check everything, and build or restore what the loop works with."""
    device = best_device(config.device, bfloat16=config.amp)
    if config.compute_threads is not None:
        torch.set_num_threads(config.compute_threads)
    rank, world_size = join_processes(device)
    out = Path(config.out)
    movable = {"out", "device", "threads", "compute_threads", "checkpoint_every", "run_code"}
    check_run_folder(out, config, TrainConfig.from_dict, movable=movable, extend=extend)
    saved = read_state(out)
    given = config
    if saved is not None and saved["facts"]["format"] is not None:
        config = replace(config, format=read_format(saved["facts"]["format"]))
    check_code(config.architecture, run_code=config.run_code)
    pretrained = None
    if config.weights is not None and saved is None:
        pretrained = read_pretrained(config.weights, run_code=config.run_code)
    inputs = open_inputs(
        config,
        rank=rank,
        world_size=world_size,
        device=device,
        statistics=None if pretrained is None or pretrained.format is None else pretrained.format.statistics,
    )
    model = config.model(format=inputs.format, view=inputs.view, classes=inputs.classes)
    torch.manual_seed(config.seed)
    network = model.create()
    if model.source is not None:
        _check_outputs(network, model, config.data)
    if pretrained is not None:
        _start_from(pretrained, network, model, observer)
    if config.free_front:
        for module in network.modules():
            if isinstance(module, PixelLayer):
                module.requires_grad_()
    network = network.to(device).to(memory_format=torch.channels_last)
    optimizers = _optimizers(config, network)
    steps = len(inputs.training)
    channels = 0 if inputs.format is None else len(inputs.format.selection)
    steering = Steering(config.gate_weight, channels=channels, target=config.target_channels)
    average = averaged(network, config.average_decay, steps * config.epochs) if config.average_decay else None
    state = RunState(
        out / STATE,
        {
            "network": network,
            **dict(zip(("optimizer", "gate's optimizer"), optimizers, strict=False)),
            "steering": steering,
            **({"average": average} if average else {}),
        },
        inputs.data,
        {"format": None if inputs.format is None else model.to_dict()["format"]},
    )
    if saved is not None:
        state.resume(saved, first_process=rank == 0)
    if rank == 0 and (saved is None or extend):
        begin_run(out, given)
        if inputs.seconds_measuring and inputs.format is not None and inputs.format.statistics is not None:
            inputs.format.statistics.save(out / "statistics.json")  # for the --statistics of other runs
    run = _Run(
        config, out, device, rank, world_size, inputs, model, network, share_network(network, world_size), optimizers,
        average, steering, state, observer, UnreadableImages(observer.note),
    )  # fmt: skip
    _describe(run)
    observer.begin(steps, config.epochs, len(state.history) * steps + state.step)
    return run


def _check_outputs(network: nn.Module, model: ModelConfig, data: str) -> None:
    """Require a number per class from a network that came from elsewhere, tried on one image of zeros.

    Raises:
        ValueError: it gives others, as a function of one's own does that does not take `num_classes`.
    """
    inner = network.network if isinstance(network, GatedNetwork) else network
    height, width = model.size
    grid = (
        (3, height, width) if model.format is None else (len(model.format.selection), -(-height // 8), -(-width // 8))
    )
    with torch.no_grad():
        output = inner.eval()(torch.zeros(1, *grid))
    if not isinstance(output, Tensor) or output.shape != (1, model.num_classes):
        gives = f"{list(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise ValueError(
            f"{data} has {counted(model.num_classes, 'class')}, for which {model.architecture} must give "
            f"[1, {model.num_classes}] for one image, but it gives {gives}: let its function take num_classes, and "
            "make the checkpoint again with `jpegfreq from-rgb --option num_classes=N`"
        )


def _start_from(pretrained: Pretrained, network: nn.Module, model: ModelConfig, observer: Observer[Epoch]) -> None:
    """Load the weights that a run starts from, and report what was loaded."""
    if model.source is not None:
        loaded = load_adapted(network, pretrained, model)
    else:
        loaded = load_pretrained(
            network.network if isinstance(network, GatedNetwork) else network,
            pretrained,
            architecture=model.architecture,
            format=model.format,
            gate=network.gate if isinstance(network, GatedNetwork) else None,
        )
    observer.note(f"{pretrained.path}: {loaded.summary}")
    if pretrained.config is None:
        return
    for name in ("size", "stride"):
        before, now = getattr(pretrained.config, name), getattr(model, name)
        if before != now:
            observer.note(f"{pretrained.path}: it was trained with {name} {before}, not {now}")
    others = _other_parts(pretrained.config.format, model.format)
    if others:
        observer.note(f"{pretrained.path}: it was made for {others}")


def _other_parts(before: TensorFormat | None, now: TensorFormat | None) -> str:
    """Say what the values of two formats differ in; the layout changes no value. A format of None is that of pixels."""
    if before is None or now is None:
        return "" if before is now else "frequencies" if now is None else "pixels"
    names = ("channels", "chroma", "dtype", "statistics")
    return ", ".join(f"other {name}" for name in names if getattr(before, name) != getattr(now, name))


def _optimizers(config: TrainConfig, network: nn.Module) -> tuple[torch.optim.Optimizer, ...]:
    """Return SGD for all weights; or AdamW, and SGD for the gate alone.

    A gate's weights are never decayed: decay would pull p(on) towards a half.
    """
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
    # The loop sets every group's rate before its first step.
    sgd = partial(torch.optim.SGD, lr=0.1, momentum=config.momentum, nesterov=config.nesterov and config.momentum > 0)
    if config.optimizer == "sgd":
        return (sgd(groups),)
    of_network = torch.optim.AdamW(groups[:2], lr=0.1)
    return (of_network, sgd(groups[2:])) if gate else (of_network,)


def _describe(run: _Run) -> None:
    """Tell the observer what is trained, from where, and whether a target is out of reach."""
    config, inputs, state = run.config, run.inputs, run.state
    what = "RGB" if inputs.format is None else counted(len(inputs.format.selection), "channel")
    training, validation = inputs.data
    run.observer.note(
        f"{config.architecture} on {what}{', gated' if config.gated else ''}: {counted(training.images, 'image')} of "
        f"{counted(len(inputs.classes), 'class')}, {validation.images} to validate"
    )
    for source, loader in ((config.data, inputs.training), (config.validation, inputs.validation)):
        images = getattr(loader.dataset, "images", None)  # a store has none
        if images is not None and images.left_out:
            run.observer.note(f"left out of {source}: {images.left_out}")
    if inputs.seconds_measuring:
        run.observer.note(
            f"statistics measured in {inputs.seconds_measuring:.1f} s; other runs on these images can use "
            f"--statistics {run.out / 'statistics.json'}"
        )
    if len(state.history) == config.epochs:
        run.observer.note("this run is complete")
    elif state.history or state.step:
        within = f" and step {state.step} of epoch {len(state.history) + 1}" if state.step else ""
        run.observer.note(f"resuming after epoch {len(state.history)}{within}")
    steps = len(inputs.training) * config.epochs
    needed = steps_to_target(config.gate_learning_rate * config.batch_size / 256, config.momentum)
    if config.target_channels is not None and steps < needed:
        run.observer.note(
            f"warning: {steps} steps are probably too few for the gate to reach {config.target_channels:g} channels; "
            f"at this gate learning rate it needs about {needed}"
        )

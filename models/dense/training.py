"""Training a network for boxes, instance masks or semantic masks, in one visible loop."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from jpegfreq._files import write_whole
from jpegfreq._words import counted
from jpegfreq.models.checkpoint import save_model
from jpegfreq.models.dense.config import DenseConfig, DenseModel, body_of, dense_heat_map, gate_of
from jpegfreq.models.dense.detection import DetectionScores, FrequencyDetector, evaluate_detection
from jpegfreq.models.dense.recipe import DenseTraining
from jpegfreq.models.dense.scenes import (
    CELL,
    IGNORE,
    DetectionDataset,
    Scene,
    SegmentationDataset,
    box_class_count,
    mask_classes,
    measure_statistics,
    read_scenes,
)
from jpegfreq.models.dense.segmentation import SegmentationScores, evaluate_segmentation
from jpegfreq.models.device import best_device
from jpegfreq.models.gate import GateDecision, GatedOutput
from jpegfreq.models.pretrained import Pretrained, load_pretrained, read_pretrained
from jpegfreq.models.readable import Readable, Unread, check_readable, sound_scenes
from jpegfreq.models.training.log import write_log
from jpegfreq.models.training.observer import Observer, Silent, UnreadableImages
from jpegfreq.models.training.run_folder import begin_run, check_run_folder
from jpegfreq.models.training.state import (
    STATE,
    CheckpointInterval,
    DataSummary,
    RunState,
    Sums,
    read_state,
    seed_of,
)
from jpegfreq.models.training.steering import Steering, sharpened_count, steps_to_target
from jpegfreq.torch import file_list

__all__ = ["Scores", "dense_config", "train_dense"]

_NAMED = 10  # unreadable images of each folder that are reported by name before the run
_GATE_MOMENTUM = 0.9

Scores = DetectionScores | SegmentationScores
Line = dict[str, float]  # of log.csv


@dataclass
class _Run:
    """Everything that the loop works with."""

    training: DenseTraining
    out: Path
    device: torch.device
    config: DenseConfig
    samples: Dataset[Any]
    held_out: DetectionDataset | SegmentationDataset
    validation: tuple[Scene, ...]
    network: nn.Module
    optimizers: tuple[torch.optim.Optimizer, ...]  # of the network, and of a gate
    steering: Steering
    state: RunState
    observer: Observer[Line]
    unreadable: UnreadableImages


def train_dense(
    training: DenseTraining,
    *,
    observer: Observer[Line] | None = None,
    stop: Callable[[], bool] | None = None,
    extend: bool = False,
) -> tuple[DenseModel, Scores]:
    """Train, save and score, or resume the run in `training.out` where it was stopped.

    Unreadable images are left out and counted. A run resumes from the end of its last epoch, or from a checkpoint
    within an epoch (`checkpoint_every`). On a CPU it reaches the same weights as without the stop.

    Args:
        training: the run.
        observer: is told of each step and epoch.
        stop: asked before each epoch but the first; if it returns True, the model is scored as it is. The same call
            resumes the run later.
        extend: resume a run that was to have fewer epochs; see `train`.

    Returns:
        The model, and its scores on the validation images.

    Raises:
        OSError, ValueError: the data do not fit or have changed since the run was stopped, nothing can be read, or
            `out` holds another run. Nothing is trained then. ValueError also if the loss is not finite any more.
    """
    run = _begin(training, observer if observer is not None else Silent(), extend=extend)
    state, steering, fewest = run.state, run.steering, training.fewest
    interval = CheckpointInterval(training.checkpoint_every)
    steps = _step_count(training, len(run.samples))  # type: ignore[arg-type]
    peaks = (training.learning_rate, training.gate_learning_rate)
    for epoch in range(len(state.history) + 1, training.epochs + 1):
        if state.history and not state.step and stop is not None and stop():
            break
        run.network.train()
        done, sums = state.take_progress()
        start = time.perf_counter()
        for step, batch, unread in _batches(run, epoch, done):
            images, _ = batch
            share = (epoch - 1 + (step - 1) / steps) / training.epochs
            falls = ((1 + math.cos(math.pi * share)) / 2, min(5 * (1 - share), 1.0))  # of the network, of a gate
            for optimizer, peak, part in zip(run.optimizers, peaks, falls, strict=False):
                optimizer.param_groups[0]["lr"] = peak * part
            torch.manual_seed(seed_of(training.seed, epoch, step))  # of the gate's samples and of dropout
            sums.add(left_out=run.unreadable.count(sorted(unread)), steps=float(len(images) >= fewest))
            if len(images) >= fewest:
                losses, decision = _losses(run.network, batch, run.device, steering.weight)
                if steering.steers and decision is not None:
                    losses["loss_indecision"] = steering.indecision_loss(decision.on_probability, share)
                loss = torch.stack(list(losses.values())).sum()
                if not torch.isfinite(loss):
                    raise ValueError(
                        f"the loss of epoch {epoch}, step {step} is {float(loss)}: lower the learning rate"
                    )
                run.network.zero_grad()
                torch.autograd.backward(loss)
                for optimizer in run.optimizers:
                    optimizer.step()
                if steering.steers and decision is not None:
                    steering.step(sharpened_count(decision.on_probability), share)
                sums.add(loss=loss, **losses, **_channels(decision))
                run.observer.step(epoch, step, float(loss.detach()), len(images))
            now = time.perf_counter()
            sums.add(seconds=now - start)
            start = now
            if interval.is_due(step) and step < steps:
                state.save(step=step, sums=sums)
        _end_epoch(run, epoch, sums)
    return _finish(run)


def dense_config(
    training: DenseTraining, scenes: tuple[Scene, ...], pretrained: Pretrained | None = None
) -> DenseConfig:
    """Return the network's config: its classes come from the data, and so do statistics that the format lacks."""
    sides = {"shorter_side": training.shorter_side, "longer_side": training.longer_side}
    format = training.format
    if format.statistics is None and pretrained is not None and pretrained.format is not None:
        format = replace(format, statistics=pretrained.format.statistics)
    if format.statistics is None:
        format = replace(format, statistics=measure_statistics(scenes, chroma=format.chroma, **sides))
    if training.task == "segmentation":
        classes = mask_classes(scenes)
    else:
        count = box_class_count(scenes)
        if count < 2:
            raise ValueError(f"no image of {training.data} has a box")
        classes = tuple(range(count))
    return DenseConfig(
        training.task,
        training.architecture,
        format,
        classes,
        head=training.head,
        gated=training.gated,
        gate_weight=training.gate_weight,
        **sides,
    )


def _begin(training: DenseTraining, observer: Observer[Line], *, extend: bool) -> _Run:
    """Check everything, and build or restore what the loop works with."""
    device = best_device(training.device)
    if training.compute_threads is not None:
        torch.set_num_threads(training.compute_threads)
    out = Path(training.out)
    movable = {"out", "device", "workers", "compute_threads", "checkpoint_every"}
    check_run_folder(out, training, DenseTraining.from_dict, movable=movable, extend=extend)
    scenes, validation = (_sound(training, source, observer) for source in (training.data, training.validation))
    saved = read_state(out)
    pretrained = read_pretrained(training.weights) if training.weights is not None and saved is None else None
    if saved is not None:
        config = DenseConfig.from_dict(saved["facts"]["config"])
    else:
        config = dense_config(training, scenes, pretrained)
    train_set, held_out = _datasets(config, scenes, validation)
    if len(train_set) < training.fewest:
        raise ValueError(f"{training.data} has {counted(len(train_set), 'image')}, but a step needs {training.fewest}")
    # A broken folder is an error now, not after the first epoch or the last.
    check_readable(train_set, training.data)
    check_readable(held_out, training.validation)
    torch.manual_seed(training.seed)
    network = config.create()
    if pretrained is not None:
        loaded = load_pretrained(
            body_of(network),
            pretrained,
            architecture=config.architecture,
            format=config.format,
            gate=gate_of(network) if config.gated else None,
        )
        observer.note(f"{pretrained.path}: {loaded.summary}")
    network.to(device)
    optimizers = _optimizers(training, network)
    channels = len(config.format.selection)
    steering = Steering(config.gate_weight, channels=channels, target=training.target_channels)
    state = RunState(
        out / STATE,
        {"network": network, "steering": steering, **{f"optimizer {n}": part for n, part in enumerate(optimizers)}},
        (_summary(training.data, scenes), _summary(training.validation, validation)),
        {"config": config.to_dict()},
    )
    if saved is not None:
        state.resume(saved)
    if saved is None or extend:
        begin_run(out, training)
    run = _Run(
        training, out, device, config, _Seeded(Readable(train_set), training.seed), held_out, validation, network,
        optimizers, steering, state, observer, UnreadableImages(observer.note),
    )  # fmt: skip
    _describe(run, _step_count(training, len(train_set)))
    return run


def _describe(run: _Run, steps: int) -> None:
    """Tell the observer from where training begins, and whether a target is out of reach."""
    training, state, whole = run.training, run.state, steps * run.training.epochs
    if len(state.history) == training.epochs:
        run.observer.note("this run is complete")
    elif state.history or state.step:
        within = f" and step {state.step} of epoch {len(state.history) + 1}" if state.step else ""
        run.observer.note(f"resuming after epoch {len(state.history)}{within}")
    needed = steps_to_target(training.gate_learning_rate, _GATE_MOMENTUM)
    if training.target_channels is not None and whole < needed:
        run.observer.note(
            f"warning: {whole} steps are probably too few for the gate to reach {training.target_channels:g} channels; "
            f"it needs about {needed}"
        )
    run.observer.begin(steps, training.epochs, len(state.history) * steps + state.step)


def _summary(source: str, scenes: tuple[Scene, ...]) -> DataSummary:
    # Masks and boxes hold class numbers, which have no names; the config keeps them.
    kinds = [(scene.mask is not None, scene.boxes is not None) for scene in scenes]
    return DataSummary.of(source, (str(scene.image) for scene in scenes), kinds, ())


def _sound(training: DenseTraining, source: str, observer: Observer[Line]) -> tuple[Scene, ...]:
    """Return the scenes of a folder whose headers can be read, and report what is wrong with the others."""
    scenes, problems = sound_scenes(read_scenes(source), masks=training.task != "detection")
    for problem in problems[:_NAMED]:
        observer.note(f"left out: {problem}")
    if len(problems) > _NAMED:
        observer.note(f"left out: {len(problems) - _NAMED} more images of {source}")
    if not scenes:
        raise ValueError(f"no image of {source} can be read: {problems[0]}")
    return scenes


def _datasets(
    config: DenseConfig, scenes: tuple[Scene, ...], validation: tuple[Scene, ...]
) -> tuple[DetectionDataset | SegmentationDataset, DetectionDataset | SegmentationDataset]:
    sides: dict[str, Any] = {"shorter_side": config.shorter_side, "longer_side": config.longer_side}
    if config.task == "segmentation":
        side = config.shorter_side // CELL * CELL
        return (
            SegmentationDataset(scenes, config.classes, format=config.format, crop=(side, side)),
            SegmentationDataset(validation, config.classes, format=config.format, **sides),
        )
    instances = config.task == "instances"
    return (
        DetectionDataset(scenes, format=config.format, flip=True, instances=instances, **sides),
        DetectionDataset(validation, format=config.format, flip=False, instances=instances, **sides),
    )


def _optimizers(training: DenseTraining, network: nn.Module) -> tuple[torch.optim.Optimizer, ...]:
    """Return AdamW for the network, and SGD for a gate: Note [Gains] in steering.py holds for SGD alone.

    AdamW would divide what a channel is worth to the task by the lambda of hundreds of steps ago. A gate's weights are
    never decayed: decay would pull p(on) towards a half.
    """
    gate = list(gate_of(network).parameters()) if training.gated else []
    in_gate = {id(parameter) for parameter in gate}
    rest = [parameter for parameter in network.parameters() if id(parameter) not in in_gate]
    of_network = torch.optim.AdamW(rest, training.learning_rate)
    if not gate:
        return (of_network,)
    return of_network, torch.optim.SGD(gate, training.gate_learning_rate, momentum=_GATE_MOMENTUM, nesterov=True)


class _Seeded(Dataset[Any]):
    """Samples whose crop and flip depend on seed, epoch and index alone, however many workers read them."""

    def __init__(self, samples: Readable, seed: int) -> None:
        self.samples = samples
        self.seed = seed

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        epoch, index = key
        torch.manual_seed(seed_of(self.seed, epoch, index, 1))
        return self.samples[index]


def _step_count(training: DenseTraining, samples: int) -> int:
    """Return the steps per epoch: whole batches, or a single smaller one if there are not enough images."""
    return max(samples // training.batch_size, 1)


def _batches(run: _Run, epoch: int, done: int) -> Iterator[tuple[int, tuple[Any, Any], list[str]]]:
    """Yield (step from 1, batch, what could not be read) of an epoch, after the steps that are done."""
    training, samples = run.training, run.samples
    order = torch.Generator().manual_seed(seed_of(training.seed, epoch, 0))
    indices = torch.randperm(len(samples), generator=order).tolist()  # type: ignore[arg-type]
    size, steps = training.batch_size, _step_count(training, len(indices))
    keys = [[(epoch, index) for index in indices[step * size : (step + 1) * size]] for step in range(done, steps)]
    loader: DataLoader[Any] = DataLoader(samples, batch_sampler=keys, num_workers=training.workers, collate_fn=_collate)
    for step, (batch, unread) in enumerate(loader, done + 1):
        yield step, batch, unread


def _collate(samples: list[Any]) -> tuple[tuple[Any, Any], list[str]]:
    """Stack tensors and masks of one size, or list images and targets; and return what could not be read."""
    unread = [sample.message for sample in samples if isinstance(sample, Unread)]
    pairs = [sample for sample in samples if not isinstance(sample, Unread)]
    images, targets = [image for image, _ in pairs], [target for _, target in pairs]
    if images and isinstance(images[0], Tensor):
        return (torch.stack(images), torch.stack(targets)), unread
    return (images, targets), unread


def _losses(
    network: nn.Module, batch: tuple[Any, Any], device: torch.device, gate_weight: float
) -> tuple[dict[str, Tensor], GateDecision | None]:
    """Return every loss of a batch by name, whose sum is the training loss, and the gate's decision."""
    images, targets = batch
    losses: dict[str, Tensor]
    if isinstance(network, FrequencyDetector):
        network.gate_weight = gate_weight
        on_device = [{name: value.to(device) for name, value in target.items()} for target in targets]
        losses = network([image.to(device) for image in images], on_device)
        return losses, network.backbone.decision
    output = network(images.to(device))
    logits, decision = output if isinstance(output, GatedOutput) else (output, None)  # [N, classes, height, width]
    mask = targets.to(device)
    # Not the mean of cross_entropy: for a batch without a labelled pixel it would be 0 / 0.
    pixels = (mask != IGNORE).sum().clamp(min=1)
    losses = {"loss_mask": nn.functional.cross_entropy(logits, mask, ignore_index=IGNORE, reduction="sum") / pixels}
    if decision is not None:
        losses["loss_gate"] = gate_weight * decision.on_probability.sum(1).mean()
    return losses, decision


def _channels(decision: GateDecision | None) -> dict[str, Tensor]:
    """Return means over a batch: the sum of p(on), and the channels that are on by argmax."""
    if decision is None:
        return {}
    on_probability = decision.on_probability
    return {
        "channels_expected": on_probability.sum(1).mean(),
        "channels_on": (on_probability > 0.5).sum(1).to(on_probability.dtype).mean(),
    }


def _end_epoch(run: _Run, epoch: int, sums: Sums) -> None:
    """Log and save."""
    steps = sums["steps"]
    if not steps:
        raise ValueError(f"no batch of epoch {epoch} had {run.training.fewest} readable images")
    apart = {"left_out", "steps", "seconds"}
    means = {name: sums[name] / steps for name in sums.values if name not in apart}
    line: Line = {"epoch": epoch, "seconds": round(sums["seconds"], 2), **means, "left_out": int(sums["left_out"])}
    if run.config.gated:
        line["gate_weight"] = run.steering.weight
    run.state.history.append(line)
    save_model(run.out / "last", run.network, run.config)
    write_log(run.out, run.state.history)
    run.state.save()
    run.observer.end_epoch(line)


def _finish(run: _Run) -> tuple[DenseModel, Scores]:
    """Score the model, and draw a gate's heat map."""
    model = DenseModel(run.config, run.network.eval())
    scores: Scores
    if isinstance(run.held_out, SegmentationDataset):
        scores = evaluate_segmentation(run.network, run.held_out)
    else:
        scores = evaluate_detection(run.network, run.held_out)
    if run.config.gated:
        images = file_list([scene.image for scene in run.validation], [0] * len(run.validation))
        source = f"{run.out.name}, {run.training.validation}"
        dense_heat_map(model, images, source=source).save(run.out / "heatmap.json")
    write_whole(run.out / "scores.json", json.dumps(vars(scores)) + "\n")
    return model, scores

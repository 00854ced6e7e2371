"""The RGB network inside a FrequencyNetwork: how to build it again without the weights it came with.

An RGB network is named by where it comes from: "torchvision:resnet50", "timm:vit_base_patch16_224", or
"FILE.py:FUNCTION" for a function that returns one's own network, for which the file is executed.
"""

from __future__ import annotations

import difflib
import importlib.util
import json
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import torchvision
from torch import Tensor, nn

from jpegfreq._words import counted, verb
from jpegfreq.format import TensorFormat
from jpegfreq.models.frontend import EvaluationFilter, FrequencyNetwork, in_form
from jpegfreq.models.stems import Form, first_convolution

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "RgbSource",
    "build_rgb",
    "call_builder",
    "check_finite",
    "check_name",
    "import_timm",
    "is_rgb_source",
    "load_fitting",
    "restored_rgb",
    "runs_code",
]

# Options with which a builder would read other files or download something.
_REFUSED = ("weights", "weights_backbone", "pretrained", "checkpoint_path", "cache_dir")


@dataclass(frozen=True)
class RgbSource:
    """How the RGB network of a checkpoint is built, and what its images go through; its name is the architecture.

    Attributes:
        options: what its builder is called with, as JSON can hold it.
        mean: the mean of R, G and B that its input was normalized with, for pixels from 0 to 1.
        std: the standard deviation, likewise.
        form: the form of its FrequencyNetwork.
        tuned: whether it was trained further after it had been adapted.
    """

    options: dict[str, Any]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    form: Form
    tuned: bool = False

    def __post_init__(self) -> None:
        """Check the values, which may come from a file."""
        if not isinstance(self.options, dict) or not all(isinstance(name, str) for name in self.options):
            raise ValueError(f"the options of the RGB network must be a mapping of names, not {self.options!r}")
        if not isinstance(self.tuned, bool):
            raise ValueError(f"tuned must be True or False, not {self.tuned!r}")
        object.__setattr__(self, "options", {name: _as_tuple(value) for name, value in self.options.items()})
        for name in ("mean", "std"):
            values = getattr(self, name)
            if not isinstance(values, list | tuple) or not all(isinstance(value, int | float) for value in values):
                raise ValueError(f"{name} must be three numbers, not {values!r}")
            object.__setattr__(self, name, tuple(map(float, values)))
            if len(values) != 3 or not all((0 if name == "mean" else 1e-6) <= value <= 1 for value in values):
                raise ValueError(f"{name} must be three numbers from 0 to 1, not {values!r}")
        if self.form not in get_args(Form):
            raise ValueError(f"form must be one of {', '.join(get_args(Form))}, not {self.form!r}")

    @classmethod
    def of(cls, network: FrequencyNetwork, *, tuned: bool = False) -> RgbSource:
        """Describe the RGB network inside a FrequencyNetwork.

        Raises:
            ValueError: JSON cannot hold an option of its builder.
        """
        for name, value in network.options.items():
            try:
                json.dumps(value)
            except TypeError:
                raise ValueError(f"the option {name} of {network.source} cannot be stored: {value!r}") from None
        mean, std = tuple(network.mean), tuple(network.std)
        return cls(dict(network.options), mean, std, network.form, tuned)  # type: ignore[arg-type]

    def create(
        self,
        name: str,
        *,
        format: TensorFormat | None,
        size: tuple[int, int],
        shorter_side: int | None,
        filter: EvaluationFilter,
        classes: Sequence[str],
    ) -> nn.Module:
        """Build the FrequencyNetwork with new weights; the RGB network itself if `format` is None.

        Args:
            name: of the RGB network.
            format: as for `from_rgb`, and so are the others.
            size: likewise.
            shorter_side: likewise.
            filter: likewise.
            classes: likewise.

        Raises:
            ValueError, ImportError: as for `build_rgb`; or the network cannot have the form.
        """
        network = build_rgb(name, self.options)
        if format is None:
            return network
        made = in_form(
            self.form,
            network,
            size=size,
            mean=self.mean,
            std=self.std,
            format=format,
            classes=classes,
            shorter_side=shorter_side,
            filter=filter,
        )
        made.source, made.options = name, self.options
        return made

    def for_training(self, name: str, num_classes: int) -> RgbSource:
        """Return how a network like this is built to be trained further: with a last layer for so many classes.

        Args:
            name: of the RGB network.
            num_classes: a network of one's own gets it if its options hold a `num_classes`.
        """
        options = dict(self.options)
        if "num_classes" in options or not runs_code(name):
            options["num_classes"] = num_classes
        if name in ("torchvision:googlenet", "torchvision:inception_v3"):
            options["aux_logits"] = False  # in training they would give three outputs
        return replace(self, options=options, tuned=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values for JSON."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        plain: dict[str, Any] = json.loads(json.dumps(values))  # lists for tuples
        return plain

    @classmethod
    def from_dict(cls, values: Any) -> RgbSource:
        """Build what `to_dict` described.

        Raises:
            ValueError: the values do not describe one.
        """
        names = [field.name for field in fields(cls)]
        if not isinstance(values, dict) or sorted(values) != sorted(names):
            raise ValueError(f"the source of an RGB network must have the fields {', '.join(names)}")
        return cls(**values)


def is_rgb_source(name: str) -> bool:
    """Whether a name says where an RGB network comes from; otherwise it is one of the library's architectures."""
    return ":" in name


def runs_code(name: str) -> bool:
    """Whether a file is executed to build an RGB network of this name."""
    return name.rpartition(":")[0].endswith(".py")


def build_rgb(name: str, options: Mapping[str, Any]) -> nn.Module:
    """Build an RGB network with new weights, in evaluation mode.

    Args:
        name: "torchvision:NAME", "timm:NAME" or "FILE.py:FUNCTION"; the last executes the file.
        options: for the builder.

    Raises:
        ImportError: timm is not installed.
        ValueError: there is no such network, or it cannot be built with these options.
    """
    package, _, inner = name.rpartition(":")
    for option in _REFUSED:
        if option in options:
            raise ValueError(f"{option} is not an option with which {name} can be built again")
    build: Callable[..., nn.Module]
    if package == "torchvision":
        check_name(inner, "torchvision", torchvision.models.list_models(module=torchvision.models))
        build, quick = torchvision.models.get_model_builder(inner), {}
        if inner in ("googlenet", "inception_v3"):
            quick = {"init_weights": False}  # takes half a minute, and warns
        options = {**quick, **options}
    elif package == "timm":
        timm = import_timm()
        check_name(inner.partition(".")[0], "timm", timm.list_models())
        build, options = timm.create_model, {**options, "model_name": inner}
    elif runs_code(name):
        build = _own_function(Path(package), inner)
    else:
        raise ValueError(
            f"a network must be named torchvision:NAME, timm:NAME or FILE.py:FUNCTION, such as torchvision:resnet50, "
            f"not {name!r}"
        )
    network = call_builder(name, build, options)
    if not isinstance(network, nn.Module):
        raise ValueError(f"{name} returned {type(network).__name__}, not a torch.nn.Module")
    return network.eval()


def call_builder(name: str, build: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """Call the function that makes an RGB network.

    Raises:
        OSError: it cannot read or download its weights.
        ValueError: it raises another error, such as one about its options.
    """
    try:
        return build(**options)
    except OSError:
        raise
    except Exception as error:  # it is not our code
        given = ", ".join(f"{key}={value!r}" for key, value in options.items() if key not in ("model_name", "weights"))
        with_options = f" with {given}" if given else ""
        raise ValueError(f"{name} could not be built{with_options}: {_in_a_line(error)}") from error


def restored_rgb(
    network: nn.Module, source: RgbSource, tensors: Mapping[str, Tensor], *, size: tuple[int, int]
) -> dict[str, Tensor]:
    """Return the RGB network's tensors by name, from those of its FrequencyNetwork.

    A first convolution that was folded comes back as it was before, whatever has been trained since.

    Args:
        network: the RGB network, with any weights.
        source: how it was adapted.
        tensors: of the FrequencyNetwork.
        size: (height, width) of the images in pixels.
    """
    inner = {name.removeprefix("network."): tensor for name, tensor in tensors.items() if name.startswith("network.")}
    if source.form == "layer":
        return inner
    stem = first_convolution(network, size)
    inner = {name: tensor for name, tensor in inner.items() if not name.startswith(f"{stem}.")}
    for part in ("weight", "bias"):
        if f"stem_{part}" in tensors:
            inner[f"{stem}.{part}"] = tensors[f"stem_{part}"]
    return inner


def load_fitting(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load tensors whose names and shapes are the network's; num_batches_tracked may be missing.

    They are as new as the network's own, which some networks ask for: MNASNet refuses tensors without a version.
    """
    versioned = OrderedDict(tensors)
    versioned._metadata = network.state_dict()._metadata  # type: ignore[attr-defined]
    network.load_state_dict(versioned, strict=False)


def check_finite(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], where: str) -> None:
    """Require finite weights: with others, a network answers the same to every image, or nothing at all.

    Args:
        tensors: to be loaded, by name.
        own: those of the new network, by name. What is infinite there by design, such as a mask, may be infinite.
        where: the file, for errors.

    Raises:
        ValueError: some are infinite or not a number; the message names the first tensor.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or bool(tensor.isfinite().all()):
            continue
        if name in own and (own[name].is_meta or bool(own[name].isfinite().all())):
            wrong = int((~tensor.isfinite()).sum())
            raise ValueError(
                f"{where}: {wrong:,} of the {counted(tensor.numel(), 'value')} of {name} {verb(wrong)} infinite or not "
                "a number: the weights are damaged, or their training diverged"
            )


def import_timm() -> Any:
    """Import timm.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import timm
    except ImportError as error:
        raise ImportError("networks of timm need timm, which is not installed: pip install timm") from error
    return timm


def check_name(name: str, source: str, known: Iterable[str]) -> None:
    """Require the name of a network, and suggest one that is like it.

    Raises:
        ValueError: there is none of this name.
    """
    known = list(known)
    if name not in known:
        like = difflib.get_close_matches(name, known, 1)
        hint = f": did you mean {like[0]}?" if like else ""
        raise ValueError(f"{source} has no network named {name!r}{hint}")


def _own_function(path: Path, function: str) -> Callable[..., nn.Module]:
    """Execute a file and return a function of it.

    Raises:
        ValueError: the file cannot be executed, or has no such function.
    """
    if not path.is_file():
        raise ValueError(f"{path}, which makes the network, does not exist")
    spec = importlib.util.spec_from_file_location(f"jpegfreq_network_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)  # the file may import others beside it
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ValueError(f"{path} could not be executed: {_in_a_line(error)}") from error
    finally:
        sys.path.remove(folder)
    made = getattr(module, function, None)
    if made is not None and not callable(made):
        raise ValueError(f"{function!r} of {path} is not a function")
    if made is None:
        like = difflib.get_close_matches(function, [name for name in vars(module) if not name.startswith("_")], 1)
        hint = f": did you mean {like[0]}?" if like else ""
        raise ValueError(f"{path} has no function named {function!r}{hint}")
    return made  # type: ignore[no-any-return]


def _in_a_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _as_tuple(value: Any) -> Any:
    """Return an option as it was before JSON made lists of its tuples."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value

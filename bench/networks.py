"""All of torchvision's classifiers and many of timm's on frequency tensors, against themselves on the float pixels.

    python -m bench.networks                      # an hour or two; resumes where it was stopped
    python -m bench.networks --only resnet,vit_   # networks whose names contain one of these
    python -m bench.networks --report             # measure nothing; write the tables from the log

No weights are downloaded. Each network has random weights. Its batch norms are calibrated on random images, and layers
that begin as zeros or nearly so (heads, layer scales, the last norms of residual branches) get values, so that every
branch counts. Its weights go through a file into `from_torchvision` or `from_timm`. Then two images of random
coefficients take two ways: as coefficients into the adapted network, and into the RGB network as float pixels, which an
inverse DCT and a color conversion in float64 made of them. Both networks compute in float32.

The error is the norm of the difference between the outputs of both, over the norm of the outputs. It means something
only if the network tells images apart, so the outputs of the two images must differ by 100 times as much. Where the
error misses the aim, two more numbers tell whether that is the front end or float32: the same error with both networks
in float64, and the difference between the RGB network's own outputs in float32 and in float64.
"""

from __future__ import annotations

import argparse
import gc
import json
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from bench import report
from jpegfreq import TensorFormat
from jpegfreq.models import from_rgb, from_timm, from_torchvision
from jpegfreq.models.pixel_layer import PixelLayer
from jpegfreq.models.stems import size_taken

LOG = Path(__file__).resolve().parent / "results" / "networks.jsonl"
README = LOG.parents[1] / "README.md"
BEGIN, END = "<!-- networks: written by python -m bench.networks -->", "<!-- end of networks -->"
MUST, AIM = 1e-4, 1e-5
APART = 100  # by how many errors the outputs of two images must differ
LARGE = 150e6  # parameters; networks with more are measured last

# One or more networks of each of timm's families, the smallest of the family where that has the same parts.
TIMM = (
    "beit_base_patch16_224", "cait_xxs24_224", "coat_tiny", "coatnet_nano_rw_224", "convit_tiny", "convmixer_768_32",
    "convnext_atto", "convnextv2_atto", "crossvit_9_240", "cspdarknet53", "davit_tiny", "deit3_small_patch16_224",
    "densenet121", "dla34", "dm_nfnet_f0", "dpn68b", "edgenext_xx_small", "efficientformer_l1", "efficientnet_lite0",
    "efficientvit_b0", "eva02_tiny_patch14_224", "fastvit_t8", "focalnet_tiny_srf", "gcvit_xxtiny", "ghostnet_100",
    "gmlp_s16_224", "hrnet_w18_small", "inception_next_tiny", "inception_v4", "levit_128s", "maxvit_nano_rw_256",
    "mixer_b16_224", "mixnet_s", "mobilenetv4_conv_small", "mobileone_s0", "mobilevit_xxs", "mvitv2_tiny",
    "nest_tiny_jx", "pit_ti_224", "poolformer_s12", "pvt_v2_b0", "regnetz_040", "repvgg_a0", "res2net50_26w_4s",
    "resmlp_12_224", "resnest14d", "resnet26d", "resnetv2_50x1_bit", "rexnet_100", "selecsls42b", "sequencer2d_s",
    "seresnet50", "skresnet18", "swin_s3_tiny_224", "swinv2_cr_tiny_224", "tf_efficientnet_b0", "tiny_vit_5m_224",
    "tnt_s_patch16_224", "tresnet_m", "twins_pcpvt_small", "vgg11_bn", "visformer_tiny", "vit_small_patch14_dinov2",
    "vit_tiny_patch16_224", "volo_d1_224", "xception41", "xcit_nano_12_p8_224",
)  # fmt: skip

# Networks that take more than their name to build.
OPTIONS: dict[str, dict[str, Any]] = {"vit_small_patch14_dinov2": {"img_size": 224}}


@dataclass(frozen=True)
class Row:
    """What was measured of one network.

    Attributes:
        source: "torchvision" or "timm".
        name: the network's name there.
        form: of the FrequencyNetwork.
        size: the images' height and width in pixels.
        error: see the module, in float32.
        apart: the norm of the difference between the outputs of two images, over the norm of one of them.
        double: the error in float64; None where float32 reaches the aim.
        rounding: how far the RGB network's own outputs in float32 lie from those in float64; None likewise.
        seconds: how long the measurement took.
    """

    source: str
    name: str
    form: str
    size: int
    error: float
    apart: float
    double: float | None
    rounding: float | None
    seconds: float

    @property
    def tells_images_apart(self) -> bool:
        """Whether the outputs of two images differ by so much that the error means something."""
        return self.apart >= APART * self.error


@dataclass(frozen=True)
class Case:
    """A network as its package builds it, and how it wants its input."""

    source: str
    name: str
    network: nn.Module
    mean: Sequence[float]
    std: Sequence[float]
    size: int

    def take(self, coefficients: Tensor) -> Tensor:
        """Turn coefficients [N, 192, H / 8, W / 8] into the network's input [N, 3, size, size], float64."""
        mean, std = (torch.tensor(values, dtype=torch.float64)[:, None, None] for values in (self.mean, self.std))
        return (pixels(coefficients)[:, :, : self.size, : self.size] / 255 - mean) / std


def names() -> list[tuple[str, str]]:
    """Return the source and the name of every network, the largest last."""
    known = torchvision.models.list_models(module=torchvision.models)
    cost = {name: next(iter(torchvision.models.get_model_weights(name))).meta["num_params"] for name in known}
    ordered = sorted(known, key=cost.__getitem__)
    small = [("torchvision", name) for name in ordered if cost[name] < LARGE]
    large = [("torchvision", name) for name in ordered if cost[name] >= LARGE]
    return small + [("timm", name) for name in TIMM] + large


def build(source: str, name: str) -> Case:
    """Build a network with random weights in which every branch counts."""
    torch.manual_seed(0)
    if source == "torchvision":
        network = torchvision.models.get_model(name, weights=None)
        usual = torchvision.models.get_model_weights(name).DEFAULT.transforms()
        mean, std, (side,) = usual.mean, usual.std, usual.crop_size
    else:
        import timm

        network = timm.create_model(name, **OPTIONS.get(name, {}))
        config = timm.data.resolve_data_config(model=network)
        mean, std, side = config["mean"], config["std"], config["input_size"][-1]
    case = Case(source, name, network.eval(), mean, std, (size_taken(network) or (side,))[0])
    enliven(network)
    calibrate(case)
    return case


@torch.no_grad()
def enliven(network: nn.Module) -> None:
    """Give values to the layers that begin as zeros, or so near that what they scale cannot be seen in the outputs."""
    for name, parameter in network.named_parameters():
        if "bias" in name or not parameter.numel() or parameter.abs().max() > 1e-3:
            continue
        inputs = parameter[0].numel() if parameter.ndim > 1 else 1
        scale = 0.3 if inputs == 1 else inputs**-0.5
        parameter.copy_(scale * torch.randn_like(parameter))


@torch.no_grad()
def calibrate(case: Case) -> None:
    """Set the statistics of batch norms to those of four random images."""
    norms = [module for module in case.network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.train()
        norm.momentum = None  # the mean over all passes
        norm.reset_running_stats()
    if norms:
        for seed in (2, 3):
            case.network(case.take(random_coefficients(4, case.size, seed)).float())
    for norm in norms:
        norm.eval()


def random_coefficients(count: int, size: int, seed: int) -> Tensor:
    """Return coefficients that fall with the frequency as those of photographs do: float64 [N, 192, high, wide]."""
    cells = -(-size // 8)
    random = torch.randn(
        count, 3, 8, 8, cells, cells, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    v, u = torch.arange(8)[:, None], torch.arange(8)
    random *= (400 / (1 + v + u).double() ** 2)[:, :, None, None]
    random[:, 1:] *= 0.3  # chroma
    return random.reshape(count, 192, cells, cells).float().double()  # as float32 tensors hold them


def pixels(coefficients: Tensor) -> Tensor:
    """Return the RGB pixels, from 0 to 255 or a little beyond, by the inverse DCT's definition and JFIF's equations."""
    u, x = torch.arange(8, dtype=torch.float64)[:, None], torch.arange(8, dtype=torch.float64)
    dct = torch.where(u == 0, u.new_tensor(0.125).sqrt(), u.new_tensor(0.5)) * torch.cos(
        (2 * x + 1) * u * torch.pi / 16
    )
    count, _, high, wide = coefficients.shape
    blocks = coefficients.reshape(count, 3, 8, 8, high, wide)
    planes = torch.einsum("ncvuhw,vy,ux->nchywx", blocks, dct, dct).reshape(count, 3, 8 * high, 8 * wide)
    y, cb, cr = planes[:, 0] + 128, planes[:, 1], planes[:, 2]
    r, b = y + 1.402 * cr, y + 1.772 * cb
    return torch.stack([r, (y - 0.299 * r - 0.114 * b) / 0.587, b], 1)


def measure(source: str, name: str) -> Row:
    """Measure one network, through a file of its weights."""
    start = time.perf_counter()
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # what torchvision and timm say of their own parts
        case = build(source, name)
        size = case.size
        coefficients = random_coefficients(2, size, seed=1)
        expected = _outputs(case.network, case.take(coefficients).float())
        path = Path(folder, "weights.pth")
        torch.save(case.network.state_dict(), path)
        del case  # the largest network has 2.6 GB
        adapt = from_torchvision if source == "torchvision" else from_timm
        adapted = adapt(name, weights=path, **OPTIONS.get(name, {}))
        assert adapted.size == (size, size), f"{name} is adapted to {adapted.size}, not to {size} x {size} pixels"
        form, found = adapted.form, _outputs(adapted, coefficients.float())
        del adapted
        error, apart = _distance(found, expected), _distance(expected[:1], expected[1:])
        double = rounding = None
        if not error < AIM:
            double, rounding = _in_double(build(source, name), form, coefficients, expected)
    gc.collect()
    return Row(source, name, form, size, error, apart, double, rounding, round(time.perf_counter() - start, 1))


def _in_double(case: Case, form: str, coefficients: Tensor, single: Tensor) -> tuple[float, float]:
    """Return the error in float64, and how far the RGB network's outputs in float32 lie from those in float64."""
    network = case.network.double()
    expected = _outputs(network, case.take(coefficients))
    adapted: nn.Module
    if form == "layer":  # without a copy of the network: the largest has 5 GB
        adapted = nn.Sequential(PixelLayer(TensorFormat(), (case.size,) * 2, mean=case.mean, std=case.std), network)
    else:
        adapted = from_rgb(network, size=case.size, mean=case.mean, std=case.std)
    return _distance(_outputs(adapted, coefficients), expected), _distance(single, expected)


@torch.no_grad()
def _outputs(network: nn.Module, x: Tensor) -> Tensor:
    outputs: Tensor = network(x)
    return outputs.double()


def _distance(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def load() -> list[Row]:
    """Read the log."""
    lines = LOG.read_text(encoding="utf-8").splitlines() if LOG.exists() else []
    return [Row(**json.loads(line)) for line in lines]


def markdown(rows: Sequence[Row]) -> str:
    """Write a summary, and the networks that miss the aim."""
    if not rows:
        return "Nothing has been measured yet."
    lines = [
        "| networks of | measured | error at most 1e-5 | at most 1e-4 | larger | median error | largest error |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for source in ("torchvision", "timm"):
        errors = sorted(row.error for row in rows if row.source == source)
        if errors:
            within = [sum(error < limit for error in errors) for limit in (AIM, MUST)]
            lines.append(
                f"| {source} | {len(errors)} | {within[0]} | {within[1]} | {len(errors) - within[1]} | "
                f"{errors[len(errors) // 2]:.1e} | {errors[-1]:.1e} |"
            )
    forms = sorted({row.form for row in rows})
    counted = ", ".join(f"{form} {sum(row.form == form for row in rows)}" for form in forms)
    closest = min(rows, key=lambda row: row.apart / row.error)
    lines += [
        "",
        f"Forms: {counted}. The outputs of the two images differ by at least {closest.apart / closest.error:.0f} times "
        f"the error ({closest.name}).",
    ]
    missed = sorted((row for row in rows if not row.error < AIM), key=lambda row: -row.error)
    if missed:
        lines += [
            "",
            "These miss the aim of 1e-5. In float64 their errors vanish, and the RGB network's own outputs in float32 "
            "lie about as far from its outputs in float64: it is float32's rounding, which the network magnifies.",
            "",
            "| network | error | the RGB network's own rounding | error in float64 |",
            "| --- | --: | --: | --: |",
            *(f"| {row.name} | {row.error:.1e} | {row.rounding:.1e} | {row.double:.0e} |" for row in missed),
        ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.networks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="TEXT,TEXT", help="networks whose names contain one of these")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="threads of the networks (default: 2)")
    parser.add_argument("--report", action="store_true", help="measure nothing; write the tables from the log")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    done = {(row.source, row.name) for row in load()}
    for source, name in [] if options.report else names():
        if (source, name) not in done and any(part in name for part in options.only.split(",")):
            row = measure(source, name)
            with LOG.open("a", encoding="utf-8") as log:
                log.write(json.dumps(asdict(row)) + "\n")
            print(f"{row.source} {row.name}, {row.form}: error {row.error:.1e}, {row.seconds:.0f} s", flush=True)
    text = README.read_text(encoding="utf-8")
    README.write_text(report.replaced(text, markdown(load()), (BEGIN, END)), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Residual networks: a teacher, and the bodies of students."""

import re
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from student_builder.errors import ExperimentError


class Block(nn.Module):
    """Pre-activation residual block: two 3x3 convolutions."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        same = channels_in == channels_out and stride == 1
        self.shortcut = None if same else nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        activated = functional.relu(self.norm1(x))
        shortcut: Tensor = x if self.shortcut is None else self.shortcut(activated)
        residual: Tensor = self.conv2(functional.relu(self.norm2(self.conv1(activated))))
        return shortcut + residual


class Body(nn.Sequential):
    """Images [N, channels, H, W] -> feature map [N, channels_out, h, w], after its last ReLU."""

    channels_out: int


class WideResNetBody(Body):
    """A wide residual network (Zagoruyko and Komodakis, arXiv 1605.07146): 64 width channels at H/4, W/4.

    `depth` is 6 n + 4; `width` may be below 1 for very small networks.
    """

    def __init__(self, depth: int, width: float, channels: int) -> None:
        if depth < 10 or (depth - 4) % 6:
            raise ExperimentError(f"a wide residual network has depth 10, 16, 22, 28, ...; not {depth}")
        if width <= 0 or channels < 1:
            raise ExperimentError(f"width and channels must be above 0, not {width} and {channels}")
        widths = [max(1, round(base * width)) for base in (16, 32, 64)]
        stem = min(16, widths[0])
        layers: list[nn.Module] = [nn.Conv2d(channels, stem, 3, padding=1, bias=False)]
        channels_in = stem
        for stage, channels_out in enumerate(widths):
            for block in range((depth - 4) // 6):
                layers.append(Block(channels_in, channels_out, 2 if stage and not block else 1))
                channels_in = channels_out
        super().__init__(*layers, nn.BatchNorm2d(channels_in), nn.ReLU(inplace=True))
        self.channels_out = channels_in


class CompactBody(Body):
    """A small ResNet-9 whose first convolution halves the image, for short schedules on CPUs.

    The first of `widths` is the first convolution's; each one after it a convolution, a pooling that halves
    the map, and a residual pair of convolutions. Nothing is computed at full resolution, where so narrow a
    network spends most of its time on moving memory, and normalisation comes after pooling.
    """

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        if len(widths) < 2 or min(widths) < 1 or channels < 1:
            raise ExperimentError(f"at least two widths, above 0, not {list(widths)} on {channels} channels")
        layers: list[nn.Module] = [_convolution(channels, widths[0], stride=2)]
        for channels_in, channels_out in pairwise(widths):
            layers += [_convolution(channels_in, channels_out, pool=True), _Residual(channels_out)]
        super().__init__(*layers)
        self.channels_out = widths[-1]


def _convolution(channels_in: int, channels_out: int, stride: int = 1, pool: bool = False) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
    pooling = [nn.MaxPool2d(2)] if pool else []
    return nn.Sequential(convolution, *pooling, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_convolution(channels, channels), _convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.body(x)
        return x + residual


class WideResNet(nn.Module):
    """A whole classifier: images [N, channels, H, W] -> logits [N, classes]."""

    def __init__(self, depth: int = 16, width: float = 1, channels: int = 3, classes: int = 10) -> None:
        super().__init__()
        self.features = WideResNetBody(depth, width, channels)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(self.features.channels_out, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(x)).flatten(1))
        return logits


def parse_architecture(architecture: str, channels: int) -> Body:
    """The body for a name such as `wrn-16-1`, `wrn-10-0.25` or `compact-32-48-60`.

    Raises:
        ExperimentError: for any other name.
    """
    if wide := re.fullmatch(r"wrn-(\d+)-(\d+(?:\.\d+)?)", architecture):
        return WideResNetBody(int(wide[1]), float(wide[2]), channels)
    if re.fullmatch(r"compact(-\d{1,4}){2,6}", architecture):
        return CompactBody([int(width) for width in architecture.split("-")[1:]], channels)
    raise ExperimentError(
        f"unknown student architecture {architecture!r}: use wrn-DEPTH-WIDTH, for example wrn-16-1, "
        "or compact-WIDTH-WIDTH-..., for example compact-32-48-60"
    )


def initialise(network: nn.Module) -> None:
    """He initialisation of the convolutions, fan-out (arXiv 1502.01852), as in the WRN paper's code."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def count_parameters(network: nn.Module) -> int:
    """Trained numbers and fixed classifier columns: what a device must hold, batch statistics apart."""
    fixed = sum(b.numel() for name, b in network.named_buffers() if name.endswith("columns"))
    return fixed + sum(p.numel() for p in network.parameters())


def count_multiply_adds(network: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Multiply-adds of one image [C, H, W]; batch norm and activations are not counted, as is usual."""
    from torch.utils.flop_counter import FlopCounterMode

    was_training = network.training
    network.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, *image_shape))
    network.train(was_training)
    return int(counter.get_total_flops()) // 2

"""What it costs to run one network on many devices by splitting every layer's feature map by rows.

As in MoDNN (Mao et al., DATE 2017): device d of D computes the rows from floor(d H / D) to
floor((d + 1) H / D) - 1 of each feature map of H rows. A 3x3 convolution needs one more row above and below;
with them, no row is computed twice. A pooling is done together with the convolution before it, on the device,
and the global average as sums of each device's own rows: the least that can be sent. Two ways to get the rows
there:

    exchanged   each device keeps its rows and is sent only what it lacks, by the device that has it
    gathered    a group owner, none of the devices, sends each layer's input and collects its output (MoDNN's)

Bytes: 1 for each number of the image, 4 for each of a feature map, without any framing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import nn

PIXEL_BYTES: Final = 1
FLOAT_BYTES: Final = 4


@dataclass(frozen=True, slots=True)
class FeatureMap:
    channels: int
    rows: int
    columns: int

    def numbers(self, rows: int) -> int:
        """In so many of its rows."""
        return self.channels * rows * self.columns


@dataclass(frozen=True, slots=True)
class Window:
    """A convolution or a pooling, seen from above: what rows of its input a row of its output is made of."""

    kernel: int
    stride: int
    padding: int
    rows: int
    """Of its input."""

    def needed(self, rows: range) -> range:
        if not rows:
            return rows
        first, last = rows[0] * self.stride - self.padding, rows[-1] * self.stride - self.padding
        return range(max(first, 0), min(last + self.kernel, self.rows))


@dataclass(frozen=True)
class Stage:
    """What is computed without asking others: a convolution and the poolings that follow it."""

    source: FeatureMap
    result: FeatureMap
    windows: tuple[Window, ...]

    def needed(self, rows: range) -> range:
        """Rows of the source for these rows of the result."""
        for window in reversed(self.windows):
            rows = window.needed(rows)
        return rows


@dataclass(frozen=True, slots=True)
class Traffic:
    """Bytes of one inference, of one device: to it, and from it."""

    down: int
    up: int

    @property
    def both(self) -> int:
        return self.down + self.up


def share(rows: int, device: int, devices: int) -> range:
    return range(rows * device // devices, rows * (device + 1) // devices)


@dataclass(frozen=True)
class Split:
    stages: Sequence[Stage]
    devices: int

    @cached_property
    def _image(self) -> list[int]:
        """Bytes to each device."""
        first = self.stages[0]
        return [PIXEL_BYTES * first.source.numbers(len(self._needed(first, d))) for d in self._all]

    @cached_property
    def _sums(self) -> list[int]:
        """Bytes from each device: what the global average and the classifier are computed of."""
        last = self.stages[-1].result
        return [FLOAT_BYTES * last.channels * bool(self._own(last, d)) for d in self._all]

    def exchanged(self) -> list[Traffic]:
        down, up = list(self._image), list(self._sums)
        for stage in self.stages[1:]:
            row_bytes = FLOAT_BYTES * stage.source.numbers(1)
            own = [self._own(stage.source, d) for d in self._all]
            for d in self._all:
                for row in self._needed(stage, d):
                    if row not in own[d]:
                        down[d] += row_bytes
                        up[next(other for other in self._all if row in own[other])] += row_bytes
        return _traffic(down, up)

    def gathered(self) -> list[Traffic]:
        down, up = list(self._image), list(self._sums)
        for stage in self.stages[1:]:
            for d in self._all:
                down[d] += FLOAT_BYTES * stage.source.numbers(len(self._needed(stage, d)))
                up[d] += FLOAT_BYTES * stage.source.numbers(len(self._own(stage.source, d)))
        return _traffic(down, up)

    @property
    def _all(self) -> range:
        return range(self.devices)

    def _own(self, feature_map: FeatureMap, device: int) -> range:
        return share(feature_map.rows, device, self.devices)

    def _needed(self, stage: Stage, device: int) -> range:
        return stage.needed(self._own(stage.result, device))


def _traffic(down: Iterable[int], up: Iterable[int]) -> list[Traffic]:
    return [Traffic(*both) for both in zip(down, up, strict=True)]


def stages(network: "nn.Module", image: FeatureMap) -> list[Stage]:
    """The network's convolutions and poolings in the order in which it calls them.

    Raises ValueError where one does not take what the one before it made, since the network is no chain then,
    and for a dilated one.
    """
    import torch
    from torch import nn

    found: list[Stage] = []

    def hook(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
        source, result = FeatureMap(*inputs[0].shape[1:]), FeatureMap(*output.shape[1:])
        before = found[-1].result if found else image
        if source != before:
            raise ValueError(f"{module} takes {source}, and the layer before it made {before}")
        if _vertical(getattr(module, "dilation", 1)) != 1:
            raise ValueError(f"{module} skips rows: what it needs is no range of them")
        kernel, stride, padding = map(_vertical, (module.kernel_size, module.stride, module.padding))
        window = Window(kernel, stride, padding, source.rows)
        if isinstance(module, nn.Conv2d) or not found:
            found.append(Stage(source, result, (window,)))
        else:
            found[-1] = Stage(found[-1].source, result, (*found[-1].windows, window))

    hooks = [
        module.register_forward_hook(hook)
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d)
    ]
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, image.channels, image.rows, image.columns))
    finally:
        for each in hooks:
            each.remove()
    return found


def _vertical(size: int | tuple[int, ...]) -> int:
    return size if isinstance(size, int) else size[0]

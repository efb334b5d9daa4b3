"""What a student costs, from its architecture alone: the same counts as student_builder's, without torch."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

# Of student_builder's wide residual networks: channels of the three stages, and of the stem at the most.
STAGES: Final = (16, 32, 64)


@dataclass(frozen=True, slots=True)
class Image:
    height: int
    width: int
    channels: int


@dataclass(frozen=True, slots=True)
class Network:
    """`wrn-DEPTH-WIDTH`, the body of a student."""

    depth: int
    width: float

    @property
    def name(self) -> str:
        return f"wrn-{self.depth}-{self.width:g}"

    @property
    def features(self) -> int:
        """Channels of its last feature map."""
        return max(1, round(STAGES[-1] * self.width))


def parse_network(name: str) -> Network:
    """Raises ValueError for what is no wide residual network of ours."""
    match = re.fullmatch(r"wrn-(\d{1,4})-(\d{1,4}(?:\.\d{1,4})?)", name, re.ASCII)
    if match is None or (int(match[1]) - 4) % 6 or int(match[1]) < 10 or float(match[2]) <= 0:
        raise ValueError(f"{name!r} is no wrn-DEPTH-WIDTH such as wrn-16-1, with depth 10, 16, 22, ...")
    return Network(int(match[1]), float(match[2]))


@dataclass(frozen=True, slots=True)
class Cost:
    """multiply_adds: for one image. parameters: as many numbers of four bytes as its file holds, or so."""

    multiply_adds: int
    parameters: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.multiply_adds + other.multiply_adds, self.parameters + other.parameters)


@lru_cache(4096)
def student_cost(network: Network, image: Image, filters: int, classes: int) -> Cost:
    """Of a student for a part of so many filters: body, bridge and the part's columns of the classifier."""
    height, width = image.height, image.width
    widths = [max(1, round(base * network.width)) for base in STAGES]
    before = min(16, widths[0])
    total = _convolution(image.channels, before, 9, height, width)
    for stage, after in enumerate(widths):
        for block in range((network.depth - 4) // 6):
            shrinks = stage > 0 and block == 0
            if shrinks:
                height, width = (height + 1) // 2, (width + 1) // 2
            total += _norm(before) + _convolution(before, after, 9, height, width)
            total += _norm(after) + _convolution(after, after, 9, height, width)
            if shrinks or before != after:
                total += _convolution(before, after, 1, height, width)
            before = after
    total += _norm(before) + _convolution(before, filters, 1, height, width) + _norm(filters)
    return total + Cost(0, classes * filters)


def _convolution(before: int, after: int, taps: int, height: int, width: int) -> Cost:
    weights = before * after * taps
    return Cost(weights * height * width, weights)


def _norm(channels: int) -> Cost:
    return Cost(0, 2 * channels)

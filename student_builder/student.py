"""A student: a small body, and a head that makes partial logits of its features."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from student_builder.experiment import Head
from student_builder.networks import initialise, parse_architecture


class Student(nn.Module):
    """images [N, channels, H, W] -> features [N, F]; `partial_logits` makes [N, classes] of them.

    head:
    - `bridge`: a 1x1 convolution, batch norm and ReLU widen the body's map to the part, so that the features
      are an imitation of the part's own, F = part width, as in NoNN (arXiv 1907.11804). The part's columns
      of the teacher's classifier are kept as they are.
    - `linear`: the features are the body's own, and the columns are learned. The student imitates its part's
      logits and not its features; what it costs does not grow with the part.
    mirror: once trained, it looks at each image and at its mirror image, and takes the mean of the features.
    Twice the multiply-adds, not a number more to hold.
    """

    columns: Tensor

    def __init__(
        self,
        architecture: str,
        channels: int,
        columns: Tensor,
        nonnegative: bool = True,
        head: Head = "bridge",
        mirror: bool = False,
    ) -> None:
        super().__init__()
        self.body = parse_architecture(architecture, channels)
        self.imitates_features = head == "bridge"
        self.mirror = mirror
        if self.imitates_features:
            self.bridge = _bridge(self.body.channels_out, columns.shape[1], nonnegative)
            self.register_buffer("columns", columns.clone())
        else:
            self.bridge = nn.Sequential()
            scale = 1 / math.sqrt(self.body.channels_out)
            self.columns = nn.Parameter(scale * torch.randn(columns.shape[0], self.body.channels_out))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        if self.mirror and not self.training:
            # In one pass: a graph with two of them cannot be quantised, since they share weights.
            both = self._features(torch.cat([x, x.flip(3)]))
            return both.view(2, -1, both.shape[1]).mean(0)
        return self._features(x)

    def _features(self, x: Tensor) -> Tensor:
        features: Tensor = self.bridge(self.body(x))
        return features.mean((2, 3))

    def partial_logits(self, features: Tensor) -> Tensor:
        """[N, F] -> [N, classes]."""
        return functional.linear(features, self.columns)


def _bridge(channels_in: int, width: int, nonnegative: bool) -> nn.Sequential:
    bridge = nn.Sequential(nn.Conv2d(channels_in, width, 1, bias=False), nn.BatchNorm2d(width))
    if nonnegative:  # a teacher whose features may be below 0 must stay imitable
        bridge.append(nn.ReLU(inplace=True))
    return bridge

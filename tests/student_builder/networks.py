"""Ways in which people write classifiers: images [N, 3, 8, 8] -> logits [N, 5]."""

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 5


def block(channels_in: int, channels_out: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True))


def nested() -> nn.Module:
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(6, CLASSES))
    return nn.Sequential(nn.Sequential(block(3, 4), nn.MaxPool2d(2), block(4, 6)), head)


class FunctionalPooling(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(block(3, 4), block(4, 6))
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.features(x).mean((2, 3)))
        return logits


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(block(channels, channels), block(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResidualLast(nn.Module):
    """As ResNet-9: the last map is the sum that ends a block."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(block(3, 6), nn.MaxPool2d(2), Residual(6))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.pool(self.features(x)).flatten(1))
        return logits


class FunctionsOnly(nn.Module):
    """As pre-activation networks: the last map is a function's, pooled by another."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3)
        self.norm = nn.BatchNorm2d(6)
        self.linear = nn.Linear(6, CLASSES, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        maps = functional.relu(self.norm(self.conv(x)))
        logits: Tensor = self.linear(functional.avg_pool2d(maps, 6).view(len(x), 6))
        return logits


class SumInPlace(nn.Module):
    """The output of a module is changed afterwards: it is not the last map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = block(3, 6)
        self.body = block(6, 6)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.stem(x)
        maps += self.body(maps)
        logits: Tensor = self.fc(maps.mean((-1, -2)))
        return logits


class MapOfOnePixel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 6, 2))
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.down(x).flatten(1))
        return logits


class OneByOneConvolutionLast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = block(3, 4)
        self.widen = nn.Conv2d(4, 6, 1)
        self.fc = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(functional.adaptive_avg_pool2d(self.widen(self.stem(x)), 1).squeeze())
        return logits


class Ending(nn.Module):
    """Networks that do not end as a teacher has to."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.features = block(3, 6)
        self.hidden = nn.Linear(6, 6)
        self.fc = nn.Linear(6, CLASSES)
        self.conv = nn.Conv2d(6, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.features(x)
        pooled = maps.mean((2, 3))
        ends = {
            "log_softmax": lambda: self.fc(pooled).log_softmax(1),
            "scaled in place": lambda: self.fc(pooled).mul_(0.125),
            "convolution": lambda: self.conv(maps).mean((2, 3)),
            "hidden layer": lambda: self.fc(functional.relu(self.hidden(pooled))),
            "largest value": lambda: self.fc(maps.amax((2, 3))),
            "tuple": lambda: (self.fc(pooled), pooled),
            "one image": lambda: self.fc(pooled)[0],
            "not a number": lambda: self.fc(pooled * torch.nan),
        }
        logits: Tensor = ends[self.kind]()
        return logits

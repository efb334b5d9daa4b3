"""The boards that a container can be made to resemble, and how many of which: `pi4:6,zero2:2`.

A device computes with one thread, so what counts is one core of the board against one core of the machine
that runs the containers. The measure is ResNet-18 on one image, float32, one thread: 3x3 convolutions, as
students are. The boards' times are those of ncnn's published benchmark (its benchmark/README.md). The
reference is ONNX Runtime 1.32 on one core of an AMD EPYC at 2.6 GHz (Zen 4): 34 ms, the median of 40. So each
share is an estimate: one runtime was measured there and another here, and on a slower machine than that one
each board is slower than it says.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MOST_DEVICES: Final = 64
REFERENCE_MS: Final = 34.0
SYSTEM_MB: Final = 256
"""What is not there for a program: 76 MB that the firmware keeps for graphics, and 180 MB for the system."""


@dataclass(frozen=True, slots=True)
class Board:
    """cores: of which a device uses one to compute. memory_mb: built in. resnet18_ms: on one core."""

    title: str
    cores: int
    memory_mb: int
    resnet18_ms: float
    why: str

    @property
    def share(self) -> float:
        """Of one core of the reference machine."""
        return round(REFERENCE_MS / self.resnet18_ms, 2)

    @property
    def free_mb(self) -> int:
        return self.memory_mb - SYSTEM_MB


BOARDS: Final[Mapping[str, Board]] = {
    "pi3": Board(
        "Raspberry Pi 3 Model B+", 4, 1024, 380.0, "Cortex-A53 at 1.4 GHz; ncnn needs 380 ms for ResNet-18"
    ),
    "pi4": Board(
        "Raspberry Pi 4 Model B, 4 GB",
        4,
        4096,
        191.0,
        "Cortex-A72 at 1.8 GHz; ncnn needs 191 ms for ResNet-18",
    ),
    "pi5": Board(
        "Raspberry Pi 5, 8 GB",
        4,
        8192,
        83.0,
        "Cortex-A76 at 2.4 GHz; not in ncnn's list, so 2.3 times a Pi 4: between the 1.85 that sysbench "
        "finds for one core and the 2.7 that clock and width of its vector units make",
    ),
    "zero2": Board(
        "Raspberry Pi Zero 2 W", 4, 512, 655.0, "Cortex-A53 at 1.0 GHz; ncnn needs 655 ms for ResNet-18"
    ),
}


@dataclass(frozen=True, slots=True)
class Group:
    """So many devices of one board."""

    board: str
    count: int


def parse_groups(text: str) -> tuple[Group, ...]:
    """`pi4:6,zero2:2`. ValueError says in one line what is wrong, and what there is.

    >>> parse_groups("pi4:6, zero2:2")
    (Group(board='pi4', count=6), Group(board='zero2', count=2))
    """
    groups = tuple(_parse_group(part.strip()) for part in text.split(","))
    boards = [group.board for group in groups]
    if twice := next((board for board in boards if boards.count(board) > 1), None):
        raise ValueError(f"{twice} is named twice: add its counts up")
    if (total := sum(group.count for group in groups)) > MOST_DEVICES:
        raise ValueError(f"{total} devices are more than the {MOST_DEVICES} that one cluster may have")
    return groups


def _parse_group(text: str) -> Group:
    match = re.fullmatch(r"([^:]*):(\d{1,9})", text, re.ASCII)
    if not match:
        raise ValueError(f"{text!r} is no BOARD:COUNT such as pi4:6; the boards are {', '.join(BOARDS)}")
    if match[1] not in BOARDS:
        raise ValueError(f"{match[1]!r} is none of the boards {', '.join(BOARDS)}")
    if int(match[2]) == 0:
        raise ValueError(f"{text}: at least 1 device, or leave {match[1]} out")
    return Group(match[1], int(match[2]))

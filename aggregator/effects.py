"""What the core wants done, in order."""

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


class Code(enum.Enum):
    """Why a request was refused: names of gRPC status codes."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"


Reason = tuple[Code, str]


@dataclass(frozen=True, slots=True)
class Welcome:
    link: int


@dataclass(frozen=True, slots=True)
class Assign:
    """All that the device is to serve from now on, ascending."""

    link: int
    students: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SendWork:
    """The same work to each of the links. images: uint8 [N, H, W, C]. budget: seconds."""

    links: tuple[int, ...]
    work: int
    budget: float
    images: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Ping:
    link: int
    sequence: int


@dataclass(frozen=True, slots=True)
class CloseLink:
    """End the device's stream. The core has forgotten the device already."""

    link: int
    reason: str


@dataclass(frozen=True, slots=True)
class Answer:
    """logits: float32 [N, K]. answered and missing: students, ascending; together they are all."""

    request: int
    logits: NDArray[np.float32]
    answered: tuple[int, ...]
    missing: tuple[int, ...]
    expected_accuracy: float


@dataclass(frozen=True, slots=True)
class Refuse:
    """retry_after: seconds, when trying again soon makes sense."""

    request: int
    code: Code
    message: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the operator. warning: something was lost."""

    text: str
    warning: bool = False


Effect = Welcome | Assign | SendWork | Ping | CloseLink | Answer | Refuse | Note

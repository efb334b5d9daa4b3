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
    """All that the device is to hold from now on: (bundle id, student), those of the served bundle first.

    number: counts the link's assignments, from 1 on.
    """

    link: int
    number: int
    students: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class SendWork:
    """The same work to each of the links. images: uint8 [N, H, W, C]. budget: seconds."""

    links: tuple[int, ...]
    work: int
    bundle_id: str
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
    bundle_id: str
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
class Prepare:
    """Merges of these students, and of all of them but one, are to be expected: get ready for them, aside.

    students: ascending, at least one.
    """

    bundle_id: str
    students: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The bundle is served now, by so many devices."""

    bundle_id: str
    previous: str
    devices: int


@dataclass(frozen=True, slots=True)
class ReloadFailed:
    """The bundle is not served, and the one before still is."""

    bundle_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the operator. warning: something was lost."""

    text: str
    warning: bool = False


Effect = (
    Welcome
    | Assign
    | SendWork
    | Ping
    | CloseLink
    | Answer
    | Refuse
    | Prepare
    | Reloaded
    | ReloadFailed
    | Note
)

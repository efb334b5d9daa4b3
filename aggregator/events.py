"""What happens to the core. A link is the number of one device stream; a request that of one client call."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from aggregator.model import Model
from aggregator.policy import Policy


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What a device says of itself. memory_bytes and speed (10^9 multiply-adds a second): 0 when unknown.

    parallel: students that it computes at a time. measured: seconds that one image takes there, by the digest
    of a student's file.
    """

    device_id: str
    name: str
    architecture: str = ""
    memory_bytes: int = 0
    cores: int = 0
    parallel: int = 1
    speed: float = 0.0
    cached_digests: frozenset[str] = frozenset()
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Joined:
    link: int
    facts: DeviceFacts


@dataclass(frozen=True, slots=True)
class Ready:
    """The device has dealt with one student: it serves it, or its self-test did not pass (error says why).

    speed: measured meanwhile, in 10^9 multiply-adds a second; seconds: that one image takes; 0 when unknown.
    assignment: number of the latest that the device had read by then; 0 when it does not say.
    int8: it serves the student's int8 twin.
    """

    link: int
    bundle_id: str
    student: int
    passed: bool
    error: str = ""
    speed: float = 0.0
    assignment: int = 0
    seconds: float = 0.0
    int8: bool = False


@dataclass(frozen=True, slots=True)
class Partial:
    """logits: [N, K] as received, or None when the tensor on the wire made no sense."""

    link: int
    bundle_id: str
    work: int
    student: int
    logits: NDArray[Any] | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """The device will not do one student's share of a work, or (student None) any of it.

    fault: that is the device's fault; else it has too much to do, or too little time was left.
    """

    link: int
    work: int
    student: int | None
    reason: str
    fault: bool = True


@dataclass(frozen=True, slots=True)
class Pong:
    link: int


@dataclass(frozen=True, slots=True)
class Malformed:
    """A message that is not of the protocol."""

    link: int
    problem: str


@dataclass(frozen=True, slots=True)
class Leaving:
    """The device finishes what it has and wants no more."""

    link: int
    reason: str


@dataclass(frozen=True, slots=True)
class Gone:
    """The device's stream has ended."""

    link: int
    reason: str


@dataclass(frozen=True, slots=True)
class Predict:
    """images: [N, H, W, C] as received. deadline: absolute, on the clock of `now`; None: the default.

    policy: None: the default.
    """

    request: int
    images: NDArray[Any]
    deadline: float | None = None
    strict: bool = False
    bundle_id: str = ""
    policy: Policy | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The client no longer wants its answer."""

    request: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Paused:
    """The aggregator itself was held up for so many seconds until now: devices may have spoken unheard."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Drain:
    """Take no more requests; finish the others soon."""


@dataclass(frozen=True, slots=True)
class Reload:
    """Load this bundle beside the one that is served, and change over when it works."""

    model: Model


DeviceEvent = Ready | Partial | Refusal | Pong | Malformed | Leaving | Gone
Event = Joined | DeviceEvent | Predict | Cancelled | Tick | Paused | Drain | Reload

"""What the ledger is made of."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aggregator import Model, events
from aggregator.policy import Policy
from aggregator.status import State

Pair = tuple[str, int]  # bundle id and student
LOST = frozenset({State.SUSPECT, State.STALLED, State.LEAVING})


@dataclass(slots=True, eq=False)
class Request:
    """One without its outcome. hurry: from when on it may be answered with whatever is there."""

    event: events.Predict
    arrived: float
    deadline: float
    hurry: float
    policy: Policy
    work: "Work | None" = None
    rows: slice = field(default_factory=lambda: slice(0))


@dataclass(slots=True, eq=False)
class Share:
    """What one device owes of a work. awaited: not just a probe."""

    peer: "Peer"
    pending: set[int]
    awaited: bool


@dataclass(slots=True, eq=False)
class Work:
    """partials: those that were owed, the first of each student; spare: good ones that nobody owed.

    latest: when a partial last arrived, or `sent`. surely: from when on it may be over for a device, though
    the aggregator was held up meanwhile: a device is excused once until it is heard, `expires` each time.
    """

    id: int
    model: Model
    sent: float
    expires: float
    surely: float
    size: int
    latest: float
    requests: dict[int, Request] = field(default_factory=dict)
    shares: dict[int, Share] = field(default_factory=dict)
    partials: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    spare: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    def waiting(self) -> set[int]:
        """Students that have not answered and that some device still owes."""
        return {
            student
            for share in self.shares.values()
            if share.awaited
            for student in share.pending
            if student not in self.partials
        }

    def counted_on(self, now: float, silence: float) -> set[int]:
        """Of those, the ones owed by a device that nobody could have doubted since the work was sent."""
        return {
            student
            for share in self.shares.values()
            if share.awaited and share.peer.doubted < self.sent and now - share.peer.heard < silence
            for student in share.pending
            if student not in self.partials
        }


@dataclass(slots=True, eq=False)
class Peer:
    """A device's link. state: after this step, before: until then.

    failed: students that could not be loaded on it, and when.
    orders: assignments that it was sent; told: the one since which it is to hold a student.
    doubted: when it was last known to be suspect, stalled or leaving.
    """

    link: int
    facts: events.DeviceFacts
    heard: float
    state: State = State.IDLE
    before: State = State.IDLE
    assigned: frozenset[Pair] = frozenset()
    ready: set[Pair] = field(default_factory=set)
    works: dict[int, Work] = field(default_factory=dict)
    orders: int = 0
    told: dict[Pair, int] = field(default_factory=dict)
    failed: dict[Pair, float] = field(default_factory=dict)
    faults: dict[Pair, int] = field(default_factory=dict)
    probed: float = -math.inf
    doubted: float = -math.inf

    @property
    def healthy(self) -> bool:
        return self.state not in LOST

    def serves(self, bundle_id: str) -> bool:
        return any(bundle == bundle_id for bundle, _ in self.ready)


@dataclass(frozen=True, slots=True)
class Arrival:
    """The good partial of this step, and when the one before it had come."""

    work: Work
    student: int
    before: float

"""What must always hold, and what is raised when it does not."""

import enum
from collections.abc import Sequence


class Invariant(enum.Enum):
    """One sentence each: the promise that was broken."""

    SOUND = "no sequence of events makes the core fail"
    ONCE = "every request is answered or refused exactly once"
    IN_TIME = "every request has its outcome before its deadline"
    TRUTH = "an answer names exactly the students whose partial logits had arrived"
    MERGE = "logits are the offline merge of exactly the students that are named"
    ONE_BUNDLE = "partial logits of two bundles are never merged"
    ACCURACY = "the expected accuracy is that of the students that are named"
    STRICT = "a strict request gets no degraded answer"
    POLICY = "an answer has what its policy asks for, unless time or devices ran out"
    PROMPT = "no request waits where nobody is busy, nor once its policy is content"
    REFUSAL = "a refusal gives the true reason"
    RETRY_HINT = "a full queue is refused with RESOURCE_EXHAUSTED and a hint when to try again"
    QUEUE = "the queue is bounded"
    WINDOW = "no device has more works in flight than its window"
    WORK = "a work holds the images of its requests, each once, and is asked only of devices that serve it"
    LOST = "a silent device is lost, and the lost get no works but for a probe now and then"
    NO_GHOSTS = "no device has two living links"
    MEMORY = "students fit into the memory of their device"
    STEADY = "no healthy student is moved without need"
    HEAL = "a lost device's students wait for it, or for a device that has none, as long as they were told to"
    COVERED = "every student is hosted while a living device has room for it"
    RELOAD = "a new bundle takes over whole and no worse than the old one, or not at all"
    AWAKE = "the core asks to be woken in time, never in the past, and not for nothing"
    IDLE = "the core is idle exactly when no request is without its outcome"
    WHOLE_AGAIN = "once faults are over the cluster is whole again, and soon"


class Broken(Exception):
    """Raised by a check; `Watch` makes a Violation of it. request, link: whose history tells more."""

    def __init__(
        self, invariant: Invariant, problem: str, *, request: int | None = None, link: int | None = None
    ) -> None:
        super().__init__(problem)
        self.invariant = invariant
        self.request = request
        self.link = link


class Violation(Exception):
    """An invariant did not hold. time: seconds of the core's clock. history: lines, the latest last.

    problem: what was seen, without time and promise.
    """

    def __init__(self, broken: Broken, time: float, history: Sequence[str]) -> None:
        super().__init__(f"at {time:.6f} s: {broken} (promised: {broken.invariant.value})")
        self.invariant = broken.invariant
        self.problem = str(broken)
        self.time = time
        self.history = tuple(history)

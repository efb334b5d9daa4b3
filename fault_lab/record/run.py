"""All that is known of one run; reports are made from nothing else."""

from dataclasses import dataclass, field
from typing import Any

from fault_lab.record.outcome import Outcome


@dataclass(frozen=True, slots=True)
class Fall:
    """One fault on one target, as it was carried out. begin, end: seconds after the load has begun, the same
    for what is over at once. recovered: seconds from `end` until the cluster was whole, without those in
    which another fault lasted; None when it never was.
    """

    type: str
    target: str
    begin: float
    end: float
    recovered: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The cluster at one time. serving: devices. students: those that some device serves."""

    at: float
    serving: int
    students: int
    parts: int
    expected_accuracy: float


@dataclass(frozen=True, slots=True)
class Problem:
    """A promise that was broken. history: lines about the request or the device, the latest last."""

    invariant: str
    what: str
    at: float
    history: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """facts: what a reader needs to do it again: versions, machine, command, bundle, by name.

    seconds: that the load lasted. notes: what this ground has left out, and why.
    """

    scenario: str
    summary: str
    ground: str
    seed: int
    devices: int
    students: int
    parts: int
    seconds: float
    outcomes: tuple[Outcome, ...]
    falls: tuple[Fall, ...] = ()
    samples: tuple[Sample, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

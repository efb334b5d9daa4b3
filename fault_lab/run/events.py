"""When faults begin and end, and what came of each."""

from dataclasses import dataclass

from fault_lab.scenario import Injection


@dataclass(slots=True)
class Event:
    """A fault that was carried out, in seconds after the load has begun; end: None while it lasts."""

    injection: Injection
    begin: float
    end: float | None = None
    recovered: float | None = None
    settled: bool = False  # whether `recovered` is final


def timeline(plan: tuple[Injection, ...]) -> list[tuple[float, bool, Injection]]:
    """Beginnings and ends in their order; of those at one time, ends come first."""
    events = [(injection.begin, False, injection) for injection in plan]
    events += [(injection.end, True, injection) for injection in plan if not injection.fault.instant]
    return sorted(events, key=lambda event: (event[0], not event[1], event[2].number))

"""What is done to the cluster and when it is over, and how long the cluster then takes to be whole again.

Pure: it is told the time, and what the cluster lacks.
"""

from dataclasses import dataclass
from typing import Final

from fault_lab.record import Fall, Problem
from fault_lab.scenario import Injection

# Seconds after the end of a fault in which what is seen of the cluster may be older than that.
SEEN: Final = 0.15


@dataclass(slots=True)
class Event:
    """A fault that was carried out, in seconds after the load has begun; end: None while it lasts.

    waited: seconds for which the cluster lacked something since then, those left out in which another fault
    lasted. recovered: these, once the cluster was whole.
    """

    injection: Injection
    begin: float
    end: float | None = None
    waited: float = 0.0
    recovered: float | None = None
    settled: bool = False  # whether nothing more is waited for

    def fall(self, now: float) -> Fall:
        end = now if self.end is None else self.end
        return Fall(self.injection.fault.type, self.injection.target, self.begin, end, self.recovered)


class Events:
    """recovery: seconds in which the cluster has to be whole after a fault."""

    def __init__(self, recovery: float) -> None:
        self.all: list[Event] = []
        self._recovery = recovery
        self._looked = 0.0
        self._ill = 0.0  # seconds for which something is lacking that no fault explains
        self._open: list[Event] = []  # that last, or whose end is being waited out

    def begin(self, injection: Injection, now: float) -> Event:
        event = Event(injection, now)
        self.all.append(event)
        self._open.append(event)
        return event

    @property
    def lasting(self) -> list[Event]:
        return [event for event in self._open if event.end is None]

    @property
    def latest_end(self) -> float:
        return max((event.end for event in self.all if event.end is not None), default=0.0)

    def look(self, now: float, lacking: str) -> list[Problem]:
        """lacking: what the cluster lacks at this time, or nothing. Returns what has taken too long."""
        passed, self._looked = now - self._looked, now
        waiting = [event for event in self._open if event.end is not None]
        if not lacking:
            self._ill = 0.0
            for event in waiting:
                if event.end is not None and now - event.end >= SEEN:
                    event.recovered, event.settled = event.waited, True
            self._open = [event for event in self._open if not event.settled]
            return []
        if self.lasting:
            return []
        if not waiting:
            return self._unexplained(now, passed, lacking)
        for event in waiting:
            event.waited += min(passed, now - (event.end or 0.0))
            event.settled = event.waited > self._recovery
        self._open = [event for event in self._open if not event.settled]
        return [self._overdue(event, now, lacking) for event in waiting if event.settled]

    def _overdue(self, event: Event, now: float, lacking: str) -> Problem:
        what = f"{event.injection.fault.type} of {event.injection.target}"
        return Problem("WHOLE_AGAIN", f"{self._recovery:g} s after {what} was over {lacking}", now)

    def _unexplained(self, now: float, passed: float, lacking: str) -> list[Problem]:
        before, self._ill = self._ill, self._ill + passed
        if not before <= self._recovery < self._ill:
            return []
        return [Problem("WHOLE_AGAIN", f"for {self._recovery:g} s no fault lasts, and yet {lacking}", now)]


def timeline(plan: tuple[Injection, ...]) -> list[tuple[float, bool, Injection]]:
    """Beginnings and ends in their order; of those at one time, ends come first."""
    events = [(injection.begin, False, injection) for injection in plan]
    events += [(injection.end, True, injection) for injection in plan if not injection.fault.instant]
    return sorted(events, key=lambda event: (event[0], not event[1], event[2].number))

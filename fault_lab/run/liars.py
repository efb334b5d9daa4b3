"""Whose partial logits may be made up, and when: sound-shaped lies, which nobody can tell from the truth."""

from collections.abc import Iterable, Mapping

from fault_lab.run.events import Event


class Liars:
    """deadline: seconds for which an answer that was under way may still be merged."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._events: dict[int, Event] = {}
        self._students: dict[int, set[int]] = {}  # by event, of all that its device has served meanwhile

    def look(self, now: float, events: Iterable[Event], serving: Mapping[int, tuple[int, ...]]) -> None:
        """serving: students, by device."""
        for event in events:
            if event.injection.fault.type == "corrupt" and self._matters(event, now):
                self._events[event.injection.number] = event
                mine = self._students.setdefault(event.injection.number, set())
                mine |= set(serving.get(event.injection.device, ()))

    def of(self, sent: float) -> frozenset[int]:
        """Students whose share of a request that was sent then may be a lie."""
        found = (
            self._students[number] for number, event in self._events.items() if self._matters(event, sent)
        )
        return frozenset[int]().union(*found)

    def _matters(self, event: Event, at: float) -> bool:
        """From the beginning on, which a request under way may see, until the last lie has come or gone."""
        return event.end is None or at < event.end + self._deadline

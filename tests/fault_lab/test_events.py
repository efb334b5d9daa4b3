"""How long a cluster takes to be whole after faults, and who is to blame when it is not."""

import math

import pytest

from fault_lab.run.events import Event, Events
from fault_lab.run.liars import Liars
from fault_lab.scenario import FAULTS, Injection

STEP = 0.1


class Story:
    """Looks every STEP seconds; lacking: from when to when something is lacking."""

    def __init__(self, recovery: float = 5.0) -> None:
        self.events = Events(recovery)
        self.now = 0.0
        self.problems: list[str] = []

    def fault(self, kind: str = "kill", device: int = 0, **more: float) -> Event:
        made = FAULTS[kind].model_validate({"type": kind, "target": f"device-{device}", "at": 0, **more})
        injection = Injection(len(self.events.all), made, device, 0.0, 0.0)
        return self.events.begin(injection, self.now)

    def over(self, event: Event) -> None:
        event.end = self.now

    def go(self, seconds: float, lacking: str = "") -> None:
        for _ in range(round(seconds / STEP)):
            self.now += STEP
            self.problems += [problem.what for problem in self.events.look(self.now, lacking)]


def test_a_fault_has_recovered_when_nothing_is_lacking() -> None:
    story = Story()
    kill = story.fault()
    story.go(2, "device-0 is lost")
    story.over(kill)
    story.go(1, "device-0 is lost")
    story.go(1)
    assert kill.recovered == pytest.approx(1.0)
    assert not story.problems


def test_a_fault_that_nothing_was_lost_by_has_recovered_at_once() -> None:
    story = Story()
    slow = story.fault("slow", factor=2)
    story.go(1)
    story.over(slow)
    story.go(1)
    assert slow.recovered == 0


def test_a_fault_that_heals_too_late_is_told_once() -> None:
    story = Story()
    kill = story.fault()
    story.over(kill)
    story.go(9, "device-0 is lost")
    story.go(1)
    assert story.problems == ["5 s after kill of device-0 was over device-0 is lost"]
    assert kill.recovered is None


def test_a_later_fault_does_not_hide_that_an_earlier_one_never_healed() -> None:
    story = Story()
    kill = story.fault()
    story.over(kill)
    story.go(4, "device-0 is lost")
    later = story.fault(device=1)
    story.go(2, "device-0 is lost")
    story.over(later)
    story.go(2, "device-0 is lost")
    assert story.problems == ["5 s after kill of device-0 was over device-0 is lost"]


def test_time_in_which_another_fault_lasts_does_not_count() -> None:
    story = Story()
    kill, other = story.fault(), story.fault("latency", 1, latency=0.01)
    story.go(1, "device-0 is lost")
    story.over(kill)
    story.go(20, "device-0 is lost")
    story.over(other)
    story.go(1, "device-0 is lost")
    story.go(1)
    assert kill.recovered == pytest.approx(1.0)
    assert not story.problems


def test_a_fault_is_healed_though_another_one_lasts() -> None:
    story = Story()
    kill, other = story.fault(), story.fault("latency", 1, latency=0.01)
    story.go(1, "device-0 is lost")
    story.over(kill)
    story.go(0.5)
    assert kill.recovered == pytest.approx(0.0)
    story.go(20)
    story.over(other)
    story.go(1)
    assert not story.problems


def test_what_no_fault_explains_is_told_once() -> None:
    story = Story()
    story.go(4, "device-3 is suspect")
    story.go(1)
    story.go(9, "device-3 is suspect")
    assert story.problems == ["for 5 s no fault lasts, and yet device-3 is suspect"]


def test_liars_are_the_students_of_devices_that_make_answers_up() -> None:
    story = Story()
    liars = Liars(deadline=2.0)
    story.go(1)
    lie = story.fault("corrupt", 3)
    liars.look(1.0, story.events.all, {2: (2,), 3: (3,)})
    liars.look(1.5, story.events.all, {2: (2,), 3: (7,)})
    assert liars.of(1.2) == {3, 7}
    lie.end = 2.0
    assert liars.of(3.9) == {3, 7}
    assert liars.of(4.1) == frozenset()
    assert math.isclose(story.now, 1.0)

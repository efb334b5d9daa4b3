import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_node.timing import summarise, time_runs

SECONDS = st.lists(st.floats(1e-6, 10), min_size=1, max_size=200)


class Clock:
    """Each run takes what the test says; the clock stands still else."""

    def __init__(self, *runs: float) -> None:
        self.now = 0.0
        self.begun = 0
        self._runs = runs

    def run(self) -> None:
        self.now += self._runs[min(self.begun, len(self._runs) - 1)]
        self.begun += 1

    def read(self) -> float:
        return self.now


@given(SECONDS)
def test_a_summary_lies_within_what_was_measured(seconds: list[float]) -> None:
    found = summarise(seconds)
    assert found.runs == len(seconds)
    assert found.best == 1000 * min(seconds)
    assert found.best <= found.low <= found.median <= found.high <= 1000 * max(seconds)
    assert sum(1000 * value < found.low for value in seconds) <= 0.05 * len(seconds) + 0.5
    assert sum(1000 * value > found.high for value in seconds) <= 0.05 * len(seconds) + 0.5


def test_it_stops_at_enough_runs() -> None:
    clock = Clock(0.01)
    assert time_runs(clock.run, 1.0, 30, clock=clock.read).runs == 30


def test_what_warms_up_does_not_count() -> None:
    clock = Clock(5.0, 5.0, 0.01)
    found = time_runs(clock.run, 1.0, 3, warm_up=2, clock=clock.read)
    assert (found.runs, clock.begun) == (3, 5)
    assert found.high == pytest.approx(10.0)


def test_one_run_is_made_however_long_it_takes() -> None:
    clock = Clock(7.0)
    assert (time_runs(clock.run, 0.2, 30, clock=clock.read).runs, clock.begun) == (1, 1)


@given(st.floats(0.001, 0.5), st.floats(0.01, 2), st.integers(1, 50))
def test_it_does_not_take_longer_than_it_was_given(run: float, seconds: float, most: int) -> None:
    clock = Clock(run)
    found = time_runs(clock.run, seconds, most, clock=clock.read)
    assert clock.now <= max(seconds, run) + 1e-9
    assert found.runs == most or clock.now + run > seconds - 1e-9

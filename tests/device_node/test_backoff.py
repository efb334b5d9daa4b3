from random import Random

from hypothesis import given
from hypothesis import strategies as st

from device_node.backoff import FIRST_SECONDS, MOST_SECONDS, Backoff


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_waits_double_up_to_a_limit_and_start_anew(seed: int, attempts: int) -> None:
    backoff = Backoff(Random(seed))
    for attempt in range(attempts):
        longest = min(FIRST_SECONDS * 2**attempt, MOST_SECONDS)
        assert longest / 2 <= backoff.wait() <= longest
    backoff.reset()
    assert backoff.wait() <= FIRST_SECONDS


def test_one_wait_may_be_longer() -> None:
    backoff = Backoff(Random(1))
    backoff.hold_back(300.0)
    assert 150.0 <= backoff.wait() <= 300.0
    assert backoff.wait() <= MOST_SECONDS


def test_devices_do_not_wait_in_step() -> None:
    assert len({Backoff(Random(seed)).wait() for seed in range(50)}) == 50

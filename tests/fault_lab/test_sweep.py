"""Which sets of devices a sweep loses, and in which order."""

import itertools
import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from fault_lab.run.sweep import choose


@given(st.integers(1, 9))
def test_every_set_but_that_of_all_is_chosen_once(devices: int) -> None:
    sets = choose(devices, most=1000, seed=0)
    assert len(set(sets)) == len(sets) == 2**devices - 1
    assert all(sorted(set(lost)) == list(lost) for lost in sets)


@given(st.integers(2, 9))
def test_from_one_set_to_the_next_hardly_a_device_changes(devices: int) -> None:
    sets = choose(devices, most=1000, seed=0)
    steps = [len(set(one) ^ set(other)) for one, other in itertools.pairwise(sets)]
    assert max(steps) <= 2  # two where the set of all devices is left out
    assert steps.count(2) <= 1


@given(st.integers(0, 1000))
def test_where_there_are_too_many_they_are_drawn_from_the_seed(seed: int) -> None:
    sets = choose(12, most=20, seed=seed)
    assert sets == choose(12, most=20, seed=seed)
    by_lost = Counter(len(lost) for lost in sets)
    assert by_lost == {lost: min(20, math.comb(12, lost)) for lost in range(12)}

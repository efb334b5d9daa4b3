"""Swaps, assignment under capacities, dealing and apportionment: the pieces of the methods."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from partitioner.balanced import assign
from partitioner.refine import Cost, held_together, normalized_cut, refine, total_cost
from partitioner.sizes import apportion
from partitioner.spread import deal

COSTS = st.sampled_from([normalized_cut, held_together])


def dense(nodes: int, seed: int) -> np.ndarray:
    weights = np.triu(np.random.default_rng(seed).random((nodes, nodes)) ** 3 + 1e-3, 1)
    return weights + weights.T


@settings(deadline=None, max_examples=60)
@given(cost=COSTS, nodes=st.integers(2, 24), seed=st.integers(0, 1000), data=st.data())
def test_swaps_keep_the_sizes_and_never_raise_the_cost(
    cost: Cost, nodes: int, seed: int, data: st.DataObject
) -> None:
    parts = data.draw(st.integers(2, nodes))
    weights = dense(nodes, seed)
    labels = np.random.default_rng(seed).permutation(np.arange(nodes) % parts)
    start = labels.copy()
    refined = refine(weights, labels, cost)
    assert np.bincount(refined).tolist() == np.bincount(start).tolist()
    assert total_cost(weights, refined, cost) <= total_cost(weights, start, cost) + 1e-12
    np.testing.assert_array_equal(labels, start)


@settings(deadline=None, max_examples=20)
@given(cost=COSTS, seed=st.integers(0, 1000))
def test_no_single_swap_improves_the_result(cost: Cost, seed: int) -> None:
    weights = dense(12, seed)
    refined = refine(weights, np.arange(12) % 3, cost, passes=100)
    best = total_cost(weights, refined, cost)
    for i in range(12):
        for j in range(i):
            swapped = refined.copy()
            swapped[[i, j]] = swapped[[j, i]]
            assert total_cost(weights, swapped, cost) >= best - 1e-9


def test_the_number_of_passes_is_bounded() -> None:
    weights, labels = dense(40, 1), np.arange(40) % 2
    np.testing.assert_array_equal(refine(weights, labels, normalized_cut, passes=0), labels)
    once = total_cost(weights, refine(weights, labels, normalized_cut, passes=1), normalized_cut)
    assert once < total_cost(weights, labels, normalized_cut)


def test_assignment_is_the_best_one_for_fixed_centres() -> None:
    """Against brute force over all ways to fill the places, for the centres on which the rounds settled."""
    rng = np.random.default_rng(4)
    points, sizes = rng.normal(size=(7, 2)), (3, 2, 2)
    labels = np.repeat(np.arange(3), sizes)
    found = assign(points, labels, sizes)
    assert np.bincount(found).tolist() == [3, 2, 2]
    centres = np.stack([points[found == part].mean(axis=0) for part in range(3)])

    def spent(candidate: np.ndarray) -> float:
        return float(((points - centres[candidate]) ** 2).sum())

    cheapest = min(spent(np.array(candidate)) for candidate in set(permutations(labels.tolist())))
    assert spent(found) == pytest.approx(cheapest)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6), data=st.data())
def test_apportioned_shares_are_proportional(sizes: list[int], data: st.DataObject) -> None:
    total = data.draw(st.integers(0, sum(sizes)))
    shares = apportion(total, tuple(sizes))
    assert sum(shares) == total
    for share, size in zip(shares, sizes, strict=True):
        assert 0 <= share <= size
        assert abs(share - total * size / sum(sizes)) < 1


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_dealing_gives_every_part_its_size(sizes: list[int]) -> None:
    assert np.bincount(deal(tuple(sizes))).tolist() == sizes


def test_equal_parts_are_dealt_round_robin() -> None:
    assert deal((3, 3, 3)).tolist() == [0, 1, 2] * 3
    assert deal((2, 4)).tolist() == [1, 0, 1, 1, 0, 1]

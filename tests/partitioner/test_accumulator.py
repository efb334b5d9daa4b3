"""From activations to the filter graph."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from partitioner import WEIGHTS, GraphAccumulator, PartitionError, Weight

ACTIVATIONS = arrays(
    np.float64, st.tuples(st.integers(1, 12), st.just(7)), elements=st.floats(-2, 2, width=32)
)


def by_the_book(pooled: np.ndarray, weight: Weight, strongest: int) -> np.ndarray:
    """Edge weights as their definition reads, one image and one pair at a time."""
    images, filters = pooled.shape
    total = np.zeros((filters, filters))
    for activities in np.maximum(pooled, 0):
        if not activities.any():
            continue
        relative = activities / activities.max()
        kept = sorted(range(filters), key=lambda index: -relative[index])[:strongest]
        for a in kept:
            for b in kept:
                if a != b:
                    factor = abs(relative[a] - relative[b]) if weight == "activation_hub" else 1.0
                    total[a, b] += relative[a] * relative[b] * factor
    return total / images


@pytest.mark.parametrize("weight", ["coactivation", "activation_hub"])
@pytest.mark.parametrize("strongest", [2, 5, 9])
def test_weights_follow_the_definition(weight: Weight, strongest: int) -> None:
    pooled = np.random.default_rng(3).normal(size=(20, 9))
    accumulator = GraphAccumulator(9, weight, strongest=strongest)
    accumulator.add(pooled)
    np.testing.assert_allclose(
        accumulator.graph().weights, by_the_book(pooled, weight, strongest), atol=1e-12
    )


def test_without_a_limit_every_filter_of_an_image_counts() -> None:
    pooled = np.random.default_rng(0).random((5, 60))
    limited, unlimited = GraphAccumulator(60), GraphAccumulator(60, strongest=None)
    limited.add(pooled)
    unlimited.add(pooled)
    assert (unlimited.graph().weights > 0).sum() == 60 * 59
    assert limited.graph().weights.sum() < unlimited.graph().weights.sum()


def test_activation_hub_of_many_images_goes_in_several_slices() -> None:
    pooled = np.random.default_rng(5).random((2500, 40))
    whole, single = GraphAccumulator(40, "activation_hub"), GraphAccumulator(40, "activation_hub")
    whole.add(pooled)
    for image in pooled:
        single.add(image[None])
    np.testing.assert_allclose(whole.graph().weights, single.graph().weights, rtol=1e-10)


def test_correlation_is_pearsons_positive_part() -> None:
    rng = np.random.default_rng(1)
    pooled = np.maximum(rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)), 0) + 1000
    accumulator = GraphAccumulator(6, "correlation")
    for batch in np.array_split(pooled, 7):
        accumulator.add(batch)
    expected = np.maximum(np.corrcoef(pooled.T), 0)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(accumulator.graph().weights, expected, atol=1e-9)


def test_a_constant_filter_correlates_with_nothing() -> None:
    pooled = np.random.default_rng(1).random((50, 4))
    pooled[:, 2] = 0.1
    accumulator = GraphAccumulator(4, "correlation")
    for image in pooled:
        accumulator.add(image[None])
    weights = accumulator.graph().weights
    assert not weights[2].any()
    assert weights.any()


@settings(deadline=None)
@given(pooled=ACTIVATIONS, weight=st.sampled_from(WEIGHTS), cut=st.integers(0, 12))
def test_the_graph_does_not_depend_on_the_batches(pooled: np.ndarray, weight: Weight, cut: int) -> None:
    whole, batched = GraphAccumulator(7, weight, strongest=4), GraphAccumulator(7, weight, strongest=4)
    whole.add(pooled)
    batched.add(pooled[:cut])
    batched.add(pooled[cut:])
    assert whole.images == batched.images == len(pooled)
    np.testing.assert_allclose(whole.graph().weights, batched.graph().weights, atol=1e-6)
    np.testing.assert_allclose(whole.graph().activity, np.maximum(pooled, 0).mean(axis=0), atol=1e-9)


@settings(deadline=None)
@given(pooled=ACTIVATIONS, weight=st.sampled_from(WEIGHTS))
def test_negative_activations_count_as_zero(pooled: np.ndarray, weight: Weight) -> None:
    raw, clipped = GraphAccumulator(7, weight), GraphAccumulator(7, weight)
    raw.add(pooled)
    clipped.add(np.maximum(pooled, 0))
    np.testing.assert_array_equal(raw.graph().weights, clipped.graph().weights)
    np.testing.assert_array_equal(raw.graph().activity, clipped.graph().activity)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("weight", WEIGHTS)
def test_a_batch_with_bad_values_is_refused_whole(weight: Weight, bad: float) -> None:
    fine = np.random.default_rng(2).random((3, 5))
    accumulator, expected = GraphAccumulator(5, weight), GraphAccumulator(5, weight)
    accumulator.add(fine)
    expected.add(fine)
    broken = np.ones((4, 5))
    broken[2, 1] = bad
    with pytest.raises(PartitionError, match="filter 1 on image 5"):
        accumulator.add(broken)
    assert accumulator.images == 3
    np.testing.assert_array_equal(accumulator.graph().weights, expected.graph().weights)


@pytest.mark.parametrize("shape", [(4, 6), (5,), (2, 5, 1), (0, 4)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PartitionError, match=r"must be \[N, 5\]"):
        GraphAccumulator(5).add(np.zeros(shape))


def test_what_is_not_numbers_is_refused() -> None:
    with pytest.raises(PartitionError, match="must be numbers"):
        GraphAccumulator(1).add([["loud"]])


def test_a_graph_needs_an_image() -> None:
    accumulator = GraphAccumulator(5)
    accumulator.add(np.empty((0, 5)))
    with pytest.raises(PartitionError, match="at least 1 image"):
        accumulator.graph()


def test_all_silent_images_make_a_graph_without_edges() -> None:
    for weight in WEIGHTS:
        accumulator = GraphAccumulator(5, weight)
        accumulator.add(np.full((4, 5), -1.0))
        assert not accumulator.graph().weights.any()
        assert not accumulator.graph().activity.any()


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(PartitionError, match="at least 1 filter"):
        GraphAccumulator(0)
    with pytest.raises(PartitionError, match="unknown edge weight 'hub'"):
        GraphAccumulator(3, "hub")  # type: ignore[arg-type]
    with pytest.raises(PartitionError, match="at least 2"):
        GraphAccumulator(3, strongest=1)

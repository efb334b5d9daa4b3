from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle import Fill, Merger
from bundle.merge import FILLS, RIDGE


def moments(partials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Partial logits [S, N, K] -> means [S, K], covariance [S*K, S*K]."""
    stacked = partials.transpose(1, 0, 2).reshape(partials.shape[1], -1)
    return partials.mean(axis=1), np.atleast_2d(np.cov(stacked, rowvar=False, bias=True))


def some(partials: np.ndarray, students: Any) -> dict[int, np.ndarray]:
    return {student: partials[student] for student in students}


@settings(deadline=None)
@given(
    st.sampled_from(FILLS),
    st.integers(1, 5),
    st.integers(0, 5),
    st.integers(1, 6),
    st.integers(0, 2**32 - 1),
)
def test_merging_all_students_is_the_undivided_network(
    fill: Fill, parts: int, extra: int, classes: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    images, filters = 7, 4 * parts
    student_parts = [*range(parts), *random.integers(0, parts, extra)]
    features, weights, bias = (
        random.normal(size=shape) for shape in [(images, filters), (classes, filters), classes]
    )
    owner = random.permutation(np.arange(filters) % parts)
    # Perfect students differ from their part's features only in ways that replicas average out.
    partials = np.stack(
        [features[:, owner == part] @ weights[:, owner == part].T for part in student_parts]
    ).astype(np.float32)
    means, covariance = moments(partials)
    merger = Merger(student_parts, bias, means, fill, covariance)
    undivided = features @ weights.T + bias
    np.testing.assert_allclose(
        merger.merge(dict(enumerate(partials))), undivided, atol=1e-5 * max(1, np.abs(undivided).max())
    )


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sets(st.integers(0, 4), min_size=1), st.sampled_from(["zero", "mean"]))
def test_plain_fills_are_their_formula(seed: int, answering: set[int], fill: Fill) -> None:
    random = np.random.default_rng(seed)
    parts = np.array([0, 1, 2, 0, 1])
    partials = random.normal(size=(5, 3, 4)).astype(np.float32)
    bias, means = random.normal(size=4), random.normal(size=(5, 4))
    expected = np.tile(bias, (3, 1))
    for part in range(3):
        members = [student for student in answering if parts[student] == part]
        if members:
            expected += partials[members].mean(axis=0)
        elif fill == "mean":
            expected += means[parts == part].mean(axis=0)
    merged = Merger(parts, bias, means, fill).merge(some(partials, answering))
    assert merged.dtype == np.float32
    np.testing.assert_allclose(merged, expected, atol=1e-5)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.permutations(range(4)), st.integers(1, 4), st.sampled_from(FILLS))
def test_order_of_answers_changes_no_bit(seed: int, order: list[int], count: int, fill: Fill) -> None:
    partials = np.random.default_rng(seed).normal(size=(4, 9, 3)).astype(np.float32)
    means, covariance = moments(partials)
    answering = order[:count]
    first, second = (Merger([0, 1, 0, 1], np.zeros(3), means, fill, covariance) for _ in range(2))
    np.testing.assert_array_equal(
        first.merge(some(partials, answering)), second.merge(some(partials, sorted(answering)))
    )


def test_ridge_with_everybody_is_the_plain_merge() -> None:
    partials = np.random.default_rng(3).normal(size=(4, 50, 3)).astype(np.float32)
    means, covariance = moments(partials)
    ridge, zero = (Merger([0, 1, 0, 1], np.ones(3), means, fill, covariance) for fill in ("ridge", "zero"))
    everybody = dict(enumerate(partials))
    np.testing.assert_array_equal(ridge.merge(everybody), zero.merge(everybody))


def test_ridge_recovers_parts_that_the_others_determine() -> None:
    random = np.random.default_rng(4)
    images, classes, student_parts = 400, 3, [0, 1, 2, 0]
    partials = random.normal(2, 1, size=(4, images, classes))
    partials[1] = partials[0] @ random.normal(size=(classes, classes)) + 5  # linear in student 0
    partials[2] = partials[0] - partials[3]
    partials = partials.astype(np.float32)
    means, covariance = moments(partials)
    merger = Merger(student_parts, np.arange(3.0), means, "ridge", covariance)
    whole = merger.merge(dict(enumerate(partials)))

    estimated = merger.merge(some(partials, [0, 3]))
    lost_signal = Merger(student_parts, np.arange(3.0), means, "mean").merge(some(partials, [0, 3]))
    # The ridge shrinks by about lambda; filling in means leaves an error a hundred times that.
    assert np.abs(estimated - whole).mean() < 0.01
    assert np.abs(lost_signal - whole).mean() > 1


@pytest.mark.parametrize("answering", [s for n in (1, 2, 3) for s in combinations(range(4), n)])
def test_ridge_is_the_regularised_least_squares_solution(answering: tuple[int, ...]) -> None:
    """numpy's lstsq on the samples themselves: ridge is least squares with sqrt(N lambda) I appended."""
    random = np.random.default_rng(5)
    images, classes, student_parts = 60, 2, [0, 1, 1, 2]
    mixing = random.normal(size=(4 * classes, 4 * classes))
    stacked = random.normal(size=(images, 4 * classes)) @ mixing + random.normal(size=4 * classes)
    partials = stacked.reshape(images, 4, classes).transpose(1, 0, 2).astype(np.float32)
    means, covariance = moments(partials.astype(np.float64))
    merger = Merger(student_parts, random.normal(size=classes), means, "ridge", covariance)

    whole = merger.merge(dict(enumerate(partials))).astype(np.float64)
    inputs = np.concatenate([partials[student] - means[student] for student in answering], axis=1)
    strength = RIDGE * (inputs**2).mean() * images
    design = np.vstack([inputs, np.sqrt(strength) * np.eye(inputs.shape[1])])
    target = np.vstack([whole - whole.mean(axis=0), np.zeros((inputs.shape[1], classes))])
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    expected = whole.mean(axis=0) + inputs @ solution
    np.testing.assert_allclose(merger.merge(some(partials, answering)), expected, atol=2e-4)


def test_ridge_of_students_that_never_vary_is_the_mean() -> None:
    partials = np.ones((2, 5, 3), np.float32)
    merger = Merger([0, 1], np.zeros(3), partials.mean(axis=1), "ridge", np.zeros((6, 6)))
    np.testing.assert_allclose(merger.merge({1: partials[1]}), np.full((5, 3), 2.0))


def test_only_the_upper_triangle_of_the_covariance_counts() -> None:
    partials = np.random.default_rng(6).normal(size=(2, 20, 3)).astype(np.float32)
    means, covariance = moments(partials)
    mergers = [Merger([0, 1], np.zeros(3), means, "ridge", c) for c in (covariance, np.triu(covariance))]
    first, second = (merger.merge({0: partials[0]}) for merger in mergers)
    np.testing.assert_array_equal(first, second)


GOOD = np.zeros((2, 3), np.float32)


@pytest.mark.parametrize(
    ("partials", "message"),
    [
        ({}, "no student answered"),
        ({2: GOOD}, "student 2 is unknown"),
        ({-1: GOOD}, "student -1 is unknown"),
        ({0: GOOD[:, :2]}, "expected float32"),
        ({0: GOOD[0]}, "expected float32"),
        ({0: GOOD.astype(np.float64)}, "expected float32"),
        ({0: GOOD, 1: GOOD[:1]}, "different numbers of images"),
        ({0: GOOD + np.float32("nan")}, "not finite"),
        ({0: GOOD, 1: GOOD - np.float32("inf")}, "not finite"),
        ({0: GOOD + np.float32(3e38)}, "not finite, or beyond"),
    ],
)
@pytest.mark.parametrize("fill", FILLS)
def test_bad_partial_logits_are_refused(fill: Fill, partials: dict[int, np.ndarray], message: str) -> None:
    merger = Merger([0, 1], np.zeros(3), np.zeros((2, 3)), fill, np.eye(6))
    with pytest.raises(ValueError, match=message):
        merger.merge(partials)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"student_parts": [0, 2]}, "every part from 0 on"),
        ({"student_parts": []}, "every part from 0 on"),
        ({"student_parts": [-1, 0]}, "every part from 0 on"),
        ({"bias": np.zeros((1, 3))}, "bias"),
        ({"bias": np.array([0, 1, np.nan])}, "bias"),
        ({"means": np.zeros((2, 4))}, "means"),
        ({"fill": "guess"}, "fill must be one of"),
        ({"covariance": None}, "needs the covariance"),
        ({"covariance": np.eye(5)}, "covariance must be"),
        ({"covariance": -np.eye(6)}, "negative variance"),
    ],
)
def test_moments_that_do_not_fit_are_refused(change: dict[str, Any], message: str) -> None:
    good = {
        "student_parts": [0, 1],
        "bias": np.zeros(3),
        "means": np.zeros((2, 3)),
        "fill": "ridge",
        "covariance": np.eye(6),
    }
    Merger(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        Merger(**{**good, **change})  # type: ignore[arg-type]

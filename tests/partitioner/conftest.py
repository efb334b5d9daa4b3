"""Filter graphs that are shared by the tests."""

import numpy as np
import pytest

from partitioner import FilterGraph, GraphAccumulator


@pytest.fixture(scope="session")
def planted() -> FilterGraph:
    """48 filters in 6 groups of 8 that fire together, in shuffled order."""
    rng = np.random.default_rng(11)
    group = np.random.default_rng(7).permutation(48) // 8
    pooled = rng.random((400, 6))[:, group] ** 4 + 0.05 * rng.random((400, 48))
    accumulator = GraphAccumulator(48, strongest=16)
    accumulator.add(pooled)
    return accumulator.graph()


@pytest.fixture(scope="session")
def groups() -> np.ndarray:
    """The planted group of each filter of `planted`, [48]."""
    return np.random.default_rng(7).permutation(48) // 8

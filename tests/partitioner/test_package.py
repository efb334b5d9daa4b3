"""What the package shows and what it loads."""

import subprocess
import sys

import numpy as np
import pytest

import partitioner
from partitioner import METHODS, GraphAccumulator, Method, partition


def test_the_public_names_are_the_intended_ones() -> None:
    assert set(partitioner.__all__) == {
        "METHODS",
        "WEIGHTS",
        "FilterGraph",
        "GraphAccumulator",
        "Method",
        "Partition",
        "PartitionError",
        "PartitionFileError",
        "PartitionReport",
        "Weight",
        "draw",
        "partition",
        "report",
    }
    for name in partitioner.__all__:
        assert hasattr(partitioner, name)


def test_importing_loads_nothing_heavy_and_nothing_of_ours() -> None:
    heavy = {"scipy", "networkx", "matplotlib", "torch", "sklearn"}
    ours = {"bundle", "protos", "nonn", "student_builder", "device_node", "aggregator", "fault_lab"}
    program = f"import sys, partitioner; print(sorted({heavy | ours} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("method", METHODS)
def test_2048_filters_into_8_parts(method: Method) -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 40, 2048)
    accumulator = GraphAccumulator(2048)
    for _ in range(6):
        hidden = np.maximum(rng.normal(size=(500, 40)), 0)
        accumulator.add(np.maximum(hidden[:, group] + 0.7 * rng.normal(size=(500, 2048)), 0))
    split = partition(accumulator.graph(), method, parts=8)
    assert len(split.parts) == 8
    assert method == "louvain" or split.sizes == (256,) * 8

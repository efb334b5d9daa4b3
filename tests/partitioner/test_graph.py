"""The filter graph as a value and as a file."""

from pathlib import Path

import numpy as np
import pytest

from partitioner import FilterGraph, PartitionError, PartitionFileError

WEIGHTS = np.array([[0.0, 0.25, 0.0], [0.25, 0.0, 1 / 3], [0.0, 1 / 3, 0.0]])
ACTIVITY = np.array([0.1, 0.0, 7.0])


@pytest.fixture
def graph() -> FilterGraph:
    return FilterGraph(WEIGHTS, ACTIVITY)


def test_a_saved_graph_loads_exactly(graph: FilterGraph, tmp_path: Path) -> None:
    graph.save(tmp_path / "graph.npz")
    loaded = FilterGraph.load(tmp_path / "graph.npz")
    np.testing.assert_array_equal(loaded.weights, WEIGHTS)
    np.testing.assert_array_equal(loaded.activity, ACTIVITY)
    assert [path.name for path in tmp_path.iterdir()] == ["graph.npz"]


def test_the_same_graph_makes_the_same_file(graph: FilterGraph, tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        graph.save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_arrays_are_copied_and_read_only() -> None:
    weights = WEIGHTS.copy()
    graph = FilterGraph(weights, ACTIVITY)
    weights[0, 1] = 9
    assert graph.weights[0, 1] == 0.25
    with pytest.raises(ValueError, match="read-only"):
        graph.activity[0] = 1


def changed(row: int, column: int, value: float) -> np.ndarray:
    weights = WEIGHTS.copy()
    weights[row, column] = value
    return weights


@pytest.mark.parametrize(
    ("weights", "activity", "complaint"),
    [
        (WEIGHTS[:2], ACTIVITY, "square"),
        (np.empty((0, 0)), np.empty(0), "C >= 1"),
        (WEIGHTS, ACTIVITY[:2], "each of the 3 filters"),
        (changed(0, 1, 0.5), ACTIVITY, "symmetric"),
        (changed(1, 1, 0.5), ACTIVITY, "diagonal"),
        (changed(0, 2, -1), ACTIVITY, "weights must be finite and >= 0"),
        (changed(0, 2, np.nan), ACTIVITY, "weights must be finite"),
        (WEIGHTS, [0, np.inf, 0], "activity must be finite"),
        (WEIGHTS, [0, -1, 0], "activity must be finite and >= 0"),
        ([["x"]], [0], "must be numbers"),
    ],
)
def test_what_is_no_filter_graph_is_refused(
    weights: np.ndarray, activity: np.ndarray, complaint: str
) -> None:
    with pytest.raises(PartitionError, match=complaint) as refusal:
        FilterGraph(weights, activity)
    assert refusal.value.exit_code == 7


def test_damaged_files_are_refused_by_name(graph: FilterGraph, tmp_path: Path) -> None:
    whole = tmp_path / "whole.npz"
    graph.save(whole)
    data = whole.read_bytes()
    path = tmp_path / "broken.npz"
    for length in range(0, len(data), 17):
        path.write_bytes(data[:length])
        with pytest.raises(PartitionFileError, match=r"broken\.npz"):
            FilterGraph.load(path)


def test_a_changed_byte_is_refused_or_means_nothing(graph: FilterGraph, tmp_path: Path) -> None:
    whole, path = tmp_path / "whole.npz", tmp_path / "broken.npz"
    graph.save(whole)
    data, refused = whole.read_bytes(), 0
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :])
        try:
            loaded = FilterGraph.load(path)
        except PartitionFileError:
            refused += 1
        else:  # Zip files hold bytes without meaning here, such as a time.
            np.testing.assert_array_equal(loaded.weights, WEIGHTS)
            np.testing.assert_array_equal(loaded.activity, ACTIVITY)
    assert refused > len(data) / 2


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.npz"
    np.savez(path, weights=WEIGHTS, activity=ACTIVITY)
    with pytest.raises(PartitionFileError, match=r"other\.npz is not a filter graph"):
        FilterGraph.load(path)
    np.savez(path, format="nonn-filter-graph", version=2, weights=WEIGHTS, activity=ACTIVITY)
    with pytest.raises(PartitionFileError, match="has version 2, this program reads version 1"):
        FilterGraph.load(path)
    np.savez(path, format="nonn-filter-graph", version=1, weights=-WEIGHTS, activity=ACTIVITY)
    with pytest.raises(PartitionFileError, match=r"other\.npz: .* >= 0"):
        FilterGraph.load(path)
    np.save(tmp_path / "plain.npy", WEIGHTS)
    with pytest.raises(PartitionFileError, match=r"plain\.npy"):
        FilterGraph.load(tmp_path / "plain.npy")
    with pytest.raises(PartitionFileError, match=r"cannot read .*missing\.npz: No such file") as refusal:
        FilterGraph.load(tmp_path / "missing.npz")
    assert refusal.value.exit_code == 8


def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    graph: FilterGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "graph.npz"
    graph.save(path)
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(PartitionFileError, match=r"cannot write .*graph\.npz: No space left on device"):
        graph.save(path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["graph.npz"]


def test_a_missing_folder_is_named(graph: FilterGraph, tmp_path: Path) -> None:
    with pytest.raises(PartitionFileError, match=r"cannot write .*nowhere.graph\.npz: No such file"):
        graph.save(tmp_path / "nowhere" / "graph.npz")

"""NoNN's baseline."""

import numpy as np
import pytest

from partitioner import FilterGraph, PartitionError, partition, report


def communities(*sizes: int) -> FilterGraph:
    """Cliques of these sizes in index order over a faint background that the 99th percentile removes.

    So many silent filters follow that the cliques are the heaviest 1 % of all entries.
    """
    inside = sum(size * (size - 1) for size in sizes)
    filters = int(np.ceil(np.sqrt(100 * inside)))
    weights = np.triu(np.random.default_rng(0).random((filters, filters)) * 1e-3, 1)
    start = 0
    for size in sizes:
        weights[start : start + size, start : start + size] = np.triu(np.ones((size, size)), 1)
        start += size
    return FilterGraph(weights + weights.T, np.ones(filters))


def test_the_largest_community_is_dropped_and_leftovers_go_to_the_smallest_part() -> None:
    graph = communities(5, 9, 7, 6)
    split = partition(graph, "louvain", parts=2)
    assert split.dropped == tuple(range(5, 14))
    assert split.parts[0] == tuple(range(14, 21))
    rest = set(range(graph.filters)) - set(range(5, 21))
    assert set(split.parts[1]) == rest
    figures = report(graph, split)
    assert figures.dropped == 9
    assert sum(figures.activation_mass) == pytest.approx(1 - 9 / graph.filters)


def test_parts_come_by_size_then_by_smallest_index() -> None:
    graph = communities(6, 4, 9, 6)
    split = partition(graph, "louvain", parts=3)
    assert split.parts[:2] == (tuple(range(6)), tuple(range(19, 25)))
    assert set(range(6, 10)) <= set(split.parts[2])


def test_the_same_seed_gives_the_same_parts(planted: FilterGraph) -> None:
    splits = [partition(planted, "louvain", parts=3, seed=5) for _ in range(2)]
    assert splits[0] == splits[1]


def test_one_community_cannot_make_parts() -> None:
    graph = FilterGraph(1 - np.eye(20), np.ones(20))
    with pytest.raises(
        PartitionError, match="cannot make 1 parts: it found 1 communities and drops the largest"
    ):
        partition(graph, "louvain", parts=1)


def test_a_graph_without_edges_is_refused() -> None:
    with pytest.raises(PartitionError, match="has no edges"):
        partition(FilterGraph(np.zeros((5, 5)), np.ones(5)), "louvain", parts=2)


def test_sizes_cannot_be_asked_for(planted: FilterGraph) -> None:
    with pytest.raises(PartitionError, match="louvain cannot make parts of given sizes"):
        partition(planted, "louvain", sizes=[24, 24])


def test_weights_out_of_the_ordinary_range_do_not_matter(planted: FilterGraph) -> None:
    expected = partition(planted, "louvain", parts=3).parts
    for scale in (1e-250, 1e250):
        scaled = FilterGraph(planted.weights * scale, planted.activity)
        assert partition(scaled, "louvain", parts=3).parts == expected

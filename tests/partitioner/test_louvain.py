"""NoNN's baseline."""

import numpy as np
import pytest

from partitioner import FilterGraph, PartitionError, partition, report


def communities(*sizes: int) -> FilterGraph:
    """Cliques of these sizes in index order, then filters that no heavy edge touches.

    Faint edges join all, so many that those of the cliques are the heaviest 1 %.
    """
    heavy = sum(size * (size - 1) for size in sizes)
    filters = int(np.sqrt(100 * heavy))
    weights = np.triu(np.random.default_rng(0).random((filters, filters)) * 1e-3, 1)
    start = 0
    for size in sizes:
        weights[start : start + size, start : start + size] = np.triu(np.ones((size, size)), 1)
        start += size
    return FilterGraph(weights + weights.T, np.ones(filters))


def test_filters_without_heavy_edges_are_dropped_and_leftovers_go_to_the_smallest_part() -> None:
    graph = communities(5, 9, 7, 6)
    split = partition(graph, "louvain", parts=2)
    nine, seven, six, five = (range(5, 14), range(14, 21), range(21, 27), range(5))
    assert split.parts == ((*five, *nine), (*seven, *six))
    assert split.dropped == tuple(range(27, graph.filters))
    figures = report(graph, split)
    assert figures.dropped == graph.filters - 27
    assert sum(figures.activation_mass) == pytest.approx(27 / graph.filters)


def test_communities_of_equal_size_are_one_group() -> None:
    split = partition(communities(6, 4, 9, 6), "louvain", parts=3)
    assert split.parts == ((*range(6), *range(19, 25)), tuple(range(10, 19)), tuple(range(6, 10)))


def test_the_largest_group_is_dropped_whatever_it_is() -> None:
    dense = np.kron(np.diag([1.0, 1.0, 1.0]), np.ones((4, 4))) - np.eye(12)
    graph = FilterGraph(np.pad(dense, (0, 3)), np.ones(15))
    split = partition(graph, "louvain", parts=1)
    assert split.dropped == tuple(range(12))
    assert split.parts == ((12, 13, 14),)


def test_the_same_seed_gives_the_same_parts(planted: FilterGraph) -> None:
    splits = [partition(planted, "louvain", parts=2, seed=5) for _ in range(2)]
    assert splits[0] == splits[1]


def test_one_community_cannot_make_parts() -> None:
    graph = FilterGraph(1 - np.eye(20), np.ones(20))
    with pytest.raises(
        PartitionError, match="cannot make 1 parts: it found 1 groups of communities and drops the largest"
    ):
        partition(graph, "louvain", parts=1)


def test_a_graph_without_edges_is_refused() -> None:
    with pytest.raises(PartitionError, match="has no edges"):
        partition(FilterGraph(np.zeros((5, 5)), np.ones(5)), "louvain", parts=2)


def test_sizes_cannot_be_asked_for(planted: FilterGraph) -> None:
    with pytest.raises(PartitionError, match="louvain cannot make parts of given sizes"):
        partition(planted, "louvain", sizes=[24, 24])


def test_weights_out_of_the_ordinary_range_do_not_matter(planted: FilterGraph) -> None:
    expected = partition(planted, "louvain", parts=2).parts
    for scale in (1e-250, 1e250):
        scaled = FilterGraph(planted.weights * scale, planted.activity)
        assert partition(scaled, "louvain", parts=2).parts == expected

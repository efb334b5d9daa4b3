"""What every method owes its user, and what each is for."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from partitioner import METHODS, FilterGraph, Method, PartitionError, partition, report

SIZED: tuple[Method, ...] = tuple(method for method in METHODS if method != "louvain")
SPECTRAL: tuple[Method, ...] = ("eigenvector", "balanced", "spread")


@st.composite
def filter_graphs(draw: st.DrawFn) -> FilterGraph:
    """Dense, sparse, in pieces, with repeated weights, very light or heavy edges, silent filters."""
    filters = draw(st.integers(1, 18))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = rng.choice([rng.random((filters, filters)), rng.integers(0, 3, (filters, filters))])
    weights = weights * (rng.random((filters, filters)) < draw(st.sampled_from([0.0, 0.1, 0.4, 1.0])))
    weights = weights * rng.choice([1.0, 1e-9, 1e-200], (filters, filters), p=draw(SHARES))
    weights = np.triu(weights, 1) * draw(st.sampled_from([1.0, 1e-300, 1e300]))
    activity = rng.random(filters) * (rng.random(filters) < draw(st.sampled_from([0.5, 1.0])))
    return FilterGraph(weights + weights.T, activity)


SHARES = st.sampled_from([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.4, 0.3, 0.3]])


def complete(filters: int) -> FilterGraph:
    return FilterGraph(1 - np.eye(filters), np.ones(filters))


def cliques(*sizes: int) -> FilterGraph:
    """Cliques without edges between them, filters in shuffled order."""
    group = np.random.default_rng(1).permutation(np.repeat(np.arange(len(sizes)), sizes))
    weights = (group[:, None] == group[None, :]).astype(float)
    np.fill_diagonal(weights, 0)
    return FilterGraph(weights, np.ones(len(group)))


def test_the_methods_are_the_documented_ones() -> None:
    assert get_args(Method) == METHODS == ("eigenvector", "balanced", "spread", "louvain", "random")


@settings(deadline=None, max_examples=150)
@given(graph=filter_graphs(), method=st.sampled_from(SIZED), data=st.data(), seed=st.integers(0, 3))
def test_parts_are_balanced_and_hold_every_filter_once(
    graph: FilterGraph, method: Method, data: st.DataObject, seed: int
) -> None:
    parts = data.draw(st.integers(1, graph.filters))
    split = partition(graph, method, parts=parts, seed=seed)
    assert len(split.parts) == parts
    assert max(split.sizes) - min(split.sizes) <= 1
    assert sorted(index for part in split.parts for index in part) == list(range(graph.filters))
    assert split.dropped == ()
    assert split == partition(graph, method, parts=parts, seed=seed)


@settings(deadline=None, max_examples=100)
@given(graph=filter_graphs(), method=st.sampled_from(SIZED), data=st.data())
def test_target_sizes_are_exact(graph: FilterGraph, method: Method, data: st.DataObject) -> None:
    borders = data.draw(st.sets(st.integers(1, max(1, graph.filters - 1)), max_size=graph.filters - 1))
    sizes = np.diff([0, *sorted(borders), graph.filters]).tolist()
    split = partition(graph, method, sizes=sizes)
    assert list(split.sizes) == sizes
    assert report(graph, split).sizes == tuple(sizes)


@settings(deadline=None, max_examples=60)
@given(graph=filter_graphs(), data=st.data())
def test_balanced_never_has_the_higher_normalised_cut(graph: FilterGraph, data: st.DataObject) -> None:
    parts = data.draw(st.integers(1, 4))
    live = graph.activity > 0
    weights = graph.weights * np.outer(live, live)
    # Dead filters are attached by activity, not by edges: leave those out of the comparison.
    alive = np.flatnonzero(weights.sum(axis=1) > 1e-9 * max(weights.max(), 1e-300))
    assume(len(alive) >= parts and weights.any())
    graph = FilterGraph(weights[np.ix_(alive, alive)] / weights.max(), graph.activity[alive])
    ours, plain = (partition(graph, method, parts=parts) for method in ("balanced", "eigenvector"))
    assert report(graph, ours).normalized_cut <= report(graph, plain).normalized_cut + 1e-6


@pytest.mark.parametrize("method", ["eigenvector", "balanced"])
@pytest.mark.parametrize("parts", [2, 3, 6])
def test_planted_groups_stay_together(
    planted: FilterGraph, groups: np.ndarray, method: Method, parts: int
) -> None:
    for part in partition(planted, method, parts=parts).parts:
        assert len(set(groups[list(part)])) == 6 // parts


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_spread_deals_every_group_out_evenly(planted: FilterGraph, groups: np.ndarray, parts: int) -> None:
    for part in partition(planted, "spread", parts=parts).parts:
        assert np.bincount(groups[list(part)], minlength=6).tolist() == [8 // parts] * 6


@pytest.mark.parametrize("parts", [2, 3, 5])
def test_methods_rank_by_cut_as_they_should(planted: FilterGraph, parts: int) -> None:
    def cut(method: Method) -> float:
        return report(planted, partition(planted, method, parts=parts)).cut

    assert cut("balanced") <= cut("eigenvector") + 1e-9
    assert cut("eigenvector") < cut("random") < cut("spread")


@pytest.mark.parametrize("method", ["eigenvector", "balanced"])
@pytest.mark.parametrize(
    ("sizes", "parts"), [((5, 5, 5, 5), 4), ((5, 5, 5, 5), 2), ((7, 7, 4, 4), 2), ((3, 3, 3), 3), ((1, 1), 2)]
)
def test_components_are_not_torn_when_they_fit(method: Method, sizes: tuple[int, ...], parts: int) -> None:
    graph = cliques(*sizes)
    assert report(graph, partition(graph, method, parts=parts)).cut == 0


@pytest.mark.parametrize("method", SIZED)
def test_a_complete_graph_is_split_into_equal_parts(method: Method) -> None:
    for filters in (4, 9, 30):
        split = partition(complete(filters), method, parts=4)
        assert sorted(split.sizes) == sorted(filters // 4 + (part < filters % 4) for part in range(4))


@pytest.mark.parametrize("method", SPECTRAL)
def test_repeated_eigenvalues_give_the_same_parts_whatever_the_solver_returns(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ring's eigenvalues come in pairs, their eigenvectors with any sign and rotation."""
    ring = np.roll(np.eye(16), 1, axis=1)
    graph = FilterGraph(ring + ring.T, np.ones(16))
    expected = partition(graph, method, parts=2)
    import scipy.linalg

    solve = scipy.linalg.eigh

    def turned(matrix: np.ndarray, **options: object) -> tuple[np.ndarray, np.ndarray]:
        values, vectors = solve(matrix, **options)
        for first in range(len(values) - 1):
            if values[first + 1] - values[first] < 1e-9:
                turn = np.array([[0.6, -0.8], [0.8, 0.6]])
                vectors[:, first : first + 2] = vectors[:, first : first + 2] @ turn
        return values, -vectors

    monkeypatch.setattr(scipy.linalg, "eigh", turned)
    assert partition(graph, method, parts=2) == expected


@pytest.mark.parametrize("parts", [2, 4])
def test_a_ring_is_cut_into_arcs(parts: int) -> None:
    ring = np.roll(np.eye(32), 1, axis=1)
    graph = FilterGraph(ring + ring.T, np.ones(32))
    assert report(graph, partition(graph, "eigenvector", parts=parts)).cut == pytest.approx(parts / 32)


def test_a_weak_bridge_is_the_place_to_cut() -> None:
    """So weak that its eigenvalue and the trivial one, 0, are the same to the eigensolver."""
    weights = cliques(6, 6).weights.copy()
    first = np.flatnonzero(weights[0])
    other = np.flatnonzero(weights[0] == 0)[-1]
    weights[0, other] = weights[other, 0] = 1e-14
    split = partition(FilterGraph(weights, np.ones(12)), "eigenvector", parts=2)
    assert (0, *first.tolist()) in split.parts


@pytest.mark.parametrize("method", SPECTRAL)
def test_dead_filters_are_shared_out_and_change_nothing_for_the_living(
    planted: FilterGraph, method: Method
) -> None:
    """12 filters without edges, and 6 with edges but no activity, beside the 48 living ones."""
    weights = np.zeros((66, 66))
    weights[:48, :48] = planted.weights
    weights[60:, :48] = planted.weights.max()
    weights[:48, 60:] = planted.weights.max()
    activity = np.concatenate([planted.activity, np.full(12, 0.2), np.zeros(6)])
    split = partition(FilterGraph(weights, activity), method, parts=6)
    assert split.sizes == (11,) * 6
    living = tuple(tuple(index for index in part if index < 48) for part in split.parts)
    assert living == partition(planted, method, parts=6).parts
    mass = [activity[list(part)].sum() for part in split.parts]
    assert max(mass) - min(mass) < 0.2


@pytest.mark.parametrize("method", SPECTRAL)
@pytest.mark.parametrize("living", [1, 2, 3])
def test_fewer_living_filters_than_parts(method: Method, living: int) -> None:
    weights = np.zeros((10, 10))
    weights[:living, :living] = 1 - np.eye(living)
    split = partition(FilterGraph(weights, np.ones(10)), method, parts=5)
    assert split.sizes == (2,) * 5


@pytest.mark.parametrize("method", SIZED)
def test_a_graph_without_edges_is_still_split_evenly(method: Method) -> None:
    graph = FilterGraph(np.zeros((11, 11)), np.zeros(11))
    split = partition(graph, method, parts=4)
    assert sorted(split.sizes) == [2, 3, 3, 3]
    assert report(graph, split).cut == 0


def test_filters_without_edges_balance_the_activity() -> None:
    activity = np.array([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0])
    graph = FilterGraph(np.zeros((8, 8)), activity)
    assert report(graph, partition(graph, "eigenvector", parts=2)).activation_mass == (0.5, 0.5)


def test_random_depends_on_the_seed_alone(planted: FilterGraph) -> None:
    splits = [partition(planted, "random", parts=4, seed=seed) for seed in (0, 1, 0)]
    assert splits[0] == splits[2] != splits[1]
    assert splits[0].parts == partition(complete(48), "random", parts=4).parts


@pytest.mark.parametrize("method", SPECTRAL)
@pytest.mark.parametrize("scale", [1e-250, 1e-9, 1e9, 1e250])
def test_parts_do_not_depend_on_the_unit_of_the_weights(
    planted: FilterGraph, method: Method, scale: float
) -> None:
    scaled = FilterGraph(planted.weights * scale, planted.activity)
    assert partition(scaled, method, parts=5).parts == partition(planted, method, parts=5).parts


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        (7, "cannot make 7 parts of 6 filters: ask for at most 6"),
        (0, "cannot make 0 parts: ask for at least 1"),
        (-2, "cannot make -2 parts"),
        (2.0, "must be a whole number, not 2.0"),
        (True, "must be a whole number, not True"),
    ],
)
def test_impossible_numbers_of_parts_are_refused(method: Method, parts: int, complaint: str) -> None:
    with pytest.raises(PartitionError, match=complaint) as refusal:
        partition(complete(6), method, parts=parts)
    assert refusal.value.exit_code == 7


@pytest.mark.parametrize("method", SIZED)
@pytest.mark.parametrize(
    ("sizes", "complaint"),
    [
        ([3, 4], "sum to 7: make them sum to the graph's 6 filters"),
        ([6, 0], "each at least 1"),
        ([7, -1], "each at least 1"),
        ([], "each at least 1"),
        ([3.0, 3], "must be a whole number"),
    ],
)
def test_impossible_sizes_are_refused(method: Method, sizes: list[int], complaint: str) -> None:
    with pytest.raises(PartitionError, match=complaint):
        partition(complete(6), method, sizes=sizes)


def test_contradictory_arguments_are_refused() -> None:
    graph = complete(6)
    with pytest.raises(PartitionError, match="either the number of parts or their sizes"):
        partition(graph, "random")
    with pytest.raises(PartitionError, match="either the number of parts or their sizes"):
        partition(graph, "random", parts=2, sizes=[3, 3])
    with pytest.raises(PartitionError, match="unknown method 'metis'; use one of eigenvector"):
        partition(graph, "metis", parts=2)  # type: ignore[arg-type]
    with pytest.raises(PartitionError, match="seed must be a whole number, at least 0, not -1"):
        partition(graph, "random", parts=2, seed=-1)

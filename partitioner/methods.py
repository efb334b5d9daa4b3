"""One function for all methods of splitting a filter graph."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from partitioner.balanced import balanced
from partitioner.errors import PartitionError
from partitioner.graph import FilterGraph
from partitioner.louvain import louvain
from partitioner.parts import METHODS, Method, Partition
from partitioner.sizes import Sizes, apportion, checked_sizes, equal_sizes
from partitioner.spectral import Array, Labels, recursive_bisection
from partitioner.spread import spread

Split = Callable[[Array, Sizes, int], Labels]


_SPLITS: Mapping[Method, Split] = {
    "eigenvector": recursive_bisection,
    "balanced": balanced,
    "spread": spread,
}


def partition(
    graph: FilterGraph,
    method: Method,
    *,
    parts: int | None = None,
    sizes: Sequence[int] | None = None,
    seed: int = 0,
) -> Partition:
    """Split the filters into `parts` parts whose sizes differ by at most 1, or into parts of exactly `sizes`.

    - `eigenvector`: recursive bisection by rank in the Fiedler order of the normalised Laplacian; correlated
      filters stay together (Jeong, Park, Yang 2021; details ours).
    - `balanced`: the same aim, closer to it: spectral embedding, assignment under capacities, swaps that
      lower the normalised cut (ours).
    - `spread`: the opposite aim: correlated filters go to different parts, maximum cut (ours).
    - `louvain`: NoNN's baseline; drops a community; sizes are whatever comes out and cannot be asked for.
      `partitioner/louvain.py` says how exactly `parts` parts come about, and when they cannot.
    - `random`: every filter anywhere, with equal chance.

    The same graph, arguments and seed give the same parts. Raises PartitionError when they cannot be made.
    """
    if method not in METHODS:
        raise PartitionError(f"unknown method {method!r}; use one of {', '.join(METHODS)}")
    if (parts is None) == (sizes is None):
        raise PartitionError("give either the number of parts or their sizes")
    if type(seed) is not int or seed < 0:
        raise PartitionError(f"the seed must be a whole number, at least 0, not {seed!r}")
    if sizes is not None and method == "louvain":
        raise PartitionError(
            "louvain cannot make parts of given sizes: give a number of parts or another method"
        )
    wanted = (
        equal_sizes(graph.filters, parts) if parts is not None else checked_sizes(graph.filters, sizes or ())
    )
    labels = _labels(graph, method, wanted, seed)
    members = tuple(_members(labels, part) for part in range(len(wanted)))
    return Partition(method, members, dropped=_members(labels, -1), seed=seed)


def _labels(graph: FilterGraph, method: Method, sizes: Sizes, seed: int) -> Labels:
    if method == "louvain":
        return louvain(graph.weights, len(sizes), seed)
    if method == "random":
        order = np.random.default_rng(seed).permutation(graph.filters)
        return np.repeat(np.arange(len(sizes)), sizes)[order]
    return _split_live(graph, _SPLITS[method], sizes, seed)


def _split_live(graph: FilterGraph, split: Split, sizes: Sizes, seed: int) -> Labels:
    """Labels [C] with exactly `sizes`: the living filters by `split`, then the dead ones where there is room.

    Dead are filters without activity or without an edge to an active one: nothing says where they belong.
    """
    # Relative to the heaviest edge, sums stay in range; what is lost in its rounding error is no edge.
    weights = graph.weights / (graph.weights.max() or 1.0)
    weights[weights < np.finfo(np.float64).eps] = 0.0
    active = graph.activity > 0
    live = np.flatnonzero(active & (weights[:, active] > 0).any(axis=1))
    live_sizes = apportion(len(live), sizes)
    used = np.flatnonzero(live_sizes)
    labels = np.full(graph.filters, -1, dtype=np.intp)
    if len(used) == 1:
        labels[live] = used[0]
    elif len(used) > 1:
        found = split(weights[np.ix_(live, live)], tuple(live_sizes[part] for part in used), seed)
        labels[live] = used[found]
    _attach(labels, graph.activity, sizes)
    return labels


def _attach(labels: Labels, activity: Array, sizes: Sizes) -> None:
    """Give each filter without a part, the most active first, to the least active part that has room."""
    parts = range(len(sizes))
    room = {part: sizes[part] - int((labels == part).sum()) for part in parts}
    mass = {part: float(activity[labels == part].sum()) for part in parts}
    homeless = np.flatnonzero(labels < 0)
    for node in homeless[np.argsort(-activity[homeless], kind="stable")]:
        part = min((part for part in parts if room[part]), key=lambda part: (mass[part], part))
        labels[node] = part
        room[part] -= 1
        mass[part] += float(activity[node])


def _members(labels: Labels, part: int) -> tuple[int, ...]:
    return tuple(np.flatnonzero(labels == part).tolist())

"""One function for all methods of splitting a filter graph."""

from collections.abc import Callable, Sequence

import numpy as np

from partitioner.errors import PartitionError
from partitioner.graph import FilterGraph
from partitioner.parts import METHODS, Method, Partition
from partitioner.sizes import Sizes, apportion, checked_sizes, equal_sizes
from partitioner.spectral import Array, Labels, recursive_bisection

Split = Callable[[Array, Sizes, int], Labels]


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
    - `random`: every filter anywhere, with equal chance.

    The same graph, arguments and seed give the same parts. Raises PartitionError when they cannot be made.
    """
    if method not in METHODS:
        raise PartitionError(f"unknown method {method!r}; use one of {', '.join(METHODS)}")
    if (parts is None) == (sizes is None):
        raise PartitionError("give either the number of parts or their sizes")
    if seed < 0:
        raise PartitionError(f"the seed must be at least 0, not {seed}")
    wanted = (
        equal_sizes(graph.filters, parts) if parts is not None else checked_sizes(graph.filters, sizes or ())
    )
    if method == "random":
        order = np.random.default_rng(seed).permutation(graph.filters)
        labels = np.empty(graph.filters, dtype=np.intp)
        labels[order] = np.repeat(np.arange(len(wanted)), wanted)
    else:
        labels = _split_live(graph, recursive_bisection, wanted, seed)
    return Partition(method, tuple(_members(labels, part) for part in range(len(wanted))), seed=seed)


def _split_live(graph: FilterGraph, split: Split, sizes: Sizes, seed: int) -> Labels:
    """Labels [C] with exactly `sizes`: the living filters by `split`, then the dead ones where there is room.

    Dead are filters without activity or without an edge to an active one: nothing says where they belong.
    """
    active = graph.activity > 0
    live = np.flatnonzero(active & (graph.weights[:, active] > 0).any(axis=1))
    live_sizes = apportion(len(live), sizes)
    used = np.flatnonzero(live_sizes)
    labels = np.full(graph.filters, -1, dtype=np.intp)
    if len(used) == 1:
        labels[live] = used[0]
    elif len(used) > 1:
        weights = graph.weights[np.ix_(live, live)]
        # Relative to the largest: sums of degrees stay in range.
        found = split(weights / weights.max(), tuple(live_sizes[part] for part in used), seed)
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

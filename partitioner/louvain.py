"""`louvain`: NoNN's own partitioning, the baseline, as its authors' program does it."""

from typing import Any

import numpy as np

from partitioner.errors import PartitionError
from partitioner.spectral import Array, Labels

_PERCENTILE = 99
# The authors' 0.7 is a time (Lambiotte, Delvenne and Barahona 2008), whose inverse is the resolution here.
_RESOLUTION = 1 / 0.7
# What Louvain finds depends on the order in which it looks at the filters.
_ATTEMPTS = 20


def louvain(weights: Array, parts: int, seed: int) -> Labels:
    """Labels [C], -1 for a dropped filter; part sizes are whatever comes out.

    Edges lighter than the 99th percentile of all edges are removed, then Louvain (Blondel et al. 2008) at
    resolution 1 / 0.7 finds communities; a filter that has no edge left is a community of its own.
    Communities of equal size count as one, and so do all single filters. The largest of these groups is
    dropped. The next `parts` largest are the parts, in that order (of equal ones, first that of the smaller
    communities). Each group that remains goes to the part that is then the smallest, the largest first.

    Raises PartitionError when no more than `parts` groups are found in 20 attempts, or the graph has no edges
    at all.
    """
    import networkx

    if not weights.any():
        raise PartitionError("louvain: the filter graph has no edges; check the activations, or use `random`")
    strong = np.where(weights >= np.percentile(weights[weights > 0], _PERCENTILE), weights, 0.0)
    graph = networkx.from_numpy_array(strong / strong.max())
    most = 0
    for attempt in range(_ATTEMPTS):
        groups = _groups(graph, np.random.default_rng([seed, attempt]))
        if len(groups) > parts:
            return _labels(groups, parts, len(weights))
        most = max(most, len(groups))
    raise PartitionError(
        f"louvain cannot make {parts} parts: it found {most} groups of communities and drops the largest; "
        "ask for fewer parts or use another method"
    )


def _groups(graph: Any, random: np.random.Generator) -> list[list[int]]:
    """Communities of equal size put together, the largest group first."""
    import networkx

    by_size: dict[int, list[int]] = {}
    for community in networkx.community.louvain_communities(graph, resolution=_RESOLUTION, seed=random):
        by_size.setdefault(len(community), []).extend(community)
    return sorted((by_size[size] for size in sorted(by_size)), key=len, reverse=True)


def _labels(groups: list[list[int]], parts: int, filters: int) -> Labels:
    labels = np.full(filters, -1, dtype=np.intp)
    sizes = [len(group) for group in groups[1 : parts + 1]]
    for part, group in enumerate(groups[1 : parts + 1]):
        labels[group] = part
    for group in groups[parts + 1 :]:
        smallest = sizes.index(min(sizes))
        labels[group] = smallest
        sizes[smallest] += len(group)
    return labels

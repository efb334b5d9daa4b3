"""`louvain`: NoNN's own partitioning, the baseline, as its authors' program does it."""

import numpy as np

from partitioner.errors import PartitionError
from partitioner.spectral import Array, Labels

_PERCENTILE = 99
_RESOLUTION = 0.7


def louvain(weights: Array, parts: int, seed: int) -> Labels:
    """Labels [C], -1 for a dropped filter; part sizes are whatever comes out.

    Edges lighter than the 99th percentile of all entries of the matrix are removed, then Louvain (Blondel et
    al. 2008) at resolution 0.7 finds communities; a filter that has no edge left is a community of its own.
    The largest community is dropped. The next `parts` largest are the parts, in that order (of equal ones,
    first the one with the smallest filter index). All filters of the communities that remain go to the
    smallest, which is the last, part.

    Raises PartitionError when no more than `parts` communities are found, or the graph has no edges at all.
    """
    import networkx

    if not weights.any():
        raise PartitionError("louvain: the filter graph has no edges; check the activations, or use `random`")
    strong = np.where(weights >= np.percentile(weights, _PERCENTILE), weights, 0.0)
    graph = networkx.from_numpy_array(strong / strong.max())
    found = networkx.community.louvain_communities(graph, resolution=_RESOLUTION, seed=seed)
    communities = sorted((sorted(group) for group in found), key=lambda group: (-len(group), group[0]))
    if len(communities) <= parts:
        raise PartitionError(
            f"louvain cannot make {parts} parts: it found {len(communities)} communities and drops the "
            "largest; ask for fewer parts or use another method"
        )
    labels = np.full(len(weights), -1, dtype=np.intp)
    for part, group in enumerate(communities[1 : parts + 1]):
        labels[group] = part
    for group in communities[parts + 1 :]:
        labels[group] = parts - 1
    return labels

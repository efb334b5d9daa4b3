"""How good a partition is, in figures."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from partitioner.errors import PartitionError
from partitioner.graph import FilterGraph
from partitioner.parts import Partition


@dataclass(frozen=True, slots=True)
class PartitionReport:
    """Figures of a partition. Edges of dropped filters count for none of cut, normalized_cut and modularity.

    sizes: filters in each part.
    cut: share of the edge weight that runs between parts, 0 to 1.
    normalized_cut: sum over parts of cut(part, rest) / volume(part), volume = sum of degrees, 0 to the number
        of parts (Shi and Malik 2000).
    activation_mass: each part's share of the activity of all filters, dropped ones included.
    modularity: Newman 2006, -1/2 to 1.
    dropped: filters in no part (louvain).
    """

    sizes: tuple[int, ...]
    cut: float
    normalized_cut: float
    activation_mass: tuple[float, ...]
    modularity: float
    dropped: int

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return asdict(self)


def report(graph: FilterGraph, partition: Partition) -> PartitionReport:
    """Figures of `partition` on `graph`; without edges, cut is 0. PartitionError: not of the same filters."""
    if partition.filters != graph.filters:
        raise PartitionError(
            f"the partition is of {partition.filters} filters, the graph has {graph.filters}"
        )
    members = np.zeros((len(partition.parts), graph.filters))
    for number, part in enumerate(partition.parts):
        members[number, list(part)] = 1.0
    # Weights relative to the largest: sums of very large or very small ones stay in range.
    between = members @ (graph.weights / (graph.weights.max() or 1.0)) @ members.T
    inside, volume = between.diagonal(), between.sum(axis=1)
    total = volume.sum() or 1.0
    activity = graph.activity / (graph.activity.max() or 1.0)
    outside = np.maximum(volume - inside, 0.0)
    return PartitionReport(
        sizes=partition.sizes,
        cut=float(outside.sum() / total),
        normalized_cut=float(np.divide(outside, volume, out=np.zeros_like(volume), where=volume > 0).sum()),
        activation_mass=tuple((members @ activity / (activity.sum() or 1.0)).tolist()),
        modularity=float((inside / total - (volume / total) ** 2).sum()),
        dropped=len(partition.dropped),
    )

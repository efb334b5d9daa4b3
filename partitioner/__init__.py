"""Splits the filters of a teacher's last feature map into parts, one for each student.

accumulator = GraphAccumulator(filters=384)
for batch in batches:
    accumulator.add(batch)                        # pooled activations, [N, 384]
graph = accumulator.graph()
split = partition(graph, "eigenvector", parts=4)
print(report(graph, split))
draw(graph, split, Path("parts.png"))
"""

from partitioner.accumulator import WEIGHTS, GraphAccumulator, Weight
from partitioner.errors import PartitionError, PartitionFileError
from partitioner.graph import FilterGraph
from partitioner.methods import partition
from partitioner.parts import METHODS, Method, Partition
from partitioner.picture import draw
from partitioner.quality import PartitionReport, report

__all__ = [
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
]

"""The outcome: which filters form which part."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from partitioner.errors import PartitionError

Method = Literal["eigenvector", "balanced", "spread", "louvain", "random"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Partition:
    """Filter indices by part, each ascending.

    Every filter is in one part, or where parts overlap in `copies` of them, or (louvain only) dropped. Raises
    PartitionError when that does not hold.
    """

    method: Method
    parts: tuple[tuple[int, ...], ...]
    dropped: tuple[int, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise PartitionError(f"unknown method {self.method!r}; use one of {', '.join(METHODS)}")
        if self.dropped and self.method != "louvain":
            raise PartitionError(f"a partition by {self.method} must not drop filters")
        groups = (*self.parts, self.dropped)
        if not self.parts or not all(self.parts) or any(list(group) != sorted(group) for group in groups):
            raise PartitionError(
                "a partition needs at least one part, no empty part, and ascending filter indices"
            )
        times = Counter(node for part in self.parts for node in part)
        if any(len(set(group)) < len(group) for group in groups) or len(set(times.values())) > 1:
            raise PartitionError("a partition must have each filter equally often, and no part one twice")
        if sorted((*times, *self.dropped)) != list(range(self.filters)):
            raise PartitionError(
                f"a partition must have each filter from 0 to {self.filters - 1} in a part, or dropped"
            )

    @property
    def filters(self) -> int:
        """C, the number of filters of the graph, dropped ones included."""
        return len(set().union(*self.parts)) + len(self.dropped)

    @property
    def copies(self) -> int:
        """In how many parts each filter is."""
        return sum(self.sizes) // (self.filters - len(self.dropped))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Filters in each part."""
        return tuple(len(part) for part in self.parts)

    def labels(self) -> NDArray[np.intp]:
        """The part of each filter, [C]; -1 for a dropped one. Raises PartitionError where parts overlap."""
        if self.copies > 1:
            raise PartitionError("parts that overlap give a filter no single label")
        labels = np.full(self.filters, -1, dtype=np.intp)
        for number, part in enumerate(self.parts):
            labels[list(part)] = number
        return labels

    def overlapping(self, copies: int) -> Self:
        """As many parts, each joined with the `copies` - 1 that follow it: every filter is in `copies` parts.

        Raises PartitionError when there are not so many parts, or they overlap already.
        """
        count = len(self.parts)
        if not 1 <= copies <= count or self.copies > 1:
            raise PartitionError(f"{count} parts of {self.copies} copies cannot overlap {copies} times")
        joined = (
            tuple(sorted(node for step in range(copies) for node in self.parts[(first + step) % count]))
            for first in range(count)
        )
        return replace(self, parts=tuple(joined))

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold; `from_dict` reads it back."""
        return {
            "method": self.method,
            "parts": [list(part) for part in self.parts],
            "dropped": list(self.dropped),
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` made. Raises PartitionError for anything else."""
        try:
            parts = tuple(_indices(part) for part in values["parts"])
            method, dropped, seed = values["method"], _indices(values["dropped"]), values["seed"]
            if set(values) != {"method", "parts", "dropped", "seed"} or type(seed) is not int:
                raise TypeError
        except (KeyError, TypeError) as error:
            raise PartitionError(
                "not a partition: it needs method, parts, dropped and seed, and nothing else"
            ) from error
        return cls(method, parts, dropped, seed)


def _indices(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or any(type(value) is not int for value in values):
        raise TypeError("filter indices must be a list of whole numbers")
    return tuple(values)

"""The filter graph: which filters of the teacher's last feature map fire together, and how strongly."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from partitioner.errors import PartitionError, PartitionFileError
from partitioner.files import write_atomically

FORMAT = "nonn-filter-graph"
VERSION = 1
_ARRAYS = {"format", "version", "weights", "activity"}


@dataclass(frozen=True, slots=True, eq=False)
class FilterGraph:
    """An undirected weighted graph whose nodes are the C filters; arrays are copied and made read-only.

    weights: float64 [C, C], symmetric, zero diagonal, >= 0.
    activity: float64 [C], mean pooled activation of each filter, >= 0.
    Raises PartitionError when the arrays are not such.
    """

    weights: NDArray[np.float64]
    activity: NDArray[np.float64]

    def __post_init__(self) -> None:
        weights, activity = _frozen(self.weights, "weights"), _frozen(self.activity, "activity")
        if weights.ndim != 2 or weights.shape[0] != weights.shape[1] or weights.shape[0] == 0:
            raise PartitionError(
                f"filter graph: weights must be square, [C, C] with C >= 1, not {weights.shape}"
            )
        if activity.shape != weights.shape[:1]:
            raise PartitionError(
                f"filter graph: activity must have one value for each of the {len(weights)} filters, "
                f"not shape {activity.shape}"
            )
        if not np.array_equal(weights, weights.T):
            raise PartitionError("filter graph: weights must be symmetric; use (W + W.T) / 2")
        if weights.diagonal().any():
            raise PartitionError("filter graph: the diagonal of weights must be zero (no edge to oneself)")
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "activity", activity)

    @property
    def filters(self) -> int:
        """C, the number of filters."""
        return len(self.activity)

    def save(self, path: Path) -> None:
        """Write an .npz file, completely or not at all. Raises PartitionFileError."""
        arrays = {"format": np.array(FORMAT), "version": np.array(VERSION)}
        arrays |= {"weights": self.weights, "activity": self.activity}
        write_atomically(path, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises PartitionFileError, naming the file, for anything else."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                if set(arrays) != _ARRAYS or str(arrays["format"]) != FORMAT:
                    raise PartitionFileError(f"{path} is not a filter graph; write it again from the teacher")
                if int(arrays["version"]) != VERSION:
                    raise PartitionFileError(
                        f"{path} has version {arrays['version']}, this program reads version {VERSION}; "
                        "write it again from the teacher"
                    )
                return cls(arrays["weights"], arrays["activity"])
        except PartitionFileError:
            raise
        except PartitionError as error:
            raise PartitionFileError(f"{path}: {error}") from error
        except OSError as error:
            raise PartitionFileError(f"cannot read {path}: {error.strerror or error}") from error
        except Exception as error:  # zipfile, zlib and numpy raise nearly anything on bad bytes
            raise PartitionFileError(f"{path} is damaged; write it again from the teacher") from error


def _frozen(values: ArrayLike, name: str) -> NDArray[np.float64]:
    try:
        array = np.array(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PartitionError(f"filter graph: {name} must be numbers") from error
    if not np.isfinite(array).all() or (array < 0).any():
        raise PartitionError(f"filter graph: {name} must be finite and >= 0")
    array.setflags(write=False)
    return array

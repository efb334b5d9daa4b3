"""From pooled activations, batch by batch, to the filter graph; memory does not grow with the images."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from partitioner.errors import PartitionError
from partitioner.graph import FilterGraph

Weight = Literal["coactivation", "activation_hub", "correlation"]
WEIGHTS: tuple[Weight, ...] = get_args(Weight)

_LARGEST = float(np.finfo(np.float32).max)
_PAIRS_AT_ONCE = 1 << 21  # bounds the temporary arrays of the activation hub to a few tens of MB


class GraphAccumulator:
    """Sums the edge weights over batches of pooled activations (spatial mean of the last feature map).

        accumulator = GraphAccumulator(filters=384)
        for batch in batches:
            accumulator.add(pooled(batch))      # [N, C]
        graph = accumulator.graph()

    Negative activations count as 0 everywhere. Edge weight of filters a and b, a mean over images:
    - `activation_hub` (NoNN, arXiv 1907.11804): each image's activities divided by their largest, the
      `strongest` ones kept, then a * b * |a - b|.
    - `coactivation` (ours): the same without the factor |a - b|, which destroys the correlation: a * b.
    - `correlation`: Pearson's r over images, negative r as 0; `strongest` plays no part.
    `strongest=None` keeps all filters of an image.
    """

    def __init__(self, filters: int, weight: Weight = "coactivation", *, strongest: int | None = 50) -> None:
        if filters < 1:
            raise PartitionError(f"a filter graph needs at least 1 filter, not {filters}")
        if weight not in WEIGHTS:
            raise PartitionError(f"unknown edge weight {weight!r}; use one of {', '.join(WEIGHTS)}")
        if strongest is not None and strongest < 2:
            raise PartitionError(f"strongest must be at least 2 (an edge joins two filters), not {strongest}")
        self.filters, self.weight = filters, weight
        self.images = 0
        self._strongest = filters if strongest is None else min(strongest, filters)
        self._mean = np.zeros(filters)
        self._pairs = np.zeros((filters, filters))

    def add(self, pooled: ArrayLike) -> None:
        """Count a batch, [N, C]. On a wrong shape, NaN or infinity: PartitionError, and none of it counts."""
        activities = self._checked(pooled)
        if len(activities) == 0:
            return
        images = self.images + len(activities)
        batch_mean = activities.mean(axis=0)
        change = batch_mean - self._mean
        if self.weight == "correlation":
            # Chan, Golub, LeVeque 1979: co-moments of two samples merge without cancellation.
            centred = activities - batch_mean
            self._pairs += centred.T @ centred
            self._pairs += np.outer(change, change) * (self.images * len(activities) / images)
        else:
            self._pairs += self._products(activities)
        self._mean += change * (len(activities) / images)
        self.images = images

    def graph(self) -> FilterGraph:
        """The graph of all images added so far. Raises PartitionError when there is none."""
        if self.images == 0:
            raise PartitionError("no activations were added: a filter graph needs at least 1 image")
        pairs = self._pairs / self.images
        weights = _correlation(pairs, self._mean) if self.weight == "correlation" else (pairs + pairs.T) / 2
        np.fill_diagonal(weights, 0.0)
        return FilterGraph(weights, self._mean)

    def _checked(self, pooled: ArrayLike) -> NDArray[np.float64]:
        try:
            activities = np.asarray(pooled, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise PartitionError("activations must be numbers, [N, C]") from error
        if activities.ndim != 2 or activities.shape[1] != self.filters:
            raise PartitionError(
                f"activations must be [N, {self.filters}], one row per image, not {list(activities.shape)}"
            )
        fine = np.abs(activities) <= _LARGEST
        if not fine.all():
            image, channel = np.argwhere(~fine)[0]
            raise PartitionError(
                f"activation of filter {channel} on image {self.images + image} is "
                f"{activities[image, channel]}: check the teacher's weights and the preprocessing"
            )
        return np.maximum(activities, 0.0)

    def _products(self, activities: NDArray[np.float64]) -> NDArray[np.float64]:
        largest = activities.max(axis=1, keepdims=True)
        relative = np.divide(activities, largest, out=np.zeros_like(activities), where=largest > 0)
        kept = np.argpartition(relative, self.filters - self._strongest, axis=1)[:, -self._strongest :]
        if self.weight == "activation_hub":
            return _hub(relative, kept)
        strong = np.zeros_like(relative)
        np.put_along_axis(strong, kept, np.take_along_axis(relative, kept, axis=1), axis=1)
        product: NDArray[np.float64] = strong.T @ strong
        return product


def _hub(relative: NDArray[np.float64], kept: NDArray[np.intp]) -> NDArray[np.float64]:
    filters, strongest = relative.shape[1], kept.shape[1]
    total = np.zeros(filters * filters)
    step = max(1, _PAIRS_AT_ONCE // strongest**2)
    for start in range(0, len(relative), step):
        index = kept[start : start + step]
        value = np.take_along_axis(relative[start : start + step], index, axis=1)
        a, b = value[:, :, None], value[:, None, :]
        cells = index[:, :, None] * filters + index[:, None, :]
        total += np.bincount(cells.ravel(), (a * b * np.abs(a - b)).ravel(), minlength=filters * filters)
    return total.reshape(filters, filters)


def _correlation(covariance: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    variance = covariance.diagonal()
    # A constant filter has a variance of rounding errors only: it correlates with nothing.
    varies = variance > 1e-24 * (mean**2 + variance)
    scale = np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1.0)), 0.0)
    correlation = np.clip(covariance * np.outer(scale, scale), 0.0, 1.0)
    symmetric: NDArray[np.float64] = (correlation + correlation.T) / 2
    return symmetric

"""`balanced`: spectral embedding, assignment under capacities, swaps on the normalised cut."""

import numpy as np

from partitioner.refine import normalized_cut, refine, total_cost
from partitioner.sizes import Sizes
from partitioner.spectral import Array, Labels, embedding, recursive_bisection

_ROUNDS = 5


def balanced(weights: Array, sizes: Sizes, seed: int) -> Labels:
    """Parts of exactly these sizes with a low normalised cut; never a higher one than recursive bisection.

    Both the bisection and the assignment that starts from it are refined by swaps; the better one is kept.
    Degrees must be positive.
    """
    bisected = recursive_bisection(weights, sizes, seed)
    assigned = assign(embedding(weights, len(sizes)), bisected, sizes)
    refined = [refine(weights, start, normalized_cut) for start in (bisected, assigned)]
    return min(refined, key=lambda labels: total_cost(weights, labels, normalized_cut))


def assign(points: Array, labels: Labels, sizes: Sizes) -> Labels:
    """k-means on points [n, d] with parts of exactly `sizes`, from `labels` [n] on, at most `_ROUNDS` rounds.

    Each round is one optimal assignment of the points to as many places as the parts have.
    """
    from scipy.optimize import linear_sum_assignment

    places = np.repeat(np.arange(len(sizes)), sizes)
    for _ in range(_ROUNDS):
        centres = np.stack([points[labels == part].mean(axis=0) for part in range(len(sizes))])
        distances = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
        chosen = places[linear_sum_assignment(distances[:, places])[1]]
        if np.array_equal(chosen, labels):
            break
        labels = chosen
    return labels

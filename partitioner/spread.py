"""`spread`: filters that fire together go to different parts: the survivors know what a lost part knew."""

import numpy as np

from partitioner.refine import held_together, refine
from partitioner.sizes import Sizes
from partitioner.spectral import Array, Labels, spectral_order


def spread(weights: Array, sizes: Sizes, seed: int) -> Labels:
    """Parts of exactly these sizes with a large cut. Degrees must be positive.

    Neighbours in the eigenvector order are dealt to the parts in turn, then swaps raise the cut.
    """
    labels = np.empty(len(weights), dtype=np.intp)
    labels[spectral_order(weights, seed)] = deal(sizes)
    return refine(weights, labels, held_together)


def deal(sizes: Sizes) -> Labels:
    """Part of the first, second, ... filter dealt: round-robin, larger parts more often, all evenly, [n]."""
    turns = np.concatenate([(np.arange(size) + 0.5) / size for size in sizes])
    return np.repeat(np.arange(len(sizes)), sizes)[np.argsort(turns, kind="stable")]

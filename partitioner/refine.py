"""Swaps of two filters between parts, sizes kept, while they lower a cost (after Kernighan and Lin 1970)."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from partitioner.spectral import Array, Labels

# Cost of parts from their inside weight (each edge counted twice) and volume (sum of degrees), elementwise.
# A partition costs the sum over its parts. Weights sum to 1, so both arguments are shares.
Cost = Callable[[Any, Any], Any]

# Least gain worth a swap: well above rounding errors, so that the search cannot go in circles.
_GAIN = 1e-10
_PASSES = 12


def normalized_cut(inside: Any, volume: Any) -> Any:
    """The normalised cut of a part: 1 - inside / volume."""
    return 1 - inside / volume


def held_together(inside: Any, volume: Any) -> Any:
    """The weight inside a part; the less of it, the larger the cut."""
    return inside


def refine(weights: Array, labels: Labels, cost: Cost, passes: int = _PASSES) -> Labels:
    """Labels [n] of the same sizes and no higher cost, after at most `passes` rounds over all pairs of parts.

    Takes weights [n, n] with positive degrees, labels 0..M-1 without an empty part. The best partner of every
    filter is found for a whole pair of parts at once; each swap is judged again when its turn comes.
    """
    state = _state(weights / weights.sum(), labels.copy(), cost)
    parts = len(state.volume)
    for _ in range(passes):
        swaps = [_exchange(state, p, q) for p, q in combinations(range(parts), 2)]
        if not any(swaps):
            break
    return state.labels


def total_cost(weights: Array, labels: Labels, cost: Cost) -> float:
    """Cost of the whole partition."""
    state = _state(weights / weights.sum(), labels, cost)
    return float(cost(state.inside, state.volume).sum())


@dataclass(slots=True)
class _State:
    weights: Array  # [n, n], sum 1
    degrees: Array  # [n]
    labels: Labels  # [n]
    attached: Array  # [n, parts]: weight between a node and a part
    inside: Array  # [parts]
    volume: Array  # [parts]
    cost: Cost

    def change(self, i: Any, j: Any, p: int, q: int) -> Any:
        """Change of the cost when i of part p and j of part q change places; i and j broadcast."""
        edge = self.weights[i, j]
        more_p = 2 * (self.attached[j, p] - self.attached[i, p] - edge)
        more_q = 2 * (self.attached[i, q] - self.attached[j, q] - edge)
        heavier = self.degrees[j] - self.degrees[i]
        after = self.cost(self.inside[p] + more_p, self.volume[p] + heavier)
        after = after + self.cost(self.inside[q] + more_q, self.volume[q] - heavier)
        return after - self.cost(self.inside[p], self.volume[p]) - self.cost(self.inside[q], self.volume[q])

    def swap(self, i: int, j: int, p: int, q: int) -> None:
        edge, heavier = self.weights[i, j], self.degrees[j] - self.degrees[i]
        self.inside[p] += 2 * (self.attached[j, p] - self.attached[i, p] - edge)
        self.inside[q] += 2 * (self.attached[i, q] - self.attached[j, q] - edge)
        self.volume[p] += heavier
        self.volume[q] -= heavier
        moved = self.weights[j] - self.weights[i]
        self.attached[:, p] += moved
        self.attached[:, q] -= moved
        self.labels[i], self.labels[j] = q, p


def _state(weights: Array, labels: Labels, cost: Cost) -> _State:
    members = np.eye(int(labels.max()) + 1)[labels]
    degrees, attached = weights.sum(axis=1), weights @ members
    inside, volume = (members * attached).sum(axis=0), degrees @ members
    return _State(weights, degrees, labels, attached, inside, volume, cost)


def _exchange(state: _State, p: int, q: int) -> int:
    """Swap what lowers the cost between parts p and q, each node at most once; the number of swaps."""
    first, second = np.flatnonzero(state.labels == p), np.flatnonzero(state.labels == q)
    change = state.change(first[:, None], second[None, :], p, q)
    partner = change.argmin(axis=1)
    best = change[np.arange(len(first)), partner]
    swaps = 0
    for row in np.argsort(best, kind="stable"):
        if best[row] > -_GAIN:
            break
        i, j = int(first[row]), int(second[partner[row]])
        if state.labels[j] == q and state.change(i, j, p, q) < -_GAIN:
            state.swap(i, j, p, q)
            swaps += 1
    return swaps

"""The normalised Laplacian of a filter graph: eigenvectors, components, and a cut of exact size.

L = I - D^-1/2 W D^-1/2 (Shi and Malik 2000; von Luxburg 2007). The plain Laplacian D - W is of no use here:
its low eigenvectors each sit on one single weakly connected filter.

All functions take weights [n, n] >= 0; where degrees must be positive, they say so.
"""

import numpy as np
from numpy.typing import NDArray

from partitioner.sizes import Sizes

Array = NDArray[np.float64]
Labels = NDArray[np.intp]

# Eigenvalues of L lie in [0, 2]; those this close are one eigenvalue, computed with rounding errors.
_SAME_EIGENVALUE = 1e-9
# Eigenvectors that are looked at for a repeated eigenvalue. More than that arise in graphs such as the
# complete one, where all cuts of a size weigh the same.
_MULTIPLICITY = 16


def embedding(weights: Array, dimensions: int) -> Array:
    """Rows of the lowest eigenvectors of L, scaled to length 1 (Ng, Jordan, Weiss 2001), [n, dimensions].

    Degrees must be positive.
    """
    vectors = _lowest(_laplacian(weights), dimensions)[1]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Array = vectors / np.maximum(lengths, np.finfo(np.float64).tiny)
    return scaled


def fiedler_order(weights: Array, seed: int) -> Labels:
    """Nodes of a connected graph in the order of D^-1/2 v, v the second lowest eigenvector of L, [n].

    v is the projection of a random vector, fixed by the seed, onto the eigenspace. That settles v's sign, and
    which of the many eigenvectors is taken when the eigenvalue is repeated, whatever basis the eigensolver
    chose. Equal entries keep the order of their indices.
    """
    if len(weights) < 3:
        return np.arange(len(weights))
    root_degrees = np.sqrt(weights.sum(axis=1))
    trivial = root_degrees / np.linalg.norm(root_degrees)
    # The trivial eigenvector (eigenvalue 0) is moved out of the way to 2: where a graph nearly falls apart,
    # rounding would mix it with the wanted one.
    values, vectors = _lowest(_laplacian(weights) + 2 * np.outer(trivial, trivial), _MULTIPLICITY)
    space = vectors[:, values <= values[0] + _SAME_EIGENVALUE]
    reference = np.random.default_rng(seed).standard_normal(len(weights))
    positions = (space @ (space.T @ reference)) / root_degrees
    return np.argsort(np.round(positions / np.abs(positions).max(), 9), kind="stable")


def components(weights: Array) -> list[Labels]:
    """Connected components, the largest first, each as ascending node indices."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count, labels = connected_components(csr_array(weights > 0), directed=False)
    groups = np.split(np.argsort(labels, kind="stable"), np.cumsum(np.bincount(labels, minlength=count))[:-1])
    return sorted(groups, key=lambda group: (-len(group), group[0]))


def spectral_order(weights: Array, seed: int) -> Labels:
    """All nodes, component after component, each in its Fiedler order, [n]."""
    groups = components(weights)
    return np.concatenate([group[fiedler_order(weights[np.ix_(group, group)], seed)] for group in groups])


def bisect(weights: Array, left: int, seed: int) -> tuple[Labels, Labels]:
    """Two sides of exactly `left` and n - left nodes, ascending; at most one connected component is torn.

    Components are packed whole while they fit, the largest first. What room is left is cut off the smallest
    of the others by rank in its Fiedler order (never by sign, which gives no balance), at the end that cuts
    less.
    """
    taken: list[Labels] = []
    waiting: list[Labels] = []
    room = left
    for group in components(weights):
        if len(group) <= room:
            taken.append(group)
            room -= len(group)
        else:
            waiting.append(group)
    if room:
        group = waiting[-1]
        inside = weights[np.ix_(group, group)]
        order = fiedler_order(inside, seed)
        taken.append(group[_lighter_end(inside, order, room)])
    chosen = np.zeros(len(weights), dtype=np.bool_)
    chosen[np.concatenate(taken)] = True
    return np.flatnonzero(chosen), np.flatnonzero(~chosen)


def recursive_bisection(weights: Array, sizes: Sizes, seed: int) -> Labels:
    """Parts of exactly these sizes by `bisect`, again and again; labels [n]."""
    labels = np.zeros(len(weights), dtype=np.intp)

    def divide(nodes: Labels, first: int, last: int) -> None:
        if last - first == 1:
            labels[nodes] = first
            return
        middle = (first + last + 1) // 2
        left, right = bisect(weights[np.ix_(nodes, nodes)], sum(sizes[first:middle]), seed)
        divide(nodes[left], first, middle)
        divide(nodes[right], middle, last)

    divide(np.arange(len(weights)), 0, len(sizes))
    return labels


def _lighter_end(weights: Array, order: Labels, count: int) -> Labels:
    ends = order[:count], order[len(order) - count :]
    cuts = [weights[end].sum() - weights[np.ix_(end, end)].sum() for end in ends]
    # Ends of equal cut differ by rounding only: then the first.
    return ends[1] if cuts[1] < cuts[0] * (1 - 1e-9) else ends[0]


def _laplacian(weights: Array) -> Array:
    scale = 1 / np.sqrt(weights.sum(axis=1))
    laplacian: Array = np.eye(len(weights)) - scale[:, None] * weights * scale[None, :]
    return laplacian


def _lowest(matrix: Array, count: int) -> tuple[Array, Array]:
    from scipy.linalg import eigh

    values, vectors = eigh(matrix, subset_by_index=[0, min(count, len(matrix)) - 1])
    return values, vectors

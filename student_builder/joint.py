"""Students trained as a whole that loses some at random: failout (Yousefpour et al., arXiv 2002.07386)."""

from collections.abc import Sequence

import torch
from torch import Tensor


def draw_answering(images: int, students: int, failout: float, generator: torch.Generator) -> Tensor:
    """Who answers for each image: 0 or 1, [N, S]; each with probability 1 - `failout`, and one at least."""
    chances = torch.rand(images, students, generator=generator)
    answering = (chances >= failout).float()
    answering.scatter_(1, chances.argmax(1, keepdim=True), 1.0)
    return answering


def merge_answering(
    partials: Tensor, answering: Tensor, student_parts: Sequence[int], bias: Tensor
) -> Tensor:
    """b + sum over parts of the mean over answering replicas, the merge under `zero`: -> [N, classes].

    partials: [S, N, classes]; answering: [N, S].
    """
    members = torch.nn.functional.one_hot(torch.tensor(student_parts)).float()
    replicas = (answering @ members).clamp(min=1)  # of each image's parts, [N, M]
    shares = answering / (replicas @ members.T)
    merged: Tensor = bias + torch.einsum("ns,snk->nk", shares, partials)
    return merged

"""A request, and the work that it shares with others: what is awaited and what has arrived."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aggregator.effects import Answer, Code, Reason, Refuse
from aggregator.events import Partial
from aggregator.model import Model


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Images uint8 [N, H, W, C], to be answered by `answer_by`, a little before the caller's deadline."""

    id: int
    images: NDArray[np.uint8]
    answer_by: float
    strict: bool


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """A request's rows in the work."""

    request: Request
    rows: slice


@dataclass(slots=True, eq=False)
class Work:
    """One batch on its way. size: images. shares: by request, those without an answer yet.

    waiting: for each student without an answer, how many devices may still give it.
    """

    id: int
    sent: float
    size: int
    shares: dict[int, Share]
    waiting: dict[int, int] = field(default_factory=dict)
    partials: dict[int, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return not self.waiting

    def expect(self, students: Iterable[int]) -> None:
        """One more device has been asked for these students."""
        for student in students:
            self.waiting[student] = self.waiting.get(student, 0) + 1

    def forgo(self, students: Iterable[int]) -> None:
        """One device will not answer for these students after all."""
        for student in students:
            if student in self.waiting:
                self.waiting[student] -= 1
                if not self.waiting[student]:
                    del self.waiting[student]

    def accept(self, student: int, partial: NDArray[np.float32]) -> None:
        self.partials[student] = partial
        self.waiting.pop(student, None)


def form_work(number: int, now: float, requests: Iterable[Request]) -> tuple[Work, NDArray[np.uint8]]:
    """Requests, at least one -> their work, and their images stacked [N, H, W, C]."""
    shares, images, start = {}, [], 0
    for request in requests:
        stop = start + len(request.images)
        shares[request.id] = Share(request, slice(start, stop))
        images.append(request.images)
        start = stop
    stacked = images[0] if len(images) == 1 else np.concatenate(images)
    return Work(number, now, start, shares), stacked


def checked(model: Model, work: Work, partial: Partial) -> NDArray[np.float32]:
    """The partial logits [N, K] that were asked for. Raises ValueError, saying what is wrong with them."""
    if partial.bundle_id != model.bundle_id:
        raise ValueError(f"partial logits of bundle {partial.bundle_id[:12]}, not {model.bundle_id[:12]}")
    if partial.logits is None:
        raise ValueError(f"student {partial.student}: partial logits that are no tensor")
    model.merger.check(partial.student, partial.logits)
    if len(partial.logits) != work.size:
        raise ValueError(f"student {partial.student}: {len(partial.logits)} rows for {work.size} images")
    return partial.logits


def settle(model: Model, work: Work, shares: list[Share], otherwise: Reason) -> list[Answer | Refuse]:
    """What these requests get now: the merge of whatever arrived, or, if nothing did, `otherwise`."""
    if not work.partials:
        return [Refuse(share.request.id, *otherwise) for share in shares]
    answered = tuple(sorted(work.partials))
    missing = tuple(student.index for student in model.students if student.index not in work.partials)
    accuracy = model.expected_accuracy(answered)
    merged: NDArray[np.float32] | None = None
    outcomes: list[Answer | Refuse] = []
    for share in shares:
        if share.request.strict and missing:
            names = ", ".join(str(student) for student in missing)
            message = f"a strict request, and these students did not answer: {names}"
            outcomes.append(Refuse(share.request.id, Code.FAILED_PRECONDITION, message))
            continue
        if merged is None:
            merged = model.merger.merge(work.partials)
        outcomes.append(Answer(share.request.id, merged[share.rows], answered, missing, accuracy))
    return outcomes

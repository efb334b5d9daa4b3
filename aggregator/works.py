"""A request, and the work that it shares with others: what is awaited and what has arrived."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aggregator.effects import Answer, Code, Reason, Refuse
from aggregator.events import Partial
from aggregator.model import Model
from aggregator.policy import Policy


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Images uint8 [N, H, W, C], to be answered by `answer_by`, a little before the caller's deadline.

    half: when half of the time until then is over.
    """

    id: int
    images: NDArray[np.uint8]
    half: float
    answer_by: float
    strict: bool
    policy: Policy
    bundle_id: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Share:
    """A request's rows in the work."""

    request: Request
    rows: slice


@dataclass(slots=True, eq=False)
class Work:
    """One batch on its way. size: images. shares: by request, those without an answer yet.

    hedged: some of those need not wait for every student.
    waiting: for each student without an answer, how many devices may still give it.
    int8: students that answered by their int8 twins.
    progress: when the latest answer came. patience: seconds without any after which the missing are late.
    """

    id: int
    model: Model
    sent: float
    size: int
    shares: dict[int, Share]
    hedged: bool
    patience: float = math.inf
    waiting: dict[int, int] = field(default_factory=dict)
    partials: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    int8: set[int] = field(default_factory=set)
    progress: float = math.inf

    @property
    def late_at(self) -> float:
        """When whoever has not answered is no longer waited for; infinity while nobody has."""
        return self.progress + self.patience

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

    def accept(self, now: float, student: int, partial: NDArray[np.float32], *, int8: bool) -> None:
        self.partials[student] = partial
        if int8:
            self.int8.add(student)
        self.waiting.pop(student, None)
        self.progress = now

    def answerable(self) -> list[Share]:
        """Shares that need not wait for more."""
        if not self.waiting:
            return list(self.shares.values())
        if not self.partials:
            return []
        parts = self.model.merger.student_parts
        return [
            share
            for share in self.shares.values()
            if share.request.policy.kind != "all"
            and share.request.policy.met(parts, self.partials, self.waiting)
        ]


def form_work(
    number: int, now: float, model: Model, requests: Iterable[Request]
) -> tuple[Work, NDArray[np.uint8]]:
    """Requests, at least one -> their work, and their images stacked [N, H, W, C]."""
    shares, images, start, hedged = {}, [], 0, False
    for request in requests:
        stop = start + len(request.images)
        shares[request.id] = Share(request, slice(start, stop))
        images.append(request.images)
        start = stop
        hedged = hedged or request.policy.kind != "all"
    stacked = images[0] if len(images) == 1 else np.concatenate(images)
    return Work(number, model, now, start, shares, hedged), stacked


def checked(work: Work, partial: Partial) -> NDArray[np.float32]:
    """The partial logits [N, K] that were asked for. Raises ValueError, saying what is wrong with them."""
    model = work.model
    if partial.bundle_id != model.bundle_id:
        raise ValueError(f"partial logits of bundle {partial.bundle_id[:12]}, not {model.bundle_id[:12]}")
    if partial.logits is None:
        raise ValueError(f"student {partial.student}: partial logits that are no tensor")
    model.merger.check(partial.student, partial.logits)
    if len(partial.logits) != work.size:
        raise ValueError(f"student {partial.student}: {len(partial.logits)} rows for {work.size} images")
    return partial.logits


def settle(work: Work, shares: list[Share], otherwise: Reason) -> list[Answer | Refuse]:
    """What these requests get now: the merge of whatever arrived, or, if nothing did, `otherwise`."""
    if not work.partials:
        return [Refuse(share.request.id, *otherwise) for share in shares]
    model = work.model
    answered = tuple(sorted(work.partials))
    missing: tuple[int, ...] = ()
    if len(answered) < len(model.students):
        missing = tuple(student.index for student in model.students if student.index not in work.partials)
    accuracy = model.expected_accuracy(answered, work.int8)
    merged: NDArray[np.float32] | None = None
    outcomes: list[Answer | Refuse] = []
    for share in shares:
        request = share.request
        if request.strict and missing:
            names = ", ".join(str(student) for student in missing)
            message = f"a strict request, and these students did not answer: {names}"
            outcomes.append(Refuse(request.id, Code.FAILED_PRECONDITION, message))
            continue
        if merged is None:
            merged = model.merger.merge_checked(work.partials)
        logits = merged[share.rows]
        outcomes.append(Answer(request.id, model.bundle_id, logits, answered, missing, accuracy))
    return outcomes

"""Every request without an answer: the bounded queue of those that wait, and those whose work is out."""

import math
from collections.abc import Callable, Iterable

from aggregator.admission import reason_to_refuse
from aggregator.alarm import Alarm
from aggregator.effects import Code, Effect, Reason, Refuse
from aggregator.events import Predict
from aggregator.model import Model
from aggregator.policy import ALL
from aggregator.settings import Settings
from aggregator.status import Counters
from aggregator.works import Request, Share, Work, settle

NO_ROOM = (Code.DEADLINE_EXCEEDED, "the deadline came before any device had room for the request")
TOO_LATE = (Code.DEADLINE_EXCEEDED, "no student answered before the deadline")
DRAINING = (Code.UNAVAILABLE, "the aggregator is shutting down")


class Desk:
    """Answers or refuses each request once, before its deadline.

    waiting: requests that are not part of a work yet, in order of arrival. Read it, and leave it alone.
    """

    def __init__(self, settings: Settings, emit: Callable[[Effect], None], alarm: Alarm) -> None:
        self._settings = settings
        self._emit = emit
        self._alarm = alarm
        self.waiting: dict[int, Request] = {}
        self._sent: dict[int, Work] = {}  # by request: every one that is out and has no answer yet
        self._drained_by = math.inf
        self.counters = Counters()

    @property
    def idle(self) -> bool:
        """Every request has been answered or refused."""
        return not (self.waiting or self._sent)

    @property
    def waiting_images(self) -> int:
        return sum(len(request.images) for request in self.waiting.values())

    @property
    def first(self) -> Request:
        """The one that has waited longest; StopIteration when none waits."""
        return next(iter(self.waiting.values()))

    def knows(self, request: int) -> bool:
        return request in self.waiting or request in self._sent

    def take(self, now: float, event: Predict, model: Model, unfit: Callable[[], Refuse | None]) -> None:
        """Queue the request, or refuse it. unfit: asked about a proper one: is there no place?"""
        wished = now + self._settings.default_deadline if event.deadline is None else event.deadline
        deadline = min(wished, now + self._settings.longest_deadline)
        reason = reason_to_refuse(model, self._settings, event.images, event.bundle_id)
        if reason is None and self._drained_by < math.inf:
            reason = DRAINING
        if reason is None and deadline <= now:
            reason = NO_ROOM
        refusal = unfit() if reason is None else Refuse(event.request, *reason)
        if refusal is not None:
            self.refuse(refusal)
            return
        answer_by = deadline - min(self._settings.margin, (deadline - now) / 4)
        policy = ALL if event.strict else event.policy or self._settings.policy
        half = (now + answer_by) / 2
        self.waiting[event.request] = Request(
            event.request, event.images, half, answer_by, event.strict, policy, event.bundle_id
        )
        self._alarm.at(answer_by)

    def cancel(self, request: int) -> None:
        self.waiting.pop(request, None)
        work = self._sent.pop(request, None)
        if work is not None:
            del work.shares[request]

    def drain(self, now: float) -> None:
        """Take no more requests, and be done with the others soon."""
        if self._drained_by == math.inf:
            self._drained_by = now + self._settings.drain
            self._alarm.at(self._drained_by)

    def next_batch(self, *, alike: bool) -> list[Request]:
        """As many of those that wait, in order of arrival, as fit into one work; they wait no longer.

        alike: only such as the first one, since others would wait for more devices.
        """
        batch: list[Request] = []
        room, first = self._settings.max_batch, self.first
        wanted = first.policy, first.strict
        for request in self.waiting.values():
            if len(request.images) > room or (alike and (request.policy, request.strict) != wanted):
                break
            batch.append(request)
            room -= len(request.images)
        for request in batch:
            del self.waiting[request.id]
        return batch

    def send(self, work: Work) -> None:
        self._sent.update(dict.fromkeys(work.shares, work))

    def works(self) -> list[Work]:
        """Those that requests wait for."""
        return list({work.id: work for work in self._sent.values()}.values())

    def recheck(self, model: Model) -> None:
        """Refuse what waits and another model, which is served from now on, cannot answer."""
        for request in list(self.waiting.values()):
            reason = reason_to_refuse(model, self._settings, request.images, request.bundle_id)
            if reason is not None:
                del self.waiting[request.id]
                self.refuse(Refuse(request.id, *reason))

    def refuse_waiting(self, reason: Reason) -> None:
        for request in self.waiting.values():
            self.refuse(Refuse(request.id, *reason))
        self.waiting.clear()

    def expire(self, now: float) -> None:
        """Answer or refuse what must not wait any longer; set the alarm for the rest."""
        for request in [waiting for waiting in self.waiting.values() if self.answer_by(waiting) <= now]:
            del self.waiting[request.id]
            self.refuse(Refuse(request.id, *NO_ROOM))
        for request in self.waiting.values():
            self._alarm.at(self.answer_by(request))
        for work in self.works():
            self.settle(work, [s for s in work.shares.values() if self._settle_by(work, s) <= now], TOO_LATE)
            for share in work.shares.values():
                self._alarm.at(self._settle_by(work, share))

    def settle(self, work: Work, shares: Iterable[Share], otherwise: Reason) -> None:
        """Answer these requests with what has arrived, or, if nothing has, refuse them with `otherwise`."""
        for outcome in settle(work, list(shares), otherwise):
            del work.shares[outcome.request]
            del self._sent[outcome.request]
            if isinstance(outcome, Refuse):
                self.refuse(outcome)
            else:
                self.counters.answered += 1
                self.counters.degraded += bool(outcome.missing)
                self._emit(outcome)

    def refuse(self, refusal: Refuse) -> None:
        self.counters.refused += 1
        self._emit(refusal)

    def answer_by(self, request: Request) -> float:
        return min(request.answer_by, self._drained_by)

    def _settle_by(self, work: Work, share: Share) -> float:
        """A strict request waits for stragglers as long as it can; any other goes without them."""
        answer_by = self.answer_by(share.request)
        return answer_by if share.request.strict else min(answer_by, work.late_at)

"""Requests in, works out, partial logits in, answers out.

A request waits in a bounded queue until every serving device has room (no time at all when the cluster is
idle); what waits together forms one work. A work is complete when all that was asked of living devices has
arrived. Each of its requests is answered then, or just before its own deadline, with whichever students have
answered.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from aggregator.admission import reason_to_refuse
from aggregator.alarm import Alarm
from aggregator.devices import Device, InFlight
from aggregator.effects import Code, Effect, Reason, Refuse, SendWork
from aggregator.events import Partial, Predict, Refusal
from aggregator.model import Model
from aggregator.settings import Settings
from aggregator.status import Counters
from aggregator.targets import choose_targets
from aggregator.works import Request, Share, Work, checked, form_work, settle

NOBODY = (Code.UNAVAILABLE, "no device serves a student right now")
ALL_LOST = (Code.UNAVAILABLE, "every device that had the request was lost or refused it")
TOO_LATE = (Code.DEADLINE_EXCEEDED, "no student answered before the deadline")
NO_ROOM = (Code.DEADLINE_EXCEEDED, "the deadline came before any device had room for the request")

# A hint outside these seconds helps nobody.
SHORTEST_RETRY, LONGEST_RETRY = 0.01, 1.0


class Dispatcher:
    """`devices` is the membership's view, by link. Emits works, answers and refusals."""

    def __init__(
        self,
        model: Model,
        settings: Settings,
        devices: Mapping[int, Device],
        emit: Callable[[Effect], None],
        alarm: Alarm,
    ) -> None:
        self._model = model
        self._settings = settings
        self._devices = devices
        self._emit = emit
        self._alarm = alarm
        self._queue: dict[int, Request] = {}  # in order of arrival
        self._sent: dict[int, Work] = {}  # by request: every one that is out and has no answer yet
        self._latest_work = 0
        self._drained_by = math.inf
        self.counters = Counters()

    @property
    def idle(self) -> bool:
        """Every request has been answered or refused."""
        return not (self._queue or self._sent)

    def submit(self, now: float, event: Predict) -> None:
        if event.request in self._queue or event.request in self._sent:
            return
        wished = now + self._settings.default_deadline if event.deadline is None else event.deadline
        deadline = min(wished, now + self._settings.longest_deadline)
        reason = reason_to_refuse(self._model, self._settings, event) or self._no_place(deadline <= now)
        if reason is not None:
            retry = self._retry_after() if reason[0] is Code.RESOURCE_EXHAUSTED else None
            self._refuse(Refuse(event.request, *reason, retry))
            return
        answer_by = deadline - min(self._settings.margin, (deadline - now) / 4)
        self._queue[event.request] = Request(event.request, event.images, answer_by, event.strict)
        self._alarm.at(answer_by)

    def cancel(self, request: int) -> None:
        self._queue.pop(request, None)
        work = self._sent.pop(request, None)
        if work is not None:
            del work.shares[request]

    def drain(self, now: float) -> None:
        """Take no more requests, and be done with the others soon."""
        if self._drained_by == math.inf:
            self._drained_by = now + self._settings.drain
            self._alarm.at(self._drained_by)

    def partial(self, now: float, device: Device, event: Partial) -> None:
        """Keep a device's partial logits if they are good: the first answer for each student counts."""
        flight = device.in_flight.get(event.work)
        if flight is None or event.student not in flight.pending:
            self.counters.dropped += 1
            return
        work = flight.work
        try:
            logits = checked(self._model, work, event)
        except ValueError as problem:
            device.error = str(problem)
            device.faults[event.student] = device.faults.get(event.student, 0) + 1
            self._give_up(flight, {event.student})
        else:
            device.faults.pop(event.student, None)
            if event.student not in work.partials and work.shares:
                work.accept(event.student, logits)
        # A slower replica is no fault, but what comes after the answer, or is wrong, is of no use to anyone.
        self.counters.dropped += event.student not in work.partials
        flight.pending.discard(event.student)
        if not flight.pending:
            device.finish(now, flight)
        self._finish_if_complete(work)

    def refused(self, device: Device, event: Refusal) -> None:
        """A device will not do its share, or some of it."""
        flight = device.in_flight.get(event.work)
        students = set() if flight is None else {s for s in flight.pending if event.student in (None, s)}
        if flight is None or not students:
            self.counters.dropped += 1
            return
        device.error = event.reason
        self._release(device, flight, students)

    def withdraw(self, device: Device, student: int) -> None:
        """The device does not serve the student after all."""
        for flight in list(device.in_flight.values()):
            self._release(device, flight, flight.pending & {student})

    def abandon(self, device: Device) -> None:
        """Wait for the device no longer: it is lost or suspect. What it sends in time may still be of use."""
        for flight in device.in_flight.values():
            self._give_up(flight, flight.pending)
            flight.awaited = False
            self._finish_if_complete(flight.work)

    def expire(self, now: float) -> None:
        """Answer or refuse what must not wait any longer; set the alarm for the rest."""
        for request in [waiting for waiting in self._queue.values() if self._answer_by(waiting) <= now]:
            del self._queue[request.id]
            self._refuse(Refuse(request.id, *NO_ROOM))
        for work in self._works():
            self._settle(
                work, [s for s in work.shares.values() if self._answer_by(s.request) <= now], TOO_LATE
            )
        for device in self._devices.values():
            for flight in [f for f in device.in_flight.values() if f.expires <= now]:
                del device.in_flight[flight.work.id]
            for flight in device.in_flight.values():
                self._alarm.at(flight.expires)
        for request in self._queue.values():
            self._alarm.at(self._answer_by(request))
        for work in self._works():
            for share in work.shares.values():
                self._alarm.at(self._answer_by(share.request))

    def pump(self, now: float) -> None:
        """Send what waits, as far as the devices have room."""
        while self._queue:
            serving = [device for device in self._devices.values() if device.serving]
            if not serving:
                for request in self._queue.values():
                    self._refuse(Refuse(request.id, *NOBODY))
                self._queue.clear()
                return
            targets = choose_targets(now, serving, self._settings)
            if not targets.devices:
                self._alarm.at(targets.until)
                return
            self._send(now, self._next_batch(), targets.devices)

    def _no_place(self, late: bool) -> Reason | None:
        """Why no request can be taken right now."""
        if self._drained_by < math.inf:
            return Code.UNAVAILABLE, "the aggregator is shutting down"
        if late:
            return NO_ROOM
        if not any(device.serving for device in self._devices.values()):
            return NOBODY
        if len(self._queue) >= self._settings.queue:
            return Code.RESOURCE_EXHAUSTED, f"the queue is full: {len(self._queue)} requests are waiting"
        return None

    def _retry_after(self) -> float:
        """Seconds until the slowest device may have dealt with all that waits."""
        images = sum(len(request.images) for request in self._queue.values())
        slowest = max((device.pace for device in self._devices.values() if device.serving), default=0.0)
        return min(max(images * slowest, SHORTEST_RETRY), LONGEST_RETRY)

    def _next_batch(self) -> list[Request]:
        batch: list[Request] = []
        room = self._settings.max_batch
        for request in self._queue.values():
            if len(request.images) > room:
                break
            batch.append(request)
            room -= len(request.images)
        for request in batch:
            del self._queue[request.id]
        return batch

    def _send(self, now: float, batch: list[Request], targets: Sequence[Device]) -> None:
        self._latest_work += 1
        work, images = form_work(self._latest_work, now, batch)
        budget = max(self._answer_by(request) for request in batch) - now
        # By then the device has dropped the work itself, since its budget counts from receipt; else it hangs.
        expires = now + budget + self._settings.misses * self._settings.ping
        self._alarm.at(expires)
        for device in targets:
            device.send(work, expires)
        self._sent.update(dict.fromkeys(work.shares, work))
        self._emit(SendWork(tuple(device.link for device in targets), work.id, budget, images))

    def _works(self) -> list[Work]:
        return list({work.id: work for work in self._sent.values()}.values())

    def _release(self, device: Device, flight: InFlight, students: set[int]) -> None:
        """The device owes these students' partial logits no more."""
        self._give_up(flight, students)
        flight.pending -= students
        if not flight.pending:
            del device.in_flight[flight.work.id]
        self._finish_if_complete(flight.work)

    def _give_up(self, flight: InFlight, students: set[int]) -> None:
        if flight.awaited:
            flight.work.forgo(students)

    def _finish_if_complete(self, work: Work) -> None:
        if work.complete:
            self._settle(work, list(work.shares.values()), ALL_LOST)

    def _settle(self, work: Work, shares: list[Share], otherwise: Reason) -> None:
        for outcome in settle(self._model, work, shares, otherwise):
            del work.shares[outcome.request]
            del self._sent[outcome.request]
            if isinstance(outcome, Refuse):
                self._refuse(outcome)
            else:
                self.counters.answered += 1
                self.counters.degraded += bool(outcome.missing)
                self._emit(outcome)

    def _refuse(self, refusal: Refuse) -> None:
        self.counters.refused += 1
        self._emit(refusal)

    def _answer_by(self, request: Request) -> float:
        return min(request.answer_by, self._drained_by)

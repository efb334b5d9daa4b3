"""Requests in, works out, partial logits in, answers out.

A request waits in a bounded queue until every serving device has room (no time at all when the cluster is
idle); what waits together forms one work. A work is complete when all that was asked of living devices has
arrived. Each of its requests is answered then, or when its policy is content, or when those who have not
answered are late, or just before its own deadline.
"""

from collections.abc import Callable, Iterable, Sequence

from aggregator.alarm import Alarm
from aggregator.desk import Desk
from aggregator.devices import Device, InFlight, Place
from aggregator.effects import Code, Effect, Refuse, SendWork
from aggregator.events import Partial, Predict, Refusal
from aggregator.hosting import Hosting
from aggregator.membership import MOST_LATE, Membership
from aggregator.settings import Settings
from aggregator.targets import choose_targets
from aggregator.works import Request, Work, checked, form_work

NOBODY = (Code.UNAVAILABLE, "no device serves a student right now")
ALL_LOST = (Code.UNAVAILABLE, "every device that had the request was lost or refused it")

# A hint outside these seconds helps nobody.
SHORTEST_RETRY, LONGEST_RETRY = 0.01, 1.0


class Dispatcher:
    """`hosting` is of the bundle that is served."""

    def __init__(
        self,
        settings: Settings,
        membership: Membership,
        hosting: Hosting,
        emit: Callable[[Effect], None],
        alarm: Alarm,
    ) -> None:
        self._settings = settings
        self._membership = membership
        self._hosting = hosting
        self._emit = emit
        self._alarm = alarm
        self._latest_work = 0
        self.desk = Desk(settings, emit, alarm)

    def serve(self, hosting: Hosting) -> None:
        """From now on works go to these places. Those that are out go on as they were."""
        self._hosting = hosting
        for device in self._membership.devices.values():
            device.forget_pace()
        self.desk.recheck(hosting.model)

    def submit(self, now: float, event: Predict) -> None:
        if not self.desk.knows(event.request):
            self.desk.take(now, event, self._hosting.model, lambda: self._unfit(event.request))

    def partial(self, now: float, device: Device, event: Partial) -> bool:
        """Keep a device's partial logits if they are good: the first answer for each student counts.

        Returns whether the device has now done all of a work, and some of it well.
        """
        flight = device.in_flight.get(event.work)
        if flight is None or event.student not in flight.pending:
            self.desk.counters.dropped += 1
            return False
        work, good = flight.work, False
        try:
            logits = checked(work, event)
        except ValueError as problem:
            device.error = str(problem)
            flight.place.count_faults((event.student,))
            self._give_up(flight, {event.student})
        else:
            good = True
            flight.place.faults.pop(event.student, None)
            if event.student not in work.partials and work.shares:
                work.accept(now, event.student, logits, int8=event.student in flight.place.int8)
                self._alarm.at(now + work.patience)
        # A slower replica is no fault, but what comes after the answer, or is wrong, is of no use to anyone.
        self.desk.counters.dropped += event.student not in work.partials
        flight.pending.discard(event.student)
        if not flight.pending:
            device.finish(now, flight)
        self._answer(work)
        return good and not flight.pending

    def refused(self, device: Device, event: Refusal) -> None:
        """A device will not do its share, or some of it."""
        flight = device.in_flight.get(event.work)
        students = set() if flight is None else {s for s in flight.pending if event.student in (None, s)}
        if flight is None or not students:
            self.desk.counters.dropped += 1
            return
        device.error = event.reason
        if event.fault:
            flight.place.count_faults(students)
        self._release(flight, students)

    def withdraw(self, place: Place, student: int) -> None:
        """The device does not serve the student after all."""
        for flight in [flight for flight in place.device.in_flight.values() if flight.place is place]:
            self._release(flight, flight.pending & {student})

    def abandon(self, device: Device) -> None:
        """Wait for the device no longer: it does not live. What it sends in time may still be of use."""
        for flight in list(device.in_flight.values()):
            self._give_up(flight, flight.pending)
            flight.awaited = False
            self._answer(flight.work)

    def expire(self, now: float) -> list[Device]:
        """Deal with what is late, and set the alarm for the rest. Returns devices that are now stalled."""
        stalled = []
        for device in self._membership.devices.values():
            late = 0
            for flight in list(device.in_flight.values()):
                if flight.expires <= now:
                    del device.in_flight[flight.work.id]
                    late += 0 if flight.forgiven else MOST_LATE
                    continue
                self._alarm.at(flight.expires)
                if flight.awaited and not (flight.late or flight.forgiven) and flight.work.late_at <= now:
                    flight.late = True
                    late = max(late, 1)  # all that wait behind one late work are late with it
            if late and self._membership.late(now, device, late):
                stalled.append(device)
        self.desk.expire(now)
        return stalled

    def excuse(self, excused: Iterable[Device], seconds: float) -> None:
        """For so long nobody was listening to these."""
        flights = [flight for device in excused for flight in device.in_flight.values()]
        for flight in flights:
            flight.expires += seconds
        for work in {flight.work for flight in flights}:
            work.sent += seconds
            work.progress += seconds

    def pump(self, now: float) -> None:
        """Send what waits, as far as the devices have room."""
        while self.desk.waiting:
            serving = self._hosting.serving() or self._last_resort()
            if not serving:
                self.desk.refuse_waiting(NOBODY)
                return
            parts = self._hosting.model.merger.student_parts
            targets = choose_targets(now, serving, parts, self.desk.first, self._settings)
            if not targets.places:
                self._alarm.at(targets.until)
                return
            everyone = len(targets.places) == len(serving)
            self._send(now, self.desk.next_batch(alike=not everyone), targets.places)

    def _last_resort(self) -> list[Place]:
        """Where every device is stalled, they are asked all the same."""
        return [
            place
            for place in self._hosting.places.values()
            if place.ready and not (place.device.suspect or place.device.leaving)
        ]

    def _unfit(self, request: int) -> Refuse | None:
        """Why the request cannot be taken right now."""
        if not any(place.serving for place in self._hosting.places.values()) and not self._last_resort():
            return Refuse(request, *NOBODY)
        waiting = len(self.desk.waiting)
        if waiting >= self._settings.queue:
            message = f"the queue is full: {waiting} requests are waiting"
            return Refuse(request, Code.RESOURCE_EXHAUSTED, message, self._retry_after())
        return None

    def _retry_after(self) -> float:
        """Seconds until the slowest device may have dealt with all that waits."""
        slowest = max((place.device.usual for place in self._hosting.serving()), default=0.0)
        return min(max(self.desk.waiting_images * slowest, SHORTEST_RETRY), LONGEST_RETRY)

    def _send(self, now: float, batch: list[Request], targets: Sequence[Place]) -> None:
        self._latest_work += 1
        model = self._hosting.model
        work, images = form_work(self._latest_work, now, model, batch)
        budget = max(self.desk.answer_by(request) for request in batch) - now
        # By then the device has dropped the work itself, since its budget counts from receipt; else it hangs.
        expires = now + budget + self._settings.misses * self._settings.ping
        self._alarm.at(expires)
        patience, links = 0.0, []
        for place in targets:
            device = place.device
            flight = device.send(work, place, expires)
            patience = max(patience, device.patience(flight.images, self._settings.default_deadline))
            links.append(device.link)
        work.patience = patience
        for place in self._hosting.places.values():
            if place.device.stalled and self._may_probe(now, place) and place not in targets:
                place.device.send(work, place, expires, awaited=False)
                links.append(place.device.link)
        self.desk.send(work)
        self._emit(SendWork(tuple(links), work.id, model.bundle_id, budget, images))

    def _may_probe(self, now: float, place: Place) -> bool:
        room = place.has_room(self._settings.window)
        return bool(place.ready) and room and self._membership.probe(now, place.device)

    def _release(self, flight: InFlight, students: set[int]) -> None:
        """The device owes these students' partial logits no more."""
        self._give_up(flight, students)
        flight.pending -= students
        if not flight.pending:
            del flight.place.device.in_flight[flight.work.id]
        self._answer(flight.work)

    def _give_up(self, flight: InFlight, students: set[int]) -> None:
        if flight.awaited:
            flight.work.forgo(students)

    def _answer(self, work: Work) -> None:
        if not work.waiting or work.hedged:
            shares = work.answerable()
            if shares:
                self.desk.settle(work, shares, ALL_LOST)

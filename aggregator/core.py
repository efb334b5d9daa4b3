"""The aggregator without I/O, clock or randomness: one state machine, events in, effects out.

>>> core = Core(Model.of(bundle), Settings())  # doctest: +SKIP
>>> core.handle(now, Joined(link=1, facts=DeviceFacts("d-1", "shed")))  # doctest: +SKIP
[Welcome(link=1), Note(...), Assign(link=1, number=1, students=())]
"""

import math

from aggregator import events
from aggregator.alarm import Alarm
from aggregator.bundles import Bundles
from aggregator.devices import Device
from aggregator.dispatch import Dispatcher
from aggregator.effects import CloseLink, Effect
from aggregator.events import Event
from aggregator.membership import Membership
from aggregator.model import Model
from aggregator.settings import Settings
from aggregator.status import ClusterStatus, cluster_status

# A student whose partial logits are wrong or refused so often in a row is taken from its device.
MOST_FAULTS = 3


class Core:
    """Whoever drives it calls `handle` for every event, and with Tick no later than `next_wakeup` says.

    `now` is in seconds on any one clock that does not go back (if it does, the latest time seen is taken).
    No sequence of events raises.
    """

    def __init__(self, model: Model, settings: Settings) -> None:
        self.settings = settings
        self._now = -math.inf
        self._effects: list[Effect] = []
        self._alarm = Alarm()
        self._membership = Membership(settings, self._emit, self._alarm)
        self._bundles = Bundles(model, settings, self._membership.devices, self._emit, self._alarm)
        self._dispatch = Dispatcher(settings, self._membership, self._bundles.served, self._emit, self._alarm)

    @property
    def model(self) -> Model:
        """The bundle that is served."""
        return self._bundles.served.model

    @property
    def bundle_ids(self) -> frozenset[str]:
        """All bundles of which devices may hold students."""
        return self._bundles.ids

    @property
    def idle(self) -> bool:
        """No request is without its answer."""
        return self._dispatch.desk.idle

    def next_wakeup(self) -> float | None:
        """When a Tick is due at the latest; None: not before the next event."""
        return None if self._alarm.due == math.inf else self._alarm.due

    def status(self, now: float) -> ClusterStatus:
        return cluster_status(
            self._bundles.served,
            self._bundles.staged_id,
            self._dispatch.desk.counters,
            max(now, self._now),
        )

    def handle(self, now: float, event: Event) -> list[Effect]:
        """Advance to `now`, take the event in, and say what is to be done, in order."""
        self._now = now = max(now, self._now)
        if isinstance(event, events.Paused):  # before anyone is blamed for the silence
            self._excuse(event.seconds)
        if now >= self._alarm.due:
            self._wake(now)
        self._apply(now, event)
        if self._bundles.advance(now):
            self._dispatch.serve(self._bundles.served)
        self._dispatch.pump(now)
        effects, self._effects = self._effects, []
        return effects

    def _emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    def _wake(self, now: float) -> None:
        self._alarm.clear()
        lost = [*self._dispatch.expire(now), *self._membership.check_life(now)]
        for device in lost:  # suspect or stalled from now on
            self._dispatch.abandon(device)
        if lost:
            self._bundles.fall_silent(now, lost)
        self._bundles.wake(now)

    def _excuse(self, seconds: float) -> None:
        """Devices have that much more time. Requests have not: their callers wait all the same."""
        self._dispatch.excuse(self._membership.excuse(seconds), seconds)
        self._bundles.excuse(seconds)

    def _apply(self, now: float, event: Event) -> None:
        match event:
            case events.Predict():
                self._dispatch.submit(now, event)
            case events.Cancelled(request):
                self._dispatch.desk.cancel(request)
            case events.Joined():
                self._join(now, event)
            case events.Tick() | events.Paused():
                pass
            case events.Drain():
                self._dispatch.desk.drain(now)
            case events.Reload(model):
                self._bundles.load(now, model)
            case _:
                device = self._membership.devices.get(event.link)
                if device is not None:
                    self._hear(now, device, event)

    def _join(self, now: float, event: events.Joined) -> None:
        if event.link in self._membership.devices:
            self._dispatch.desk.counters.dropped += 1
            return
        old = self._membership.by_id(event.facts.device_id)
        if old is not None:
            self._lose(now, old, "it has joined again")
            self._emit(CloseLink(old.link, "the same device has joined again"))
        self._bundles.join(now, self._membership.join(now, event.link, event.facts))

    def _lose(self, now: float, device: Device, reason: str) -> None:
        self._membership.forget(device, reason)
        self._dispatch.abandon(device)
        self._bundles.lose(now, device)

    def _hear(self, now: float, device: Device, event: events.DeviceEvent) -> None:
        if isinstance(event, events.Gone):
            self._lose(now, device, event.reason)
            return
        back = self._membership.heard(now, device)
        match event:
            case events.Partial():
                if not self._dispatch.partial(now, device, event):
                    self._judge(now, device, event.student)
                elif device.stalled:
                    self._membership.recovered(now, device)
                    self._bundles.rebalance(now)
            case events.Refusal(_, _, student):
                self._dispatch.refused(device, event)
                self._judge(now, device, student)
            case events.Ready():
                self._ready(now, device, event)
            case events.Leaving(_, reason):
                self._leave(now, device, reason)
            case events.Malformed(_, problem):
                device.error = problem
                self._dispatch.desk.counters.dropped += 1
            case events.Pong():
                pass
        if back:  # not before: the first that it says may be that it leaves
            self._bundles.rebalance(now)
        self._bundles.relieve(now, device)

    def _leave(self, now: float, device: Device, reason: str) -> None:
        was_living = device.living
        self._membership.leave(device, reason)
        if was_living:
            self._bundles.fall_silent(now, [device])

    def _judge(self, now: float, device: Device, student: int | None) -> None:
        """Take a student from a device that gets it wrong again and again."""
        faults = self._bundles.served.places[device.link].faults
        for wrong in [s for s in faults if student in (None, s) and faults[s] >= MOST_FAULTS]:
            self._fail(now, device, self.model.bundle_id, wrong, device.error)

    def _ready(self, now: float, device: Device, event: events.Ready) -> None:
        hosting = self._bundles.find(event.bundle_id)
        if (
            hosting is None
            or event.student not in hosting.places[device.link].assigned
            or device.overtaken(event)
        ):
            # Not counted: the device may have loaded it before it heard that it is not to serve it.
            return
        if event.speed:
            device.speed = event.speed
        if event.seconds:
            digest = hosting.model.students[event.student].digest(int8=event.int8)
            device.measured[digest] = event.seconds
        if event.passed:
            self._bundles.ready(now, device, hosting, event.student, int8=event.int8)
        else:
            self._fail(now, device, event.bundle_id, event.student, event.error)

    def _fail(self, now: float, device: Device, bundle_id: str, student: int, reason: str) -> None:
        """The device cannot serve the student: another one may."""
        hosting = self._bundles.find(bundle_id)
        if hosting is not None:
            self._dispatch.withdraw(hosting.places[device.link], student)
            self._bundles.fail(now, device, hosting, student, reason)

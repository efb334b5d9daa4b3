"""The aggregator without I/O, clock or randomness: one state machine, events in, effects out.

>>> core = Core(Model.of(bundle), Settings())  # doctest: +SKIP
>>> core.handle(now, Joined(link=1, facts=DeviceFacts("d-1", "shed")))  # doctest: +SKIP
[Welcome(link=1), Note(...), Assign(link=1, students=())]
"""

import math

from aggregator import events
from aggregator.alarm import Alarm
from aggregator.devices import Device
from aggregator.dispatch import Dispatcher
from aggregator.effects import CloseLink, Effect
from aggregator.events import Event
from aggregator.membership import Membership
from aggregator.model import Model
from aggregator.settings import Settings
from aggregator.status import ClusterStatus, cluster_status

# A student whose partial logits are wrong so often in a row is taken from its device.
MOST_FAULTS = 3


class Core:
    """Whoever drives it calls `handle` for every event, and with Tick no later than `next_wakeup` says.

    `now` is in seconds on any one clock that does not go back (if it does, the latest time seen is taken).
    No sequence of events raises.
    """

    def __init__(self, model: Model, settings: Settings) -> None:
        self.model = model
        self.settings = settings
        self._now = -math.inf
        self._effects: list[Effect] = []
        self._alarm = Alarm()
        self._membership = Membership(model, settings, self._emit, self._alarm)
        self._dispatch = Dispatcher(model, settings, self._membership.devices, self._emit, self._alarm)

    @property
    def idle(self) -> bool:
        """No request is without its answer."""
        return self._dispatch.idle

    def next_wakeup(self) -> float | None:
        """When a Tick is due at the latest; None: not before the next event."""
        return None if self._alarm.due == math.inf else self._alarm.due

    def status(self, now: float) -> ClusterStatus:
        return cluster_status(
            self.model, self._membership.devices.values(), self._dispatch.counters, max(now, self._now)
        )

    def handle(self, now: float, event: Event) -> list[Effect]:
        """Advance to `now`, take the event in, and say what is to be done, in order."""
        self._now = now = max(now, self._now)
        self._wake(now)
        self._apply(now, event)
        self._dispatch.pump(now)
        effects, self._effects = self._effects, []
        return effects

    def _emit(self, effect: Effect) -> None:
        self._effects.append(effect)

    def _wake(self, now: float) -> None:
        if now < self._alarm.due:
            return
        self._alarm.clear()
        self._dispatch.expire(now)
        for device in self._membership.check_life(now):
            self._dispatch.abandon(device)

    def _apply(self, now: float, event: Event) -> None:
        match event:
            case events.Predict():
                self._dispatch.submit(now, event)
            case events.Cancelled(request):
                self._dispatch.cancel(request)
            case events.Joined():
                self._join(now, event)
            case events.Tick():
                pass
            case events.Drain():
                self._dispatch.drain(now)
            case _:
                device = self._membership.devices.get(event.link)
                if device is not None:
                    self._hear(now, device, event)

    def _join(self, now: float, event: events.Joined) -> None:
        if event.link in self._membership.devices:
            self._dispatch.counters.dropped += 1
            return
        old = self._membership.by_id(event.facts.device_id)
        if old is not None:
            self._lose(now, old, "it has joined again")
            self._emit(CloseLink(old.link, "the same device has joined again"))
        self._membership.join(now, event.link, event.facts)

    def _lose(self, now: float, device: Device, reason: str) -> None:
        self._membership.lose(now, device, reason)
        self._dispatch.abandon(device)

    def _hear(self, now: float, device: Device, event: events.DeviceEvent) -> None:
        if isinstance(event, events.Gone):
            self._lose(now, device, event.reason)
            return
        self._membership.heard(now, device)
        match event:
            case events.Partial():
                self._dispatch.partial(now, device, event)
                if device.faults.get(event.student, 0) >= MOST_FAULTS:
                    del device.faults[event.student]
                    self._fail(now, device, event.student, device.error)
            case events.Refusal():
                self._dispatch.refused(device, event)
            case events.Ready():
                self._ready(now, device, event)
            case events.Leaving(_, reason):
                self._membership.leave(now, device, reason)
            case events.Malformed(_, problem):
                device.error = problem
                self._dispatch.counters.dropped += 1
            case events.Pong():
                pass
        if device.shedding and not device.in_flight:
            self._membership.rebalance(now)

    def _ready(self, now: float, device: Device, event: events.Ready) -> None:
        expected = event.bundle_id == self.model.bundle_id and event.student in device.assigned
        if not expected:
            # Not counted: the device may have loaded it before it heard that it is not to serve it.
            return
        if event.passed:
            self._membership.ready(now, device, event.student, True, "")
        else:
            self._fail(now, device, event.student, event.error)

    def _fail(self, now: float, device: Device, student: int, reason: str) -> None:
        """The device cannot serve the student: another one may."""
        self._dispatch.withdraw(device, student)
        self._membership.ready(now, device, student, False, reason)

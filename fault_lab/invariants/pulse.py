"""When the core wants to be woken: in time, never in the past, and not for nothing."""

from collections.abc import Sequence

from aggregator.effects import Effect
from aggregator.events import Event, Tick
from fault_lab.invariants.catalogue import Broken, Invariant
from fault_lab.invariants.ledger import Ledger

# Wakes within a second of the clock: so many in any case, and so many more for each other event and device.
WAKES, WAKES_FOR_EACH = 100, 10
# Ticks in a row at one and the same time.
TICKS_AT_ONCE = 3


class Pulse:
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._second = 0
        self._ticks = 0
        self._others = 0
        self._latest_tick = -1.0
        self._in_a_row = 0

    def check(self, now: float, event: Event, found: Sequence[Effect], due: float, idle: bool) -> None:
        """due: the core's next wakeup, infinity for none."""
        ledger = self._ledger
        if idle != (not ledger.requests):
            raise Broken(Invariant.IDLE, f"idle is {idle}, and {len(ledger.requests)} requests are open")
        if due < now:
            raise Broken(Invariant.AWAKE, f"the core asks to be woken at {due:.6f} s, in the past")
        if ledger.requests:
            self._check_deadlines(now, due)
        if len(ledger.queue) > ledger.settings.queue:
            raise Broken(Invariant.QUEUE, f"{len(ledger.queue)} requests wait in the queue")
        self._count(now, event)

    def _check_deadlines(self, now: float, due: float) -> None:
        first = min(self._ledger.requests.values(), key=lambda request: request.deadline)
        number = first.event.request
        if now >= first.deadline:
            problem = f"request {number} was due at {first.deadline:.6f} s and has no outcome"
            raise Broken(Invariant.IN_TIME, problem, request=number)
        if due > first.deadline:
            problem = f"request {number} is due at {first.deadline:.6f} s, the core wakes at {due:.6f} s"
            raise Broken(Invariant.AWAKE, problem, request=number)

    def _count(self, now: float, event: Event) -> None:
        if int(now) != self._second:
            self._second, self._ticks, self._others = int(now), 0, 0
        if not isinstance(event, Tick):
            self._others += 1
            self._in_a_row = 0
            return
        self._ticks += 1
        self._in_a_row = self._in_a_row + 1 if now == self._latest_tick else 1
        self._latest_tick = now
        pings = len(self._ledger.peers) * (1 + int(1 / self._ledger.settings.ping))
        allowed = WAKES + WAKES_FOR_EACH * (self._others + pings)
        if self._ticks > allowed or self._in_a_row > TICKS_AT_ONCE:
            problem = f"{self._ticks} wakes in one second, {self._in_a_row} at one time"
            raise Broken(Invariant.AWAKE, problem)

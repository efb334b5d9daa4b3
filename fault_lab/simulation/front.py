"""The aggregator's shell on virtual time: aggregator.driver, with simulated devices and clients."""

import functools
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np

from aggregator import Model, effects, events
from aggregator.effects import Effect
from fault_lab.invariants import Watch
from fault_lab.simulation.clock import Clock
from fault_lab.simulation.connection import Connection
from fault_lab.simulation.scenario import Ask
from fault_lab.simulation.toy import make_images

CLOSING = 0.001  # seconds between the end of a link and the end of its stream
Told = effects.Answer | effects.Refuse | None  # None: the aggregator is gone, and has not said anything


class Front:
    """Feeds the core, carries out its effects, wakes it. count: of what happened, by name.

    running: the process lives; back: when it was last started, or went on after a pause.
    """

    def __init__(self, clock: Clock, watch: Watch, models: tuple[Model, ...], seed: int) -> None:
        self.clock = clock
        self.watch = watch
        self.models = models
        self.count: Counter[str] = Counter()
        self.outcomes: dict[int, effects.Answer | effects.Refuse] = {}
        self.running = True
        self.back = 0.0
        self._tell: dict[int, Callable[[Told], object]] = {}
        self._random = Random(f"nonn clients {seed}")
        self._connections: dict[int, Connection] = {}
        self._number = 0
        self._wakeup = float("inf")
        self._backlog: deque[Callable[[], object]] | None = None  # while the process is held up

    @property
    def listening(self) -> bool:
        """It runs, and is not held up."""
        return self.running and self._backlog is None

    def crash(self) -> None:
        """The process ends; the system closes its connections."""
        self.running = False
        self._wakeup = float("inf")
        connections, self._connections = self._connections, {}
        for connection in connections.values():
            connection.close_by_aggregator()
        tell, self._tell = self._tell, {}
        for callback in tell.values():
            callback(None)

    def start(self, watch: Watch) -> None:
        """Another process, with a core of its own that knows of nobody."""
        self.watch = watch
        self.running, self.back = True, self.clock.now

    def pause(self, seconds: float) -> None:
        """Nothing is heard, and nothing done, for so long."""
        self._backlog = deque()
        self.count["pauses"] += 1
        self.clock.after(seconds, self._resume, seconds)

    def _resume(self, seconds: float) -> None:
        backlog, self._backlog = self._backlog or deque(), None
        self.back = self.clock.now
        self._wakeup = float("inf")
        self.feed(events.Paused(seconds))
        while backlog:
            backlog.popleft()()

    def _now_or_later(self, action: Callable[..., object], *arguments: Any) -> None:
        if self._backlog is None:
            action(*arguments)
        else:
            self._backlog.append(functools.partial(action, *arguments))

    # ---- devices

    def accept(self, connection: Connection, facts: events.DeviceFacts) -> None:
        self._now_or_later(self._accept, connection, facts)

    def hear(self, connection: Connection, event: events.DeviceEvent) -> None:
        self._now_or_later(self._hear, connection, event)

    def end(self, connection: Connection) -> None:
        self._now_or_later(self._end, connection)

    def _accept(self, connection: Connection, facts: events.DeviceFacts) -> None:
        if not self.running:
            connection.close_by_aggregator()
        elif not connection.link:
            connection.link = self._next_number()
            self._connections[connection.link] = connection
            self.feed(events.Joined(connection.link, facts))

    def _hear(self, connection: Connection, event: events.DeviceEvent) -> None:
        if connection.link in self._connections:
            self.feed(event)

    def _end(self, connection: Connection) -> None:
        if self._connections.pop(connection.link, None) is not None:
            self.feed(events.Gone(connection.link, "its stream ended"))

    # ---- clients

    def ask(self, ask: Ask, tell: Callable[[Told], object] | None = None) -> int:
        """The request arrives now. tell: called with its outcome, which may be at once."""
        number = self._next_number()
        self.count["requests"] += 1
        if tell is not None:
            self._tell[number] = tell
        self._now_or_later(self._ask, number, ask)
        return number

    def cancel(self, request: int) -> None:
        """The client has gone, and is told nothing any more."""
        self._tell.pop(request, None)
        self._now_or_later(self._cancel, request)

    def _ask(self, number: int, ask: Ask) -> None:
        if not self.running:
            self._outcome(number, None)
            return
        images = make_images(self._random, number, ask.images, self.watch.model.input.channels)
        if not ask.sound:
            images = images.astype(np.float32) if number % 2 else images[..., :-1]
        deadline = None if ask.timeout is None else ask.at + ask.timeout
        bundle_id = "" if ask.bundle is None else self.models[ask.bundle].bundle_id
        self.feed(events.Predict(number, images, deadline, ask.strict, bundle_id, ask.policy))
        if ask.cancel is not None:
            self.clock.after(ask.cancel, self.cancel, number)

    def _cancel(self, request: int) -> None:
        if self.running and request not in self.outcomes:
            self.count["cancelled"] += 1
            self.feed(events.Cancelled(request))

    def _outcome(self, request: int, outcome: Told) -> None:
        if outcome is not None:
            self.outcomes[request] = outcome
        if (tell := self._tell.pop(request, None)) is not None:
            tell(outcome)

    # ---- the operator

    def order(self, event: events.Reload) -> None:
        self._now_or_later(self.feed, event)

    # ---- the core

    def feed(self, event: events.Event) -> None:
        for effect in self.watch.handle(self.clock.now, event):
            self._carry_out(effect)
        due = self.watch.next_wakeup()
        if due is not None and due < self._wakeup:
            self._wakeup = due
            self.clock.at(due, self._wake, due)

    def _wake(self, due: float) -> None:
        """As the driver does it: a timer that rings early asks again."""
        if due == self._wakeup and self._backlog is None:
            self._wakeup = float("inf")
            self.feed(events.Tick())

    def _carry_out(self, effect: Effect) -> None:
        match effect:
            case effects.SendWork(links):
                self.count["works"] += 1
                for link in links:
                    self._connections[link].down.send((effect, self.clock.now))
            case effects.Answer(request):
                self.count["answered"] += 1
                self.count["degraded"] += bool(effect.missing)
                self._outcome(request, effect)
            case effects.Refuse(request):
                self.count["refused"] += 1
                self.count[effect.code.name] += 1
                self._outcome(request, effect)
            case effects.Welcome(link):
                self._connections[link].down.send((effect, self.watch.settings))
            case effects.Ping(link) | effects.Assign(link):
                self._connections[link].down.send(effect)
            case effects.CloseLink(link):
                connection = self._connections[link]
                connection.close_by_aggregator()
                self.clock.after(CLOSING, self.end, connection)
            case effects.Reloaded():
                self.count["reloaded"] += 1
            case effects.ReloadFailed():
                self.count["reloads failed"] += 1

    def _next_number(self) -> int:
        self._number += 1
        return self._number

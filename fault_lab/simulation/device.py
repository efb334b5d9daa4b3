"""A simulated device: joins, loads, works, leaves and joins again, as device_node does."""

import math
from random import Random
from typing import Any

from aggregator import Model, Settings, effects, events
from aggregator.model import Student
from device_node.backoff import Backoff
from device_node.connection import CONNECT_SECONDS, DRAIN_SECONDS, SILENT_PINGS
from fault_lab.simulation.clock import Clock
from fault_lab.simulation.connection import Aggregator, Connection, End
from fault_lab.simulation.lies import Lie, any_lie
from fault_lab.simulation.network import Way
from fault_lab.simulation.process import Action, Process
from fault_lab.simulation.scenario import DeviceSpec
from fault_lab.simulation.sizes import TOY, Sizes
from fault_lab.simulation.store import Pair, Store
from fault_lab.simulation.worker import Worker

STEADY = 5.0  # seconds that a connection must last for the next wait to be short again
START = 0.3  # seconds from the start of the process to its first attempt


class Device:
    """slowness, lying, refusing, busy, stuck, cut: what faults have made of it; see `scenario.Kind`.

    lying, refusing: chances, for each share of a work. lie: what it then says. cut: no connection is made.
    """

    def __init__(
        self,
        number: int,
        spec: DeviceSpec,
        clock: Clock,
        aggregator: Aggregator,
        models: tuple[Model, ...],
        seed: int,
        sizes: Sizes = TOY,
    ) -> None:
        self.device_id = f"device-{number}"
        self.spec = spec
        self.clock = clock
        self.random = Random(f"nonn device {seed} {number}")
        self.up = Way(clock, self.random, spec.delay, spec.jitter, sizes)
        self.down = Way(clock, self.random, spec.delay, spec.jitter, sizes)
        self.up.line.rate = self.down.line.rate = spec.bandwidth
        self.slowness = 1.0
        self.lie: Lie = any_lie
        self.lying = self.refusing = 0.0
        self.busy = self.stuck = self.cut = False
        self.process = Process(clock, spec.rate)
        self.connection: Connection | None = None
        self.store = Store(self)
        self.worker = Worker(self, None, 1)
        self._aggregator = aggregator
        self._models = models
        self._sizes = sizes
        self._backoff = Backoff(self.random)
        self._unstuck: list[tuple[Action, tuple[Any, ...]]] = []
        self._welcomed = False
        self._leaving = False
        self._again = False
        self._silence = CONNECT_SECONDS
        self._heard = 0.0
        self._connected = 0.0
        self._speed = 0.0

    # ---- faults

    def start(self) -> None:
        """Now, or once it has left."""
        if self.process.running:
            self._again = self._leaving
            return
        self._leaving = self._again = False
        self.process.start()
        self._backoff.reset()
        self.process.later(START, self._connect)

    @property
    def connectable(self) -> bool:
        """Whether a question to the aggregator would get its answer."""
        return self.up.open and self.down.open

    def reset(self) -> None:
        """Its connection breaks, and both ends are told."""
        if self.connection is not None:
            self.connection.reset()

    def crash(self, *, silently: bool) -> None:
        if self.connection is not None:
            if silently:
                self.connection.vanish()
            else:
                self.connection.close_by_device()
        if self.process.running:
            self._end()

    def speed_up(self) -> None:
        """As fast as ever, in what it is at as well."""
        self.process.hurry(self.slowness)
        self.slowness = 1.0

    def when_unstuck(self, action: Action, *arguments: Any) -> None:
        self._unstuck.append((action, arguments))

    def unstick(self) -> None:
        self.stuck = False
        waiting, self._unstuck = self._unstuck, []
        for action, arguments in waiting:
            self.process.do(action, *arguments)
        self.process.do(self.worker.go_on)

    def leave(self) -> None:
        """As on SIGTERM."""
        if self.process.running and not self._leaving:
            self._leaving = True
            self.process.do(self._leave)

    # ---- the connection

    def receive(self, connection: Connection, message: Any) -> None:
        if connection is not self.connection:
            return
        self._heard = self.process.now
        match message:
            case effects.Welcome(), settings:
                self._welcome(connection, settings)
            case End():
                self.ended(connection)
            case _ if not self._welcomed:
                self._close()
            case effects.SendWork() as work, sent:
                self.worker.offer(work, self.process.received(sent), sent)
            case effects.Ping():
                connection.say(events.Pong(connection.link))
            case effects.Assign():
                self.store.assign(connection, message)

    def ended(self, connection: Connection) -> None:
        if connection is self.connection:
            self._close()

    def worker_idle(self) -> None:
        if self._leaving and not self.worker.accepting:
            self._say_good_bye()

    # ---- facts

    def student(self, pair: Pair) -> Student:
        return self._models[self.number_of(pair[0])].students[pair[1]]

    def transfer(self, pair: Pair) -> float:
        """Bytes of a student that the line has to take; other messages pass meanwhile."""
        return 0.0 if self.down.line.rate == math.inf else self._sizes.files[pair[1]]

    @property
    def told_speed(self) -> float:
        return self._speed if self.spec.told else 0.0

    def measure(self) -> None:
        """Its speed, as its self-test finds it."""
        self._speed = self.spec.speed / self.slowness * (0.9 + 0.2 * self.random.random())

    def number_of(self, bundle_id: str) -> int:
        return next(i for i, model in enumerate(self._models) if model.bundle_id == bundle_id)

    def _facts(self) -> events.DeviceFacts:
        return events.DeviceFacts(
            self.device_id,
            self.device_id,
            memory_bytes=self.spec.memory_bytes,
            speed=self.told_speed,
            cached_digests=self.store.cached,
        )

    # ---- inside

    def _end(self) -> None:
        self.process.end()
        self.connection = None
        self.worker = Worker(self, None, 1)
        self._unstuck.clear()
        self.store.lose_memory()
        if self._again:
            self.start()

    def _connect(self) -> None:
        self.connection = Connection(self, self._aggregator)
        self.worker = Worker(self, self.connection, 1)
        self._welcomed = False
        self._silence = CONNECT_SECONDS
        self._heard = self._connected = self.process.now
        handshake = self.up.seconds() + self.down.seconds()
        if self.cut:
            self.process.later(handshake, self.ended, self.connection)
            return
        self.connection.up.send(self._facts(), extra=handshake)
        self._listen(self.connection)

    def _listen(self, connection: Connection) -> None:
        """Give the aggregator up when nothing has come from it for too long."""
        if connection is self.connection:
            if self.process.held_up:
                self._heard = self.process.now  # what the aggregator said meanwhile has yet to be read
            left = self._heard + self._silence - self.process.now
            if left > 1e-9:
                self.process.later(left, self._listen, connection)
            else:
                self._close()

    def _welcome(self, connection: Connection, settings: Settings) -> None:
        self._welcomed = True
        self._silence = SILENT_PINGS * settings.ping
        self.worker.window = settings.window
        if self._leaving:
            self._leave()

    def _close(self) -> None:
        """End the connection, and try again later."""
        if self.connection is not None:
            self.connection.close_by_device()
        self.connection = None
        self.worker = Worker(self, None, 1)
        self.store.interrupt()
        if self._leaving:
            self._end()
            return
        if self._welcomed and self.process.now - self._connected >= STEADY:
            self._backoff.reset()
        self.process.later(self._backoff.wait(), self._connect)

    def _leave(self) -> None:
        if self.connection is None or not self._welcomed:
            self._close()
        elif self.worker.accepting:
            self.worker.accepting = False
            if self.worker.idle:
                self._say_good_bye()
            else:
                self.process.later(DRAIN_SECONDS, self._say_good_bye)

    def _say_good_bye(self) -> None:
        if self.connection is not None:
            self.connection.say(events.Leaving(self.connection.link, "the device was stopped"))
            self._close()

"""A simulated process: its clock, whether it runs, and what waits while it is stopped or stuck."""

import math
from collections.abc import Callable
from typing import Any

from device_node.pulse import BURST_SECONDS, STALL_SECONDS
from fault_lab.simulation.clock import Clock

Action = Callable[..., object]
Due = tuple[float, int, Action, tuple[Any, ...]]  # when, in which life, what


class Process:
    """rate: seconds of its own clock in a second. What a life has begun ends with it.

    `later` waits for the clock, so that a jump of it rings early; `spend` is the time that something takes.
    """

    def __init__(self, clock: Clock, rate: float) -> None:
        self.running = False
        self._clock = clock
        self._rate = rate
        self._ahead = self._ahead_before = 0.0
        self._life = 0
        self._timers: dict[int, Due] = {}  # by its own clock
        self._tasks: dict[int, Due] = {}  # by the true one
        self._count = 0
        self._hung = False
        self._frozen: list[tuple[int, Action, tuple[Any, ...]]] = []
        self._stopped = self._resumed = -math.inf

    @property
    def now(self) -> float:
        """By its own clock."""
        return self._clock.now * self._rate + self._ahead

    def start(self) -> None:
        self.running = True
        self._life += 1

    def end(self) -> None:
        self.running = self._hung = False
        self._frozen.clear()
        self._timers.clear()
        self._tasks.clear()

    def later(self, seconds: float, action: Action, *arguments: Any) -> None:
        """By its own clock, and only if it lives until then."""
        self._count += 1
        self._timers[self._count] = (self.now + seconds, self._life, action, arguments)
        self._clock.after(seconds / self._rate, self._ring, self._timers, self._count)

    def spend(self, seconds: float, action: Action, *arguments: Any) -> None:
        """What takes so long is done then, whatever the clock shows, and only if it lives until then."""
        self._count += 1
        due = self._clock.now + seconds / self._rate
        self._tasks[self._count] = (due, self._life, action, arguments)
        self._clock.at(due, self._ring, self._tasks, self._count)

    def hurry(self, factor: float) -> None:
        """What it is at goes on so many times as fast."""
        for number, (due, life, action, arguments) in self._tasks.items():
            sooner = self._clock.now + (due - self._clock.now) / factor
            self._tasks[number] = (sooner, life, action, arguments)
            self._clock.at(sooner, self._ring, self._tasks, number)

    def jump(self, seconds: float) -> None:
        """Its clock goes forward at once. To the process that is as if it had been held up for so long."""
        before, ahead = self.now, self._ahead
        self._ahead += seconds
        if not self._hung:
            self._stopped, self._resumed, self._ahead_before = before, self.now, ahead
        for number, (due, *_) in self._timers.items():
            self._clock.after((due - self.now) / self._rate, self._ring, self._timers, number)

    def do(self, action: Action, *arguments: Any) -> None:
        """Now, or when it is not stopped any more."""
        self._run(self._life, action, arguments)

    def stop(self) -> None:
        """As by SIGSTOP."""
        if self.running and not self._hung:
            self._hung, self._stopped, self._ahead_before = True, self.now, self._ahead

    def resume(self) -> None:
        if self._hung:
            self._hung, self._resumed = False, self.now
            frozen, self._frozen = self._frozen, []
            for life, action, arguments in frozen:
                self._run(life, action, arguments)

    def received(self, sent: float = -math.inf) -> float:
        """When a message that is read now counts as received: device_node.pulse says why.

        sent: on the true clock; left out: not said.
        """
        if not self.held_up:
            return self.now
        return min(max(self._stopped, sent * self._rate + self._ahead_before), self.now)

    @property
    def held_up(self) -> bool:
        """It has just been resumed, and reads what has piled up."""
        stalled = self._resumed - self._stopped >= STALL_SECONDS
        return stalled and self.now - self._resumed < BURST_SECONDS

    def _ring(self, due: dict[int, Due], number: int) -> None:
        """Once, and the first time: what comes sooner than planned is on the clock twice."""
        if (found := due.pop(number, None)) is not None:
            self._run(*found[1:])

    def _run(self, life: int, action: Action, arguments: tuple[Any, ...]) -> None:
        if life == self._life and self.running:
            if self._hung:
                self._frozen.append((life, action, arguments))
            else:
                action(*arguments)

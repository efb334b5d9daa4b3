"""A simulated process: its clock, whether it runs, and what waits while it is stopped or stuck."""

import math
from collections.abc import Callable
from typing import Any

from device_node.pulse import BURST_SECONDS, STALL_SECONDS
from fault_lab.simulation.clock import Clock

Action = Callable[..., object]


class Process:
    """rate: seconds of its own clock in a second. What a life has begun ends with it."""

    def __init__(self, clock: Clock, rate: float) -> None:
        self.running = False
        self._clock = clock
        self._rate = rate
        self._life = 0
        self._hung = False
        self._frozen: list[tuple[int, Action, tuple[Any, ...]]] = []
        self._stopped = self._resumed = -math.inf

    @property
    def now(self) -> float:
        """By its own clock."""
        return self._clock.now * self._rate

    def start(self) -> None:
        self.running = True
        self._life += 1

    def end(self) -> None:
        self.running = self._hung = False
        self._frozen.clear()

    def later(self, seconds: float, action: Action, *arguments: Any) -> None:
        """By its own clock, and only if it lives until then."""
        self._clock.after(seconds / self._rate, self._run, self._life, action, arguments)

    def do(self, action: Action, *arguments: Any) -> None:
        """Now, or when it is not stopped any more."""
        self._run(self._life, action, arguments)

    def stop(self) -> None:
        """As by SIGSTOP."""
        if self.running and not self._hung:
            self._hung, self._stopped = True, self.now

    def resume(self) -> None:
        if self._hung:
            self._hung, self._resumed = False, self.now
            frozen, self._frozen = self._frozen, []
            for life, action, arguments in frozen:
                self._run(life, action, arguments)

    def received(self) -> float:
        """When a message that is read now counts as received: device_node.pulse says why."""
        return self._stopped if self.held_up else self.now

    @property
    def held_up(self) -> bool:
        """It has just been resumed, and reads what has piled up."""
        stalled = self._resumed - self._stopped >= STALL_SECONDS
        return stalled and self.now - self._resumed < BURST_SECONDS

    def _run(self, life: int, action: Action, arguments: tuple[Any, ...]) -> None:
        if life == self._life and self.running:
            if self._hung:
                self._frozen.append((life, action, arguments))
            else:
                action(*arguments)

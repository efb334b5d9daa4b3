"""A line of a bandwidth: it takes one thing after another, each for as long as its bytes need."""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from fault_lab.simulation.clock import Clock


@dataclass(slots=True, eq=False)
class _Waiting:
    left: float  # bytes
    through: Callable[[], object]
    lost: Callable[[], bool]


class Line:
    """rate: bytes a second. When it changes, what waits goes on at the new one from that moment."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rate = math.inf
        self._waiting: deque[_Waiting] = deque()
        self._since = 0.0  # when the first of them, or what is left of it, began
        self._turn = 0

    @property
    def rate(self) -> float:
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if self._waiting:
            passed = (self._clock.now - self._since) * self._rate
            self._waiting[0].left = max(self._waiting[0].left - passed, 0.0)
        self._rate = rate
        self._begin()

    def take(self, size: int, through: Callable[[], object], lost: Callable[[], bool]) -> None:
        """lost: whether it need not be sent any more, asked when its turn comes."""
        self._waiting.append(_Waiting(size, through, lost))
        if len(self._waiting) == 1:
            self._begin()

    def _begin(self) -> None:
        self._turn += 1
        self._since = self._clock.now
        while self._waiting:
            first = self._waiting[0]
            if not first.lost():
                if self._rate < math.inf:
                    self._clock.after(first.left / self._rate, self._through, self._turn)
                    return
                first.through()
            self._waiting.popleft()

    def _through(self, turn: int) -> None:
        if turn == self._turn:
            self._waiting.popleft().through()
            self._begin()

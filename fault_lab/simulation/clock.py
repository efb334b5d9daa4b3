"""Virtual time: what is to happen, in order. Nothing waits for real."""

import heapq
from collections.abc import Callable
from typing import Any


class Clock:
    """now: seconds since the start. What is due at one time happens in the order of the calls."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._count = 0

    def after(self, seconds: float, action: Callable[..., object], *arguments: Any) -> None:
        self.at(self.now + seconds, action, *arguments)

    def at(self, time: float, action: Callable[..., object], *arguments: Any) -> None:
        """Never in the past: what is late happens now."""
        self._count += 1
        heapq.heappush(self._due, (max(time, self.now), self._count, action, arguments))

    def run_until(self, time: float) -> None:
        """Let everything happen that is due by then, and whatever comes of it."""
        due = self._due
        while due and due[0][0] <= time:
            self.now, _, action, arguments = heapq.heappop(due)
            action(*arguments)
        self.now = max(self.now, time)

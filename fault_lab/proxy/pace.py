"""When bytes come through: one direction of one connection."""

import math
from collections import deque
from dataclasses import dataclass
from random import Random

from fault_lab.proxy.toxics import Toxics


@dataclass(slots=True, eq=False)
class Chunk:
    """through: when the line has taken it. delay: seconds under way after that. due: when it arrives."""

    data: bytes
    through: float
    delay: float
    due: float


class Pace:
    """Bytes never overtake others. The line is busy for as long as its bandwidth says; what arrives has then
    been under way for the latency. When the bandwidth changes, what the line has not taken yet goes on at the
    new one.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._bandwidth = math.inf
        self._free = -math.inf
        self._latest = (
            self._passed
        ) = -math.inf  # arrival of the last, and of the last that the line has taken
        self._waiting: deque[Chunk] = deque()  # for the line, when it was last looked at

    def send(self, now: float, data: bytes, toxics: Toxics) -> Chunk:
        self.change(now, toxics.bandwidth)
        delay = toxics.latency + toxics.jitter * (2.0 * self._random.random() - 1.0)
        self._free = max(self._free, now) + len(data) / self._bandwidth
        chunk = Chunk(data, self._free, max(delay, 0.0), 0.0)
        self._arrive(chunk)
        self._waiting.append(chunk)
        return chunk

    def change(self, now: float, bandwidth: float) -> None:
        """Of chunks that wait for the line, `due` is another one from now on."""
        while self._waiting and self._waiting[0].through <= now:
            self._passed = self._waiting.popleft().due
        if bandwidth == self._bandwidth:
            return
        if self._waiting:
            left = (self._waiting[0].through - now) * self._bandwidth
            self._free, self._latest = now, self._passed
            for number, chunk in enumerate(self._waiting):
                self._free += (len(chunk.data) if number else left) / bandwidth
                chunk.through = self._free
                self._arrive(chunk)
        self._bandwidth = bandwidth

    def _arrive(self, chunk: Chunk) -> None:
        self._latest = chunk.due = max(self._latest, chunk.through + chunk.delay)

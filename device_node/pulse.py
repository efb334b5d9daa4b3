"""Whether this process was held up: stopped by a signal, starved, or paused with its container."""

import math
import time
from collections.abc import Callable
from typing import Final

BEAT_SECONDS: Final = 0.25  # between beats, while the event loop runs as it should
STALL_SECONDS: Final = 1.0  # without a beat
BURST_SECONDS: Final = 0.1  # that reading takes what has piled up meanwhile


class Pulse:
    """Told to beat at least every BEAT_SECONDS and before each message is looked at; on the clock of `now`.

    A message counts as received when it is read. What is read right after a stall may have been sent long
    before, and works that nobody waits for any more are not to be computed before those that someone does: it
    counts as received when it would have been, had there been no stall, as far as it says when it was sent,
    and else when the stall began.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._last = self._stalled = now()
        self._resumed = -math.inf
        self._ahead: float | None = None  # of the sender's clock, with the time that messages take

    def beat(self) -> bool:
        """Whether the process has just been held up."""
        before, self._last = self._last, self._now()
        stalled = self._last - before >= STALL_SECONDS
        if stalled:
            self._stalled, self._resumed = before, self._last
        return stalled

    def received(self, sent: float = 0.0) -> float:
        """When a message that is read now counts as received. sent: on its sender's clock; 0: not said."""
        self.beat()
        in_burst = self._last - self._resumed < BURST_SECONDS
        if not in_burst:
            self._ahead = self._last - sent if sent else self._ahead
            return self._last
        if not sent or self._ahead is None:
            return self._stalled
        return min(max(self._stalled, sent + self._ahead), self._last)

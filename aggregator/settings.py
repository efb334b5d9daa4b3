"""The aggregator's settings: one frozen value, checked when it is made."""

import math
from dataclasses import dataclass

from aggregator.errors import SettingsError
from aggregator.policy import ALL, Policy


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are in seconds.

    window: works in flight to one device at the most.
    max_batch: images in one work, hence in one request, at the most.
    queue: requests that wait at the most; the next one is refused.
    default_deadline: of a request that names none; longest_deadline: however long it asks for.
    margin: how long before its deadline a request is answered with what has arrived.
    ping: a device that is silent for `misses` pings in a row is suspect.
    settle: how long to wait for more devices before one is given several students.
    heal: how long a lost device's students wait for its return; None: for ever.
    drain: how long requests may still take once the aggregator is told to stop.
    reload: how long devices may take to load a new bundle.
    policy: which partial logits a request waits for that does not say so itself.

    >>> Settings(window=4, heal=None).heal is None
    True
    """

    window: int = 2
    max_batch: int = 64
    queue: int = 256
    default_deadline: float = 2.0
    longest_deadline: float = 60.0
    margin: float = 0.05
    ping: float = 1.0
    misses: int = 3
    settle: float = 1.0
    heal: float | None = 30.0
    drain: float = 5.0
    reload: float = 60.0
    policy: Policy = ALL

    def __post_init__(self) -> None:
        for name in ("window", "max_batch", "queue", "misses"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("default_deadline", "longest_deadline", "ping", "drain", "reload"):
            if not (math.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise SettingsError(f"{name} must be a positive number of seconds, not {getattr(self, name)}")
        for name in ("margin", "settle", "heal"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise SettingsError(f"{name} must be a number of seconds from 0 on, not {value}")

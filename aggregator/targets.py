"""Which devices get the next work: all that have room, once no other is worth waiting for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aggregator.devices import Device
from aggregator.settings import Settings


@dataclass(frozen=True, slots=True)
class Targets:
    """devices: none means to wait, at the latest until `until` (infinity: until one has room)."""

    devices: Sequence[Device]
    until: float = math.inf


def choose_targets(now: float, serving: Sequence[Device], settings: Settings) -> Targets:
    """A device without room is waited for, unless it is a straggler: far slower than it recently was."""
    free = [device for device in serving if device.has_room(settings.window)]
    if not free:
        return Targets(())
    full = [device for device in serving if device not in free]
    until = max((device.waited_for_until(settings.default_deadline) for device in full), default=now)
    return Targets((), until) if now < until else Targets(free)

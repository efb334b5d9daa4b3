"""Which devices get the next work: all that have room, once no other is worth waiting for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aggregator.devices import Place
from aggregator.policy import Policy
from aggregator.settings import Settings


@dataclass(frozen=True, slots=True)
class Targets:
    """places: none means to wait, at the latest until `until` (infinity: until one has room)."""

    places: Sequence[Place]
    until: float = math.inf


def choose_targets(
    now: float, serving: Sequence[Place], parts: Sequence[int], policy: Policy, settings: Settings
) -> Targets:
    """A device without room is waited for, unless the policy can do without it or it is a straggler.

    parts: of each student. A straggler is far slower than it usually is.
    """
    free = [place for place in serving if place.has_room(settings.window)]
    if not free or len(free) == len(serving):
        return Targets(free)
    full = [place for place in serving if not place.has_room(settings.window)]
    able = frozenset[int]().union(*(place.ready for place in free))
    others = frozenset[int]().union(*(place.ready for place in full)) - able
    if policy.met(parts, able, others):
        return Targets(free)
    until = max(place.device.waited_for_until(settings.default_deadline) for place in full)
    return Targets((), until) if now < until else Targets(free)

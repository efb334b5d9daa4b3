"""Which devices get the next work: all that have room, once no other is worth waiting for."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aggregator.devices import Place
from aggregator.settings import Settings
from aggregator.works import Request

# Who keeps a work for so many times what others would be given for it is far slower than they are.
FAR_SLOWER = 2.0


@dataclass(frozen=True, slots=True)
class Targets:
    """places: none means to wait, at the latest until `until` (infinity: until one has room)."""

    places: Sequence[Place]
    until: float = math.inf


def choose_targets(
    now: float, serving: Sequence[Place], parts: Sequence[int], first: Request, settings: Settings
) -> Targets:
    """A device without room is waited for, unless the policy can do without it or it is a straggler.

    parts: of each student. first: the request that has waited longest. A straggler is far slower than it
    usually is, or than those that have room, once half of the request's time is over: they could answer it.
    """
    free = [place for place in serving if place.has_room(settings.window)]
    if not free or len(free) == len(serving):
        return Targets(free)
    full = [place for place in serving if not place.has_room(settings.window)]
    able = frozenset[int]().union(*(place.ready for place in free))
    others = frozenset[int]().union(*(place.ready for place in full)) - able
    if first.policy.met(parts, able, others):
        return Targets(free)
    until = max(_waited_for_until(place, free, first, settings.default_deadline) for place in full)
    return Targets((), until) if now < until else Targets(free)


def _waited_for_until(place: Place, free: Sequence[Place], first: Request, unmeasured: float) -> float:
    usually = place.device.waited_for_until(unmeasured)
    if first.strict:
        return usually
    since, images = place.device.oldest
    others = min(other.device.patience(images, unmeasured) for other in free)
    return min(usually, max(since + FAR_SLOWER * others, first.half))

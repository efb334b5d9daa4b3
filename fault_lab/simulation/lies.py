"""What a device may send in place of the partial logits that it was asked for."""

import dataclasses
from collections.abc import Callable
from random import Random

import numpy as np
from numpy.typing import NDArray

from aggregator import events

Messages = list[tuple[events.DeviceEvent, float]]  # and seconds that each is late
Logits = NDArray[np.float32]
Lie = Callable[[Random, events.Partial, Logits], Messages]
MOST_LATE = 4.0


def answers(random: Random, lying: float, lie: Lie, partial: events.Partial) -> Messages:
    """lying: the chance of an answer that is not just the right one."""
    if random.random() >= lying or partial.logits is None:
        return [(partial, 0.0)]
    return lie(random, partial, partial.logits)


def nan(random: Random, partial: events.Partial, logits: Logits) -> Messages:
    return _instead(partial, np.full_like(logits, np.nan))


def corrupt(random: Random, partial: events.Partial, logits: Logits) -> Messages:
    """Sound in shape and size: nobody but the one who knows the right logits can tell."""
    noise = [[random.uniform(-10.0, 10.0) for _ in row] for row in logits]
    return _instead(partial, np.array(noise, dtype=np.float32))


def wrong_shape(random: Random, partial: events.Partial, logits: Logits) -> Messages:
    return _instead(partial, logits[:, :-1])


def duplicate(random: Random, partial: events.Partial, logits: Logits) -> Messages:
    return [(partial, 0.0), (partial, 0.0)]


def late(seconds: float) -> Lie:
    return lambda random, partial, logits: [(partial, seconds)]


def any_lie(random: Random, partial: events.Partial, logits: Logits) -> Messages:
    match random.randrange(11):
        case 0:
            return nan(random, partial, logits)
        case 1:
            return _instead(partial, np.full_like(logits, 3e38))
        case 2:
            return wrong_shape(random, partial, logits)
        case 3:
            return _instead(partial, np.concatenate([logits, logits]))
        case 4:
            return _instead(partial, None)
        case 5:
            return [(dataclasses.replace(partial, bundle_id="f" * 64), 0.0)]
        case 6:
            return [(dataclasses.replace(partial, student=2**32 - 1), 0.0)]
        case 7:
            return [(dataclasses.replace(partial, work=2**64 - 1), 0.0), (partial, 0.0)]
        case 8:
            return duplicate(random, partial, logits)
        case 9:
            return [(partial, MOST_LATE * random.random())]
        case _:
            return [(events.Malformed(partial.link, "an unexpected message: an empty one"), 0.0)]


def _instead(partial: events.Partial, logits: Logits | None) -> Messages:
    return [(dataclasses.replace(partial, logits=logits), 0.0)]

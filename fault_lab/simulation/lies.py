"""What a device may send in place of the partial logits that it was asked for."""

import dataclasses
from random import Random

import numpy as np

from aggregator import events

Messages = list[tuple[events.DeviceEvent, float]]  # and seconds that each is late
MOST_LATE = 4.0


def answers(random: Random, lying: float, partial: events.Partial) -> Messages:
    """lying: the chance of an answer that is not just the right one."""
    if random.random() >= lying or partial.logits is None:
        return [(partial, 0.0)]
    logits = partial.logits

    def instead(**changes: object) -> Messages:
        return [(dataclasses.replace(partial, **changes), 0.0)]  # type: ignore[arg-type]

    match random.randrange(11):
        case 0:
            return instead(logits=np.full_like(logits, np.nan))
        case 1:
            return instead(logits=np.full_like(logits, 3e38))
        case 2:
            return instead(logits=logits[:, :-1])
        case 3:
            return instead(logits=np.concatenate([logits, logits]))
        case 4:
            return instead(logits=None)
        case 5:
            return instead(bundle_id="f" * 64)
        case 6:
            return instead(student=2**32 - 1)
        case 7:
            return [*instead(work=2**64 - 1), (partial, 0.0)]
        case 8:
            return [(partial, 0.0), (partial, 0.0)]
        case 9:
            return [(partial, MOST_LATE * random.random())]
        case _:
            return [(events.Malformed(partial.link, "an unexpected message: an empty one"), 0.0)]

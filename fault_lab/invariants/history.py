"""What happened, as lines for people: made into text only when somebody asks."""

import dataclasses
import enum
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from aggregator import Model
from aggregator.effects import Effect, SendWork
from aggregator.events import Event, Partial, Predict

LINES = 40


class History:
    """Steps of a core, and remarks about what was done to it: all of them, or the latest `most`.

    steps: counts those of the core, forgotten ones too.
    """

    def __init__(self, most: int | None = None) -> None:
        self.steps = 0
        self._most = most
        self._steps: list[tuple[float, Event | str, Sequence[Effect]]] = []

    def __len__(self) -> int:
        return len(self._steps)

    def record(self, now: float, event: Event, effects: Sequence[Effect]) -> None:
        self.steps += 1
        self._steps.append((now, event, effects))
        if self._most is not None and len(self._steps) > 2 * self._most:
            del self._steps[: -self._most]

    def remark(self, now: float, text: str) -> None:
        self._steps.append((now, text, ()))

    def lines(self) -> Iterator[str]:
        """Every event (>), what came of it (<), and every remark (#)."""
        for now, event, effects in self._steps:
            yield _event_line(now, event)
            for effect in effects:
                yield f"{'':>12} < {describe(effect)}"

    def about(self, request: int | None, link: int | None) -> list[str]:
        """The latest lines that concern the request or the device; simply the latest if neither is given."""
        works = self._works_of(request)
        chosen: list[str] = []
        for now, event, effects in reversed(self._steps):
            everything = (request, link) == (None, None)
            concerned = [e for e in effects if everything or _concerns(e, request, link, works)]
            if concerned or everything or isinstance(event, str) or _concerns(event, request, link, works):
                chosen += [f"{'':>12} < {describe(effect)}" for effect in reversed(concerned)]
                chosen.append(_event_line(now, event))
            if len(chosen) >= LINES:
                break
        return chosen[:LINES][::-1]

    def _works_of(self, request: int | None) -> set[int]:
        """The works that may have held the request: those with images like its own."""
        asked = [
            event for _, event, _ in self._steps if isinstance(event, Predict) and event.request == request
        ]
        if not asked:
            return set()
        sample = asked[0].images.tobytes()
        return {
            effect.work
            for _, _, effects in self._steps
            for effect in effects
            if isinstance(effect, SendWork) and sample in effect.images.tobytes()
        }


def describe(value: Any) -> str:
    """Short, and the same in every process: arrays by their shape, sets in order, bundles by their id."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type | Model):
        inner = ", ".join(f"{f.name}={describe(getattr(value, f.name))}" for f in dataclasses.fields(value))
        return f"{type(value).__name__}({inner})"
    match value:
        case Model():
            return f"bundle {value.bundle_id[:12]}"
        case np.ndarray():
            return f"{value.dtype}{list(value.shape)}"
        case set() | frozenset():
            return "{" + ", ".join(sorted(map(describe, value))) + "}"
        case tuple():
            return "(" + ", ".join(map(describe, value)) + ")"
        case float():
            return f"{value:.6f}"
        case enum.Enum():
            return value.name
        case _:
            return repr(value)


def _event_line(now: float, event: Event | str) -> str:
    return f"{now:12.6f} # {event}" if isinstance(event, str) else f"{now:12.6f} > {describe(event)}"


def _concerns(thing: Any, request: int | None, link: int | None, works: set[int]) -> bool:
    if request is not None and getattr(thing, "request", None) == request:
        return True
    if isinstance(thing, SendWork):
        return thing.work in works or link in thing.links
    if isinstance(thing, Partial) and thing.work in works:
        return True
    return link is not None and getattr(thing, "link", None) == link

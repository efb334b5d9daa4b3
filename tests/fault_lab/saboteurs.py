"""Cores that break one promise each."""

import dataclasses
import math
from collections.abc import Callable, Collection, Iterator
from typing import Any
from unittest import mock

from aggregator import Core, Model, Settings, effects, events
from aggregator.devices import Device
from aggregator.effects import Answer, Assign, CloseLink, Code, Effect, Refuse, SendWork
from aggregator.policy import ALL, Policy

Change = Callable[[Core, float, events.Event, list[Effect]], list[Effect]]


def after(change: Change) -> type[Core]:
    """A core whose effects are changed once it has handled an event."""

    class Changed(Core):
        def handle(self, now: float, event: events.Event) -> list[Effect]:
            return change(self, now, event, super().handle(now, event))

    return Changed


def each(kind: type, change: Callable[[Any], Any]) -> type[Core]:
    """A core whose effects of this kind are changed, one by one; None: left out."""

    def change_all(core: Core, now: float, event: events.Event, found: list[Effect]) -> list[Effect]:
        changed = (change(effect) if isinstance(effect, kind) else effect for effect in found)
        return [effect for effect in changed if effect is not None]

    return after(change_all)


def before(change: Callable[[events.Event], events.Event]) -> type[Core]:
    """A core that gets changed events to handle."""

    class Misled(Core):
        def handle(self, now: float, event: events.Event) -> list[Effect]:
            return super().handle(now, change(event))

    return Misled


def repeat_answers(core: Core, now: float, event: events.Event, found: list[Effect]) -> list[Effect]:
    return found + [effect for effect in found if isinstance(effect, Answer)]


def leave_one_out(core: Core, now: float, event: events.Event, found: list[Effect]) -> list[Effect]:
    """Answers own up to one student less, and are right otherwise."""

    def less(answer: Answer) -> Answer:
        if len(answer.answered) < 2:
            return answer
        *kept, dropped = answer.answered
        missing = tuple(sorted((*answer.missing, dropped)))
        return dataclasses.replace(answer, answered=tuple(kept), missing=missing)

    return [less(effect) if isinstance(effect, Answer) else effect for effect in found]


def claim_one_more(answer: Answer) -> Answer:
    if not answer.missing:
        return answer
    claimed, *missing = answer.missing
    answered = tuple(sorted((*answer.answered, claimed)))
    return dataclasses.replace(answer, answered=answered, missing=tuple(missing))


def ask_the_lost(core: Core, now: float, event: events.Event, found: list[Effect]) -> list[Effect]:
    devices = core._membership.devices
    lost = [link for link, device in devices.items() if device.suspect and not device.in_flight]
    return [
        dataclasses.replace(effect, links=(*effect.links, *lost)) if isinstance(effect, SendWork) else effect
        for effect in found
    ]


def take_what_is_served(core: Core, now: float, event: events.Event, found: list[Effect]) -> list[Effect]:
    def less(assign: Assign) -> Assign:
        served = core._bundles.served.places[assign.link].ready
        kept = tuple(pair for pair in assign.students if pair[1] not in served)
        return dataclasses.replace(assign, students=kept)

    return [less(effect) if isinstance(effect, Assign) else effect for effect in found]


def take_over_at_once(core: Core, now: float, event: events.Event, found: list[Effect]) -> list[Effect]:
    if isinstance(event, events.Reload):
        return [*found, effects.Reloaded(event.model.bundle_id, core.model.bundle_id, 1)]
    return found


def want(**changes: Any) -> Callable[[events.Event], events.Event]:
    return lambda e: dataclasses.replace(e, **changes) if isinstance(e, events.Predict) else e


def impatient(event: events.Event) -> events.Event:
    """One student is enough for everybody."""
    return want(policy=Policy("quorum", 1))(event)


def unwelcoming(core: Core, now: float, event: events.Event, found: list[Effect]) -> list[Effect]:
    """Whoever comes back is never told that it is in."""
    return [effect for effect in found if now < 6.0 or not isinstance(effect, effects.Welcome)]


def lenient(event: events.Event) -> events.Event:
    if isinstance(event, events.Predict) and event.strict:
        return dataclasses.replace(event, strict=False, policy=ALL)
    return event


class Late(Core):
    """Tells nobody that time is over until it is."""

    def __init__(self, model: Model, settings: Settings) -> None:
        super().__init__(model, settings)
        self.deadlines: dict[int, float] = {}
        self.kept: dict[int, Refuse] = {}

    @property
    def idle(self) -> bool:
        return super().idle and not self.kept

    def next_wakeup(self) -> float | None:
        due = [math.inf if (wakeup := super().next_wakeup()) is None else wakeup]
        return max(self._now, min(due + [self.deadlines[request] for request in self.kept]))

    def handle(self, now: float, event: events.Event) -> list[Effect]:
        if isinstance(event, events.Predict):
            wished = now + self.settings.default_deadline if event.deadline is None else event.deadline
            self.deadlines[event.request] = min(wished, now + self.settings.longest_deadline)
        return list(self._keep(super().handle(now, event)))

    def _keep(self, found: list[Effect]) -> Iterator[Effect]:
        for effect in found:
            if isinstance(effect, Refuse) and "no student answered" in effect.message:
                self.kept[effect.request] = effect
            else:
                yield effect


class Fails(Core):
    def handle(self, now: float, event: events.Event) -> list[Effect]:
        if isinstance(event, events.Partial):
            raise KeyError(event.work)
        return super().handle(now, event)


class Greedy(Core):
    """Does not keep to the settings that it was given. changes: to those that it follows."""

    changes: dict[str, Any]

    def __init__(self, model: Model, settings: Settings) -> None:
        super().__init__(model, dataclasses.replace(settings, **self.changes))
        self.settings = settings


class Queues(Greedy):
    changes = {"queue": 10**6}  # noqa: RUF012


class Crowds(Greedy):
    changes = {"window": 64}  # noqa: RUF012


class Trusting(Greedy):
    changes = {"misses": 10**6}  # noqa: RUF012


class OneByOne(Core):
    """Of devices lost together it sees to the first one's students while the second one's are nobody's."""

    def _wake(self, now: float) -> None:
        fall_silent = self._bundles.fall_silent

        def one_by_one(now: float, devices: Collection[Device]) -> None:
            for device in devices:
                fall_silent(now, [device])

        with mock.patch.object(self._bundles, "fall_silent", one_by_one):
            super()._wake(now)


class Healing(Greedy):
    changes = {"heal": 0.0}  # noqa: RUF012


class Hoarding(Core):
    """Sends nothing before the next event."""

    def __init__(self, model: Model, settings: Settings) -> None:
        super().__init__(model, settings)
        self.kept: list[SendWork] = []

    def handle(self, now: float, event: events.Event) -> list[Effect]:
        kept, self.kept = self.kept, []
        found = super().handle(now, event)
        self.kept = [effect for effect in found if isinstance(effect, SendWork)]
        return kept + [effect for effect in found if not isinstance(effect, SendWork)]


class Forgetful(Core):
    """Never looks after requests that nobody answers."""

    def next_wakeup(self) -> float | None:
        return None


class Hasty(Core):
    def next_wakeup(self) -> float | None:
        return self._now - 1.0


class Restless(Core):
    def next_wakeup(self) -> float | None:
        return self._now


class Bustling(Core):
    def next_wakeup(self) -> float | None:
        return self._now + 1e-4


class Careless(Core):
    @property
    def idle(self) -> bool:
        return True


class Cramming(Core):
    """Takes every student to be tiny."""

    def __init__(self, model: Model, settings: Settings) -> None:
        tiny = tuple(dataclasses.replace(student, memory_bytes=1) for student in model.students)
        super().__init__(dataclasses.replace(model, students=tiny), settings)
        self._told = model

    @property
    def model(self) -> Model:
        return self._told


SABOTEURS: dict[str, tuple[type[Core], str]] = {
    "it raises": (Fails, "SOUND"),
    "answers come twice": (after(repeat_answers), "ONCE"),
    "refusals come too late": (Late, "IN_TIME"),
    "answers never come": (each(Answer, lambda answer: None), "PROMPT"),
    "refusals never come": (each(Refuse, lambda refuse: None), "IDLE"),
    "a student that has arrived is left out": (after(leave_one_out), "TRUTH"),
    "a student is named that has not arrived": (each(Answer, claim_one_more), "TRUTH"),
    "logits are a little off": (
        each(Answer, lambda a: dataclasses.replace(a, logits=a.logits + 0.01)),
        "MERGE",
    ),
    "answers are in another bundle's name": (
        each(Answer, lambda a: dataclasses.replace(a, bundle_id="f" * 64)),
        "ONE_BUNDLE",
    ),
    "too much is promised": (
        each(Answer, lambda a: dataclasses.replace(a, expected_accuracy=a.expected_accuracy + 0.1)),
        "ACCURACY",
    ),
    "strictness is ignored": (before(lenient), "STRICT"),
    "it does not wait": (before(impatient), "POLICY"),
    "it always waits for all": (before(want(policy=ALL)), "PROMPT"),
    "refusals lie": (each(Refuse, lambda r: dataclasses.replace(r, code=Code.INVALID_ARGUMENT)), "REFUSAL"),
    "refusals are mute": (each(Refuse, lambda r: dataclasses.replace(r, message="")), "REFUSAL"),
    "no hint when to come back": (
        each(Refuse, lambda r: dataclasses.replace(r, retry_after=None)),
        "RETRY_HINT",
    ),
    "the queue has no end": (Queues, "QUEUE"),
    "windows are ignored": (Crowds, "WINDOW"),
    "images are mixed up": (each(SendWork, lambda w: dataclasses.replace(w, images=w.images[::-1])), "WORK"),
    "works take for ever": (each(SendWork, lambda w: dataclasses.replace(w, budget=1e6)), "WORK"),
    "a device gets no works": (
        each(SendWork, lambda w: dataclasses.replace(w, links=w.links[:-1] or w.links)),
        "WORK",
    ),
    "the lost are asked": (after(ask_the_lost), "LOST"),
    "the silent are trusted": (Trusting, "LOST"),
    "works are kept back": (Hoarding, "PROMPT"),
    "ghosts stay": (each(CloseLink, lambda close: None), "NO_GHOSTS"),
    "memory is ignored": (Cramming, "MEMORY"),
    "students are taken away": (after(take_what_is_served), "STEADY"),
    "the lost are given up one by one": (OneByOne, "HEAL"),
    "the lost are given up at once": (Healing, "HEAL"),
    "a student is left out": (
        each(Assign, lambda a: dataclasses.replace(a, students=tuple(p for p in a.students if p[1]))),
        "COVERED",
    ),
    "a bundle takes over at once": (after(take_over_at_once), "RELOAD"),
    "nobody hears what became of a bundle": (each(effects.ReloadFailed, lambda failed: None), "RELOAD"),
    "it sleeps through deadlines": (Forgetful, "AWAKE"),
    "it wakes in the past": (Hasty, "AWAKE"),
    "it never sleeps": (Restless, "AWAKE"),
    "it wakes all the time": (Bustling, "AWAKE"),
    "it takes itself to be idle": (Careless, "IDLE"),
    "nobody comes back": (after(unwelcoming), "WHOLE_AGAIN"),
}

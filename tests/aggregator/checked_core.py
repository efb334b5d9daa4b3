"""A core on virtual time whose every effect is carried out by scripted devices, and checked."""

from collections import Counter

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from aggregator import Core, Model, Settings, effects, events
from aggregator.core import MOST_FAULTS
from aggregator.model import Student
from bundle import InputSpec, Merger

CLASSES = 3
INPUT = InputSpec(1, 1, 1)
WINDOW, QUEUE, MAX_BATCH = 2, 4, 6


def model(parts: list[int], name: str = "bundle") -> Model:
    students = tuple(Student(i, part, str(i), memory_bytes=1, cost=1) for i, part in enumerate(parts))
    means = np.arange(len(parts) * CLASSES).reshape(len(parts), CLASSES)
    merger = Merger(parts, np.ones(CLASSES), means, "mean")
    accuracy = np.linspace(0, 1, 2 ** len(parts), dtype=np.float32)
    return Model(name, INPUT, students, merger, accuracy)


def partial(images: np.ndarray, student: int) -> np.ndarray:
    rows = images.reshape(len(images), 1).astype(np.float32)
    return rows * np.arange(1, CLASSES + 1, dtype=np.float32) + np.float32(10 * student)


class Scripted:
    """A device as it really behaves, but for when it does what."""

    def __init__(self) -> None:
        self.hosted: frozenset[tuple[str, int]] = frozenset()  # of all bundles, as `loaded`
        self.loaded: set[tuple[str, int]] = set()
        self.works: dict[int, tuple[effects.SendWork, float, set[int]]] = {}
        self.faults: Counter[tuple[str, int]] = Counter()

    def owing(self, now: float) -> list[int]:
        return [work for work, (_, until, owed) in self.works.items() if owed and now < until]


class CheckedCore(RuleBasedStateMachine):
    """`begin` it first."""

    def begin(self, parts: list[int], heal: float | None) -> None:
        self.models = {"bundle": model(parts)}
        self.settings = Settings(
            window=WINDOW,
            queue=QUEUE,
            max_batch=MAX_BATCH,
            heal=heal,
            longest_deadline=20.0,
            reload=5.0,
        )
        self.core = Core(self.models["bundle"], self.settings)
        self.reloading = ""
        self.now = 0.0
        self.number = 0
        self.draining = False
        self.devices: dict[int, Scripted] = {}
        self.names: dict[int, str] = {}
        self.open: dict[int, tuple[events.Predict, float]] = {}
        self.images = 0
        self.works: list[effects.SendWork] = []
        self.delivered: dict[int, set[int]] = {}  # per work: students whose partial logits came as asked for

    def do(self, event: events.Event) -> None:
        for effect in self.core.handle(self.now, event):
            match effect:
                case effects.Answer():
                    self.check_answer(effect)
                case effects.Refuse(request):
                    _, deadline = self.open.pop(request)
                    assert self.now <= deadline
                    assert effect.message
                    assert "\n" not in effect.message
                case effects.SendWork():
                    self.check_work(effect)
                case effects.Assign(link, _, students):
                    assert len(set(students)) == len(students)
                    self.check_kept(link, frozenset(students))
                    self.devices[link].hosted = frozenset(students)
                    self.devices[link].loaded &= set(students)
                case effects.Reloaded(bundle) | effects.ReloadFailed(bundle):
                    assert bundle == self.reloading
                    assert self.core.model.bundle_id == bundle or isinstance(effect, effects.ReloadFailed)
                    self.reloading = ""
                case effects.CloseLink(link):
                    del self.devices[link]
                case effects.Ping(link):
                    assert link in self.devices

    def check_kept(self, link: int, students: frozenset[tuple[str, int]]) -> None:
        """No device is told to drop what a work that it still has in time is for, unless it gets it wrong."""
        device = self.devices[link]
        for work, until, owed in device.works.values():
            needed = {(work.bundle_id, student) for student in owed if self.now < until} & device.loaded
            assert all(device.faults[student] >= MOST_FAULTS for student in needed - students)

    def check_answer(self, answer: effects.Answer) -> None:
        request, deadline = self.open.pop(answer.request)
        assert self.now < deadline
        assert not (request.strict and answer.missing)
        model = self.models[answer.bundle_id]
        everyone = tuple(range(len(model.students)))
        assert tuple(sorted((*answer.answered, *answer.missing))) == everyone
        work = next(w for w in reversed(self.works) if np.isin(request.images, w.images).all())
        assert answer.bundle_id == work.bundle_id
        assert request.bundle_id in ("", work.bundle_id)
        assert set(answer.answered) == self.delivered[work.work]
        expected = model.merger.merge({s: partial(request.images, s) for s in answer.answered})
        np.testing.assert_allclose(answer.logits, expected, rtol=1e-5)
        assert answer.expected_accuracy == float(model.accuracy[sum(1 << s for s in answer.answered)])

    def check_work(self, work: effects.SendWork) -> None:
        assert len(work.links) == len(set(work.links)) > 0
        assert 1 <= len(work.images) <= MAX_BATCH
        assert work.budget > 0
        self.works.append(work)
        self.delivered[work.work] = set()
        for link in work.links:
            device = self.devices[link]
            loaded = {student for bundle, student in device.loaded if bundle == work.bundle_id}
            assert loaded
            device.works[work.work] = (work, self.now + work.budget, loaded)
            assert len(device.owing(self.now)) <= WINDOW

    def pick(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.devices)))

    def next_number(self) -> int:
        self.number += 1
        return self.number

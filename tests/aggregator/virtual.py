"""A model of 6 students and 3 parts without files, and a core on a virtual clock with scripted devices."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aggregator import Core, Model, Settings, effects, events
from aggregator.effects import Answer, Assign, Effect, Refuse, SendWork
from aggregator.model import Student
from aggregator.policy import Policy
from aggregator.status import State
from bundle import InputSpec, Merger

PARTS = (0, 1, 2, 0, 1, 2)
CLASSES = 3
SHAPE = (2, 2, 1)
MB = 2**20


def make_model(parts: tuple[int, ...] = PARTS, name: str = "b") -> Model:
    random = np.random.default_rng(0)
    students = tuple(
        Student(index, part, f"{index:064x}", memory_bytes=50 * MB, cost=100)
        for index, part in enumerate(parts)
    )
    means = random.normal(size=(len(parts), CLASSES))
    merger = Merger(parts, random.normal(size=CLASSES), means, "mean")
    accuracy = np.linspace(0, 1, 2 ** len(parts), dtype=np.float32)
    return Model(name * 64, InputSpec(*SHAPE), students, merger, accuracy)


def make_images(*values: int) -> NDArray[np.uint8]:
    """One image for each value."""
    return np.array(values, dtype=np.uint8)[:, None, None, None] * np.ones(SHAPE, dtype=np.uint8)


def compute(images: NDArray[Any], student: int) -> NDArray[np.float32]:
    """What a student of these tests answers: partial logits that tell image, student and class apart."""
    rows = images.reshape(len(images), -1).mean(axis=1, dtype=np.float32)
    return np.float32(0.1) * rows[:, None] + np.arange(CLASSES, dtype=np.float32) * np.float32(student + 1)


class Cluster:
    """A core, its clock, and all that it has emitted."""

    def __init__(self, settings: Settings | None = None, parts: tuple[int, ...] = PARTS) -> None:
        self.model = make_model(parts)
        self.settings = settings or Settings()
        self.core = Core(self.model, self.settings)
        self.now = 100.0
        self.log: list[Effect] = []
        self.assigned: dict[int, tuple[int, ...]] = {}  # of the first bundle
        self.held: dict[int, tuple[tuple[str, int], ...]] = {}  # of all
        self.numbers: dict[int, int] = {}  # of the latest assignment
        self.works: dict[int, SendWork] = {}
        self._next = 0

    def number(self) -> int:
        self._next += 1
        return self._next

    def do(self, event: events.Event) -> list[Effect]:
        found = self.core.handle(self.now, event)
        self.log += found
        for effect in found:
            if isinstance(effect, Assign):
                self.held[effect.link] = effect.students
                self.numbers[effect.link] = effect.number
                self.assigned[effect.link] = tuple(
                    student for bundle, student in effect.students if bundle == self.model.bundle_id
                )
            if isinstance(effect, SendWork):
                self.works[effect.work] = effect
        return found

    def wait(self, seconds: float, answering: Iterable[int] = ()) -> list[Effect]:
        """Let time pass, waking the core whenever it asks; links in `answering` return every ping."""
        found, until, alive = [], self.now + seconds, set(answering)
        while (due := self.core.next_wakeup()) is not None and due <= until:
            assert due >= self.now, "the core asks to be woken in the past"
            self.now = due
            ticked = self.do(events.Tick())
            pinged = [e.link for e in ticked if isinstance(e, effects.Ping) and e.link in alive]
            found += ticked + [effect for link in pinged for effect in self.do(events.Pong(link))]
        self.now = until
        return found

    def join(self, device: str = "", **facts: Any) -> int:
        link = self.number()
        self.do(events.Joined(link, events.DeviceFacts(device or f"d{link}", device or f"d{link}", **facts)))
        return link

    def ready(self, link: int, *students: int) -> list[Effect]:
        chosen = students or self.assigned[link]
        return [e for s in chosen for e in self.do(events.Ready(link, self.model.bundle_id, s, True))]

    def load(self, link: int, bundle: str, error: str = "") -> list[Effect]:
        """The device has loaded its students of the bundle, or none of them."""
        chosen = [student for name, student in self.held[link] if name == bundle]
        return [
            effect
            for student in chosen
            for effect in self.do(events.Ready(link, bundle, student, not error, error))
        ]

    def serve(self, devices: int) -> list[int]:
        """Devices that have joined, and serve what they were given."""
        links = [self.join() for _ in range(devices)]
        self.wait(self.settings.settle)
        for link in links:
            self.ready(link)
        return links

    def predict(
        self,
        *values: int,
        within: float | None = 1.0,
        strict: bool = False,
        bundle: str = "",
        policy: str = "",
    ) -> int:
        request = self.number()
        deadline = None if within is None else self.now + within
        chosen = Policy.parse(policy) if policy else None
        self.do(events.Predict(request, make_images(*(values or (7,))), deadline, strict, bundle, chosen))
        return request

    def work(self) -> SendWork:
        """The latest."""
        return self.works[max(self.works)]

    def answer(self, link: int, *students: int, work: SendWork | None = None) -> list[Effect]:
        """The device's partial logits for these students, or all that it was assigned."""
        work = work or self.work()
        bundle = work.bundle_id
        found = []
        for student in students or self.assigned[link]:
            logits = compute(work.images, student)
            event = events.Partial(link, bundle, work.work, student, logits)
            found += self.do(event)
        return found

    def keep_busy(self, links: list[int], rounds: int = 20) -> None:
        """Teach the core that these devices take 10 ms."""
        for _ in range(rounds):
            self.predict()
            self.wait(0.01)
            for link in links:
                self.answer(link)

    def state(self, link: int) -> State:
        return next(
            device.state
            for device in self.core.status(self.now).devices
            if device.facts.device_id == f"d{link}"
        )

    def outcome(self, request: int) -> Answer | Refuse | None:
        outcomes = [e for e in self.log if isinstance(e, Answer | Refuse) and e.request == request]
        assert len(outcomes) < 2, "a request was answered twice"
        return outcomes[0] if outcomes else None

    def answered(self, request: int) -> Answer:
        outcome = self.outcome(request)
        assert isinstance(outcome, Answer), outcome
        return outcome

    def refused(self, request: int) -> Refuse:
        outcome = self.outcome(request)
        assert isinstance(outcome, Refuse), outcome
        return outcome

    def merged(self, values: tuple[int, ...], students: Iterable[int]) -> NDArray[np.float32]:
        """The offline merge."""
        images = make_images(*values)
        return self.model.merger.merge({student: compute(images, student) for student in students})

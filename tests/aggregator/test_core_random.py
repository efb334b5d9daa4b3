"""Whatever happens, in whatever order, the core keeps its promises: hypothesis drives it on virtual time."""

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from aggregator import events
from aggregator.policy import Policy
from tests.aggregator.checked_core import CLASSES, MAX_BATCH, CheckedCore, Scripted, model, partial

SECONDS = st.floats(0.0, 3.0)
NAMES = ["a", "b", "c", "d", "e", "f"]
GARBAGE = (
    None,
    np.zeros((1, CLASSES + 1), np.float32),
    np.zeros((99, CLASSES), np.float32),
    np.full((1, CLASSES), np.nan, np.float32),
    np.full((1, CLASSES), 3e38, np.float32),
)


class CoreMachine(CheckedCore):
    @initialize(
        parts=st.sampled_from([[0], [0, 1], [0, 0], [0, 1, 0, 1], [0, 1, 2, 0, 1]]),
        heal=st.booleans(),
        devices=st.integers(0, len(NAMES)),
    )
    def start(self, parts: list[int], heal: bool, devices: int) -> None:
        """Most of what matters happens in a cluster that serves, so begin with one."""
        self.begin(parts, 2.0 if heal else None)
        for name in NAMES[:devices]:
            self.join(name, memory=0, speed=0.0)
        self.now = self.settings.settle
        self.do(events.Tick())
        for link in sorted(self.devices):
            self.load_all(link)

    # ---- what may happen

    @rule(
        name=st.sampled_from(NAMES), memory=st.sampled_from([0, 1, 2]), speed=st.sampled_from([0.0, 1.0, 4.0])
    )
    def join(self, name: str, memory: int, speed: float) -> None:
        link = self.next_number()
        self.devices[link] = Scripted()
        self.names[link] = name
        self.do(events.Joined(link, events.DeviceFacts(name, name, memory_bytes=memory, speed=speed)))
        assert [n for n, device in self.names.items() if n in self.devices and device == name] == [link]

    @precondition(lambda self: self.devices)
    @rule(data=st.data(), passed=st.booleans() | st.just(True))
    def load(self, data: st.DataObject, passed: bool) -> None:
        link = self.pick(data)
        device = self.devices[link]
        bundle = data.draw(st.sampled_from(sorted(self.models)))
        student = data.draw(st.integers(0, 5))
        if passed and (bundle, student) in device.hosted:
            device.loaded.add((bundle, student))
        elif not passed:
            device.loaded.discard((bundle, student))
            for work, _, owed in device.works.values():
                if work.bundle_id == bundle:
                    owed.discard(student)
        self.do(events.Ready(link, bundle, student, passed, "" if passed else "self-test"))

    @precondition(lambda self: self.devices)
    @rule(data=st.data())
    def load_one_device(self, data: st.DataObject) -> None:
        self.load_all(self.pick(data))

    def load_all(self, link: int) -> None:
        for bundle, student in sorted(self.devices[link].hosted):
            if (bundle, student) in self.devices[link].hosted:
                self.devices[link].loaded.add((bundle, student))
            self.do(events.Ready(link, bundle, student, True))

    @precondition(lambda self: not self.reloading)
    @rule(
        parts=st.sampled_from([[0], [0, 1], [0, 1, 0, 1]]), name=st.sampled_from(["bundle", "other", "third"])
    )
    def reload(self, parts: list[int], name: str) -> None:
        """Whether there is a bundle to come back to is up to the core."""
        self.models.setdefault(name, model(parts, name))
        self.reloading = name
        served = self.core.model.bundle_id
        self.do(events.Reload(self.models[name]))
        assert name != served or not self.reloading

    @precondition(lambda self: self.reloading)
    @rule()
    def all_load_the_new_bundle(self) -> None:
        for link in sorted(self.devices):
            self.load_all(link)

    @rule(
        counts=st.lists(st.integers(1, MAX_BATCH), min_size=1, max_size=6),
        within=st.none() | SECONDS,
        strict=st.booleans(),
        policy=st.sampled_from([None, "covered", "quorum=1", "quorum=3"]),
    )
    def predict(self, counts: list[int], within: float | None, strict: bool, policy: str | None) -> None:
        for count in counts:
            self.predict_one(count, within, strict, policy and Policy.parse(policy))

    def predict_one(self, count: int, within: float | None, strict: bool, policy: Policy | None) -> None:
        """Every image is told apart from those of all other open requests."""
        images = (np.arange(self.images, self.images + count) % 256).astype(np.uint8).reshape(count, 1, 1, 1)
        self.images += count
        deadline = None if within is None else self.now + within
        request = events.Predict(self.next_number(), images, deadline, strict, policy=policy)
        longest = self.now + self.settings.default_deadline
        self.open[request.request] = (request, longest if deadline is None else deadline)
        self.do(request)
        assert not (self.draining and request.request in self.open)

    @rule(count=st.sampled_from([0, MAX_BATCH + 1]), bundle=st.sampled_from(["", "absent"]))
    def predict_nonsense(self, count: int, bundle: str) -> None:
        request = events.Predict(
            self.next_number(), np.zeros((count, 1, 1, 1), np.uint8), None, False, bundle
        )
        self.open[request.request] = (request, self.now + 1)
        self.do(request)
        assert request.request not in self.open

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        request = data.draw(st.sampled_from(sorted(self.open)))
        del self.open[request]
        self.do(events.Cancelled(request))

    @precondition(lambda self: any(device.works for device in self.devices.values()))
    @rule(data=st.data(), share=st.sampled_from(["all", "all", "one", "again"]))
    def answer(self, data: st.DataObject, share: str) -> None:
        choices = [(link, work) for link, device in self.devices.items() for work in device.works]
        link, number = data.draw(st.sampled_from(choices))
        work, _, owed = self.devices[link].works[number]
        students = sorted(owed) if share != "again" else range(5)
        for student in students if share != "one" else students[:1]:
            if student in owed:
                owed.discard(student)
                self.delivered[work.work].add(student)
            self.do(events.Partial(link, work.bundle_id, work.work, student, partial(work.images, student)))

    @precondition(lambda self: any(device.works for device in self.devices.values()))
    @rule(data=st.data())
    def everyone_answers(self, data: st.DataObject) -> None:
        """In whatever order, all that is owed for the oldest work, or all but one device's share."""
        oldest = min(work for device in self.devices.values() for work in device.works)
        links = [link for link, device in self.devices.items() if oldest in device.works]
        for link in data.draw(st.permutations(links))[data.draw(st.integers(0, 1)) :]:
            work, _, owed = self.devices[link].works.pop(oldest)
            for student in sorted(owed):
                self.delivered[oldest].add(student)
                self.do(events.Partial(link, work.bundle_id, oldest, student, partial(work.images, student)))

    @precondition(lambda self: any(device.works for device in self.devices.values()))
    @rule(data=st.data(), logits=st.sampled_from(GARBAGE), bundle=st.sampled_from(["bundle", "absent"]))
    def answer_nonsense(self, data: st.DataObject, logits: np.ndarray | None, bundle: str) -> None:
        choices = [(link, work) for link, device in self.devices.items() for work in device.works]
        link, number = data.draw(st.sampled_from(choices))
        work, _, owed = self.devices[link].works[number]
        student = data.draw(st.sampled_from([*sorted(owed), 2**32 - 1]))
        owed.discard(student)
        self.devices[link].faults[work.bundle_id, student] += 1
        self.do(events.Partial(link, bundle, work.work, student, logits))

    @precondition(lambda self: self.devices)
    @rule(data=st.data(), whole=st.booleans())
    def refuse(self, data: st.DataObject, whole: bool) -> None:
        link = self.pick(data)
        device = self.devices[link]
        work = data.draw(st.sampled_from([0, *device.works]))
        student = None if whole else data.draw(st.integers(0, 5))
        if work in device.works:
            message, _, owed = device.works[work]
            refused = set(owed) if student is None else {student}
            device.faults.update((message.bundle_id, one) for one in refused)
            owed -= refused
        self.do(events.Refusal(link, work, student, "OVERLOADED: ?"))

    @precondition(lambda self: self.devices)
    @rule(data=st.data(), kind=st.sampled_from(["pong", "malformed", "leaving", "gone"]))
    def speak(self, data: st.DataObject, kind: str) -> None:
        link = self.pick(data)
        if kind == "gone":
            del self.devices[link]
            self.do(events.Gone(link, "crashed"))
        elif kind == "leaving":
            self.do(events.Leaving(link, "stopped"))
        else:
            self.do(events.Pong(link) if kind == "pong" else events.Malformed(link, "what?"))

    @rule(seconds=SECONDS, data=st.data())
    def wait(self, seconds: float, data: st.DataObject) -> None:
        """Time passes; the core is woken whenever it asks. Some devices answer pings, others are silent."""
        alive = data.draw(st.sets(st.sampled_from(sorted(self.devices)))) if self.devices else set()
        until = self.now + seconds
        while (due := self.core.next_wakeup()) is not None and due <= until:
            assert due >= self.now, "woken in the past"
            self.now = due
            self.do(events.Tick())
            for link in alive & set(self.devices):
                self.do(events.Pong(link))
        self.now = until

    @rule(seconds=SECONDS, link=st.integers(0, 50))
    def stray(self, seconds: float, link: int) -> None:
        if link not in self.devices:
            self.do(events.Pong(link))
            self.do(events.Partial(link, "bundle", 1, 0, None))
            self.do(events.Cancelled(10_000 + link))
        elif seconds < 1:
            self.do(events.Partial(link, "bundle", 2**64 - 1, 0, None))
            self.do(events.Joined(link, events.DeviceFacts("z", "z")))

    @precondition(lambda self: self.number > 20)
    @rule()
    def drain(self) -> None:
        self.draining = True
        self.do(events.Drain())

    # ---- what must always hold

    @invariant()
    def nothing_is_forgotten(self) -> None:
        if not hasattr(self, "core"):
            return
        assert all(self.now <= deadline for _, deadline in self.open.values())
        assert self.core.idle == (not self.open)
        if self.open:
            assert self.core.next_wakeup() is not None

    @invariant()
    def status_is_the_truth(self) -> None:
        if not hasattr(self, "core"):
            return
        status = self.core.status(self.now)
        assert {device.facts.device_id for device in status.devices} == {self.names[n] for n in self.devices}
        for device, link in zip(status.devices, self.devices, strict=True):
            bundle = self.core.model.bundle_id
            assert {(bundle, student) for student in device.assigned} <= self.devices[link].hosted
            assert {(bundle, student) for student in device.serving} <= self.devices[link].loaded

    def teardown(self) -> None:
        """Left alone, every request ends by its deadline."""
        if not hasattr(self, "core"):
            return
        while self.open or self.reloading:
            due = self.core.next_wakeup()
            assert due is not None
            self.now = due
            self.do(events.Tick())
        assert self.core.idle


# Shrinking and explaining a failure take many minutes here; what was found is found again without.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]

TestCore = CoreMachine.TestCase
TestCore.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.slow
@pytest.mark.heavy
class TestCoreLonger(CoreMachine.TestCase):
    settings = settings(
        max_examples=200,
        stateful_step_count=60,
        deadline=None,
        phases=PHASES,
        suppress_health_check=list(HealthCheck),
    )

"""How a simulated device does its works: one after another, student by student; as device_node does with
`--parallel 1`.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aggregator import events
from aggregator.effects import SendWork
from bundle.footprint import LARGEST_RUN
from fault_lab.invariants import Broken, Invariant
from fault_lab.simulation.lies import answers
from fault_lab.simulation.toy import compute

if TYPE_CHECKING:
    from fault_lab.simulation.connection import Connection
    from fault_lab.simulation.device import Device

# Seconds that one student may take at the most, however slow its device: what is slower is stuck.
LONGEST = 15.0


@dataclass(slots=True, eq=False)
class Job:
    """deadline: on the device's clock. due: the same on the true one, from when the work was sent.

    counted: the aggregator must still count it as in flight, as long as it waits. students: yet to do.
    """

    work: SendWork
    deadline: float
    due: float
    counted: bool
    students: list[int] = field(default_factory=list)


class Worker:
    """Bound to one connection: what waits is dropped with it."""

    def __init__(self, device: "Device", connection: "Connection | None", window: int) -> None:
        self.window = window
        self.accepting = True
        self._device = device
        self._connection = connection
        self._waiting: deque[Job] = deque()
        self._current: Job | None = None
        self._computing = False
        self._seen: set[int] = set()

    @property
    def idle(self) -> bool:
        return self._current is None and not self._waiting

    def offer(self, work: SendWork, received: float, sent: float) -> None:
        """Take the work, or say at once that it will not be done. sent: when, on the true clock."""
        device = self._device
        self._check_window(work)
        counted = work.work not in self._seen
        self._seen.add(work.work)
        if not counted:  # it came twice: what becomes of one counts for both
            self.discount(work.work)
        if not self.accepting or device.busy:
            self._refuse(work, None, "OVERLOADED: this device is leaving", fault=False)
        elif len(self._waiting) >= self.window:
            self._refuse(work, None, f"OVERLOADED: {self.window} works are waiting already", fault=False)
        else:
            self._waiting.append(Job(work, received + work.budget, sent + work.budget, counted))
            self.go_on()

    def discount(self, work: int | None = None) -> None:
        """The work, or all that waits, may not count any longer."""
        for job in self._waiting:
            if work in (None, job.work.work):
                job.counted = False

    def go_on(self) -> None:
        """Do what there is to do, unless the device is stuck."""
        while not (self._computing or self._device.stuck):
            if self._current is None:
                if not self._waiting:
                    self._device.worker_idle()
                    return
                self._begin(self._waiting.popleft())
            else:
                self._begin_share(self._current)

    def _begin(self, job: Job) -> None:
        work = job.work
        serving = self._device.store.serving
        job.students = sorted(student for bundle, student in serving if bundle == work.bundle_id)
        if job.students:
            self._current = job
        else:
            self._refuse(work, None, "BUNDLE_MISMATCH: that bundle is not loaded here")

    def _begin_share(self, job: Job) -> None:
        if not job.students:
            self._current = None
            return
        device = self._device
        student = job.students.pop(0)
        if device.process.now >= job.deadline:
            self._refuse(job.work, student, "BUDGET_PASSED: its time was over before its turn", fault=False)
        elif device.refusing and device.random.random() < device.refusing:
            self._refuse(job.work, student, "FAILED: it cannot")
        else:
            self._computing = True
            runs = -(-len(job.work.images) // LARGEST_RUN)
            seconds = self._seconds(job.work, student) / runs
            # Between runs the device looks whether anybody still waits.
            useful = 1 + int((job.deadline - device.process.now) / seconds)
            device.process.spend(seconds * min(runs, useful), self._computed, job, student, useful >= runs)

    def _seconds(self, work: SendWork, student: int) -> float:
        device, spec = self._device, self._device.spec
        cost = device.student((work.bundle_id, student)).cost
        seconds = len(work.images) * cost / (spec.speed * 1e9) * device.slowness
        seconds *= 0.9 + 0.2 * device.random.random()
        straggling = spec.straggling if device.random.random() < spec.straggles else 1.0
        return min(seconds * straggling, LONGEST)

    def _computed(self, job: Job, student: int, done: bool) -> None:
        device, connection = self._device, self._connection
        if device.stuck:
            device.when_unstuck(self._computed, job, student, done)
            return
        self._computing = False
        if connection is None or device.worker is not self:
            return
        if not done:
            self._refuse(job.work, student, "BUDGET_PASSED: its time was over", fault=False)
            self.go_on()
            return
        logits = compute(job.work.bundle_id, student, job.work.images)
        partial = events.Partial(connection.link, job.work.bundle_id, job.work.work, student, logits)
        for message, late in answers(device.random, device.lying, device.lie, partial):
            if late:
                device.process.spend(late, connection.say, message)
            else:
                connection.say(message)
        self.go_on()

    def _refuse(self, work: SendWork, student: int | None, reason: str, *, fault: bool = True) -> None:
        if self._connection is not None:
            refusal = events.Refusal(self._connection.link, work.work, student, reason, fault)
            self._connection.say(refusal)

    def _check_window(self, work: SendWork) -> None:
        """By the device's own count: what waits, and is of use by now."""
        now = self._device.clock.now
        alive = [job for job in self._waiting if job.counted and now < job.due]
        if len(alive) >= self.window and work.work not in self._seen and self._connection is not None:
            problem = f"link {self._connection.link} has {len(alive)} works waiting and gets work {work.work}"
            raise Broken(Invariant.WINDOW, problem, link=self._connection.link)

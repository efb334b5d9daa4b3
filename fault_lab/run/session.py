"""One scenario on one real ground, from the first request until the cluster is whole again."""

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final

from fault_lab.grounds.ground import Ground
from fault_lab.record import Ending, Outcome, Problem, Sample
from fault_lab.report.picture import Phase, Picture
from fault_lab.run import picture
from fault_lab.run.asking import Callers, probe
from fault_lab.run.events import Event, Events, timeline
from fault_lab.run.history import history
from fault_lab.run.judge import Judge, check_accuracy
from fault_lab.run.liars import Liars
from fault_lab.run.observer import LOOK, Observer
from fault_lab.run.truth import Truth
from fault_lab.scenario import AGGREGATOR, Injection, Scenario, make_plan

START_SECONDS: Final = 60.0
HISTORIES: Final = 20  # problems that are told with their history
NODES_LOOK: Final = 1.0  # seconds between two looks at the processes themselves
IN_A_ROW: Final = 2  # requests that everyone has to answer before the cluster counts as whole


class Session:
    """Use once. `watch` is called about ten times a second with this."""

    def __init__(
        self,
        scenario: Scenario,
        ground: Ground,
        truth: Truth,
        seed: int,
        *,
        watch: Callable[["Session"], None] = lambda session: None,
        record: Callable[[Outcome], None] = lambda outcome: None,
    ) -> None:
        self.scenario = scenario
        self.ground = ground
        self.truth = truth
        self.seed = seed
        self.phase: Phase = "starting"
        self.outcomes: list[Outcome] = []
        self.endings = Counter[Ending]()
        self.degraded = 0
        self.right = self.labelled = 0  # images
        self.problems: list[Problem] = []
        self.samples: list[Sample] = []
        self.events = Events(scenario.recovery)
        self.observer = Observer(ground.address, scenario.cluster.devices, self._looked)
        self.judge = Judge(truth, strict=scenario.load.strict, deadline=scenario.load.deadline)
        self._liars = Liars(scenario.load.deadline)
        self._watch = watch
        self._record = record
        self._began = 0.0
        self._aggregator_down = False
        self._aggregator_back = 0.0  # when it answered again, after the load has begun
        self._whole_before = False  # whether everyone answered before the first fault

    @property
    def now(self) -> float:
        """Seconds after the load has begun; 0 before."""
        return time.monotonic() - self._began if self._began else 0.0

    async def run(self) -> None:
        """Raises ScenarioError when the plan cannot be carried out on the cluster that there is, ProcessEnded
        when something of the laboratory itself ends, and what the ground raises.
        """
        with ThreadPoolExecutor(1, "faults") as thread:
            try:
                async with _background(self.observer.run()):
                    if not await self.observer.wait(self.observer.whole, START_SECONDS):
                        raise TimeoutError(f"after {START_SECONDS:g} s {self.observer.lacking()}")
                    plan = make_plan(self.scenario, self.seed, self.observer.hosts())
                    async with _background(self._watch_nodes(thread)):
                        await self._trouble(plan, thread)
                        await self._recover()
            except BaseExceptionGroup as group:
                raise _first(group) from group
            finally:
                self.phase = "ending"
                self._watch(self)
        validation = self.truth.bundle.manifest.validation_images
        if problem := check_accuracy(self.outcomes, validation, len(self.truth.images)):
            self.problems.append(dataclasses.replace(problem, at=self.now))

    async def _trouble(self, plan: tuple[Injection, ...], thread: ThreadPoolExecutor) -> None:
        load = self.scenario.load
        callers = Callers(
            self.ground.address,
            self.truth,
            load,
            self.seed,
            self.judge,
            self._ended,
            self._excused,
            self._liars.of,
        )
        self.phase = "running"
        self._began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(callers.run(self._began, self.scenario.seconds))
            group.create_task(self._carry_out(plan, thread))

    async def _carry_out(self, plan: tuple[Injection, ...], thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        lasting: dict[int, Event] = {}
        for at, ends, injection in timeline(plan):
            await asyncio.sleep(max(0.0, self._began + at - time.monotonic()))
            if ends:
                await loop.run_in_executor(thread, self.ground.end, injection)
                lasting.pop(injection.number).end = self.now
            else:
                event = self._begin(injection)
                await loop.run_in_executor(thread, self.ground.begin, injection)
                if injection.fault.instant:
                    event.end = self.now
                else:
                    lasting[injection.number] = event

    def _begin(self, injection: Injection) -> Event:
        if not self.events.all:
            lately = self.outcomes[-20:]
            self._whole_before = sum(not o.missing for o in lately) > len(lately) / 2
        if injection.device == AGGREGATOR:
            self._aggregator_down = True
        event = self.events.begin(injection, self.now)
        self._liars.look(self.now, self.events.all, self.observer.students())  # before the first lie
        return event

    async def _watch_nodes(self, thread: ThreadPoolExecutor) -> None:
        """Until cancelled: a node that ends by itself breaks a promise, whoever starts it again."""
        loop = asyncio.get_running_loop()
        while True:
            for line in await loop.run_in_executor(thread, self.ground.deaths):
                self.problems.append(Problem("ALIVE", line, self.now))
            await asyncio.sleep(NODES_LOOK)

    async def _recover(self) -> None:
        """Whole is a cluster that says so, and whose answers are by all students."""
        self.phase = "recovering"
        end = time.monotonic() + self.scenario.recovery
        whole, lacking = 0, "was not looked at"
        while whole < IN_A_ROW and time.monotonic() < end:
            await asyncio.sleep(LOOK)
            lacking = self.observer.lacking()
            if not lacking:
                missing = await probe(self.ground.address, self.truth, max(2.0, self.scenario.load.deadline))
                lacking = "" if missing == () else f"requests are answered without {missing}"
                whole = 0 if lacking else whole + 1
        if whole < IN_A_ROW:
            told = [f"{name} is {state}" for name, state in self.observer.states()]
            devices = range(self.scenario.cluster.devices)
            told += [f"device-{device} said last: {self.ground.last_words(device)}" for device in devices]
            what = f"{self.scenario.recovery:g} s after the load has ended {lacking}"
            self.problems.append(Problem("WHOLE_AGAIN", what, self.now, tuple(told)))

    # ---- told from the tasks

    def _looked(self, observer: Observer) -> None:
        if self._began:
            self.samples.append(observer.sample(self.now))
            lasting = [event.injection for event in self.events.lasting]
            if observer.latest is not None and not any(i.device == AGGREGATOR for i in lasting):
                if self._aggregator_down:
                    self._aggregator_back = self.now
                self._aggregator_down = False
            self._liars.look(self.now, self.events.all, observer.students())
            self.problems += self.events.look(self.now, observer.lacking() or self._unanswered())
        self._watch(self)

    def _unanswered(self) -> str:
        """What the latest answers since the last fault lack, if answers are to be whole at all."""
        if not self._whole_before or self.scenario.load.policy != "all" or self.events.lasting:
            return ""
        latest = [o for o in self.outcomes[-IN_A_ROW:] if o.sent > self.events.latest_end]
        if len(latest) < IN_A_ROW or not all(outcome.missing for outcome in latest):
            return ""
        return f"requests are answered without {latest[-1].missing}"

    def _excused(self, sent: float) -> bool:
        return self._aggregator_down or sent < self._aggregator_back

    def _ended(self, outcome: Outcome, wrong: list[str]) -> None:
        self.outcomes.append(outcome)
        self.endings[outcome.ending] += 1
        self.degraded += bool(outcome.missing)
        if outcome.right is not None:
            self.right += outcome.right
            self.labelled += outcome.images
        self._record(outcome)
        for line in wrong:
            invariant, _, what = line.partition(": ")
            told = tuple(history(self, outcome)) if len(self.problems) < HISTORIES else ()
            self.problems.append(Problem(invariant, f"request {outcome.number}: {what}", self.now, told))

    def picture(self) -> Picture:
        """At this moment."""
        return picture.take(self)


@asynccontextmanager
async def _background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """While the block runs, so does this; if it fails, so does the block."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work)
        yield
        task.cancel()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The exception that made the others be cancelled."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error

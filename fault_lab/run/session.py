"""One scenario on one real ground, from the first request until the cluster is whole again."""

import asyncio
import dataclasses
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from fault_lab.grounds.ground import Ground
from fault_lab.record import Ending, Fall, Outcome, Problem, Run, Sample
from fault_lab.report.picture import Phase, Picture
from fault_lab.run import picture
from fault_lab.run.asking import HELD_UP, Callers
from fault_lab.run.events import Event, timeline
from fault_lab.run.judge import Judge, check_accuracy
from fault_lab.run.observer import Observer
from fault_lab.run.truth import Truth
from fault_lab.scenario import AGGREGATOR, Injection, Scenario, make_plan

START_SECONDS: Final = 60.0
HISTORIES: Final = 20  # problems that are told with their history


class Session:
    """Use once. `watch` is called about ten times a second, and at each outcome's problem, with this."""

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
        self.events: list[Event] = []
        self.observer = Observer(ground.address, scenario.cluster.devices, self._looked)
        self._judge = Judge(truth, strict=scenario.load.strict, deadline=scenario.load.deadline)
        self._watch = watch
        self._record = record
        self._began = 0.0
        self._aggregator_down = False
        self._aggregator_back = 0.0  # when it answered again, after the load has begun

    @property
    def now(self) -> float:
        """Seconds after the load has begun; 0 before."""
        return time.monotonic() - self._began if self._began else 0.0

    async def run(self) -> None:
        """Raises ScenarioError when the plan cannot be carried out on the cluster that there is."""
        looking = asyncio.create_task(self.observer.run())
        try:
            if not await self.observer.wait(self.observer.whole, START_SECONDS):
                raise TimeoutError(f"after {START_SECONDS:g} s {self.observer.lacking()}")
            plan = make_plan(self.scenario, self.seed, self.observer.hosts())
            await self._trouble(plan)
            await self._recover()
        finally:
            looking.cancel()
            self.phase = "ending"
            self._watch(self)
        validation = self.truth.bundle.manifest.validation_images
        if problem := check_accuracy(self.outcomes, validation):
            self.problems.append(dataclasses.replace(problem, at=self.now))

    async def _trouble(self, plan: tuple[Injection, ...]) -> None:
        scenario, ground = self.scenario, self.ground
        callers = Callers(
            ground.address,
            self.truth,
            scenario.load,
            self.seed,
            self._judge,
            self._ended,
            self._excused,
        )
        self.phase = "running"
        self._began = time.monotonic()
        with ThreadPoolExecutor(1, "faults") as thread:
            async with asyncio.TaskGroup() as group:
                group.create_task(callers.run(self._began, scenario.seconds))
                group.create_task(self._carry_out(plan, thread))

    async def _carry_out(self, plan: tuple[Injection, ...], thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        open_events: dict[int, Event] = {}
        for at, ends, injection in timeline(plan):
            await asyncio.sleep(max(0.0, self._began + at - time.monotonic()))
            if ends:
                await loop.run_in_executor(thread, self.ground.end, injection)
                self._end(open_events.pop(injection.number))
            else:
                self._begin(event := Event(injection, self.now))
                await loop.run_in_executor(thread, self.ground.begin, injection)
                if injection.fault.instant:
                    self._end(event)
                else:
                    open_events[injection.number] = event

    def _begin(self, event: Event) -> None:
        for earlier in self.events:
            earlier.settled = earlier.settled or earlier.end is not None
        self.events.append(event)
        self._aggregator_down = self._aggregator_down or event.injection.device == AGGREGATOR
        self._judge.lying = self._judge.lying or event.injection.fault.type == "corrupt"

    def _end(self, event: Event) -> None:
        event.end = self.now

    async def _recover(self) -> None:
        self.phase = "recovering"
        if await self.observer.wait(self.observer.whole, self.scenario.recovery):
            self._settle()
            return
        lacking = self.observer.lacking()
        history = [f"{name} is {state}" for name, state in self.observer.states()]
        devices = range(self.scenario.cluster.devices)
        history += [f"device-{device} said last: {self.ground.last_words(device)}" for device in devices]
        self.problems.append(
            Problem(
                "WHOLE_AGAIN",
                f"{self.scenario.recovery:g} s after the last fault {lacking}",
                self.now,
                tuple(history),
            )
        )

    # ---- told from the tasks

    def _looked(self, observer: Observer) -> None:
        if self._began:
            self.samples.append(observer.sample(self.now))
            lasting = [event for event in self.events if event.end is None]
            if observer.latest is not None and not any(e.injection.device == AGGREGATOR for e in lasting):
                if self._aggregator_down:
                    self._aggregator_back = self.now
                self._aggregator_down = False
            if not lasting and observer.whole():
                self._settle()
        self._watch(self)

    def _settle(self) -> None:
        """The cluster is whole: so long have the faults that are over taken to heal."""
        self._judge.lying = False
        most = self.scenario.recovery
        for event in self.events:
            if event.end is None or event.settled:
                continue
            event.recovered, event.settled = max(0.0, self.now - event.end), True
            if event.recovered > most and self.phase == "running":
                what = f"{event.injection.fault.type} of {event.injection.target}"
                seconds = f"{event.recovered:.1f} s after it was over, {most:g} s at the most"
                self.problems.append(Problem("WHOLE_AGAIN", f"{what}: whole {seconds}", self.now))

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
            history = tuple(self._history(outcome)) if len(self.problems) < HISTORIES else ()
            self.problems.append(Problem(invariant, f"request {outcome.number}: {what}", self.now, history))

    def _history(self, outcome: Outcome) -> Iterator[str]:
        yield f"{outcome.sent:9.3f} s request {outcome.number} is sent"
        for event in self.events:
            if event.begin <= self.now and (event.end is None or event.end >= outcome.sent - 1.0):
                until = "now" if event.end is None else f"{event.end:.3f} s"
                fault = event.injection
                yield f"{event.begin:9.3f} s {fault.fault.type} of {fault.target}, until {until}"
        for sample in self.samples[-20:]:
            if sample.at >= outcome.sent - 0.5:
                yield f"{sample.at:9.3f} s {sample.serving} devices serve {sample.students} students"
        if ill := [f"{name} {state}" for name, state in self.observer.states() if state != "serving"]:
            yield f"{self.now:9.3f} s {', '.join(ill)}"
        what = outcome.ending.value + (f" by {outcome.answered}" if outcome.answered else "")
        yield f"{outcome.sent + outcome.seconds:9.3f} s it is {what} {outcome.code}".rstrip()

    # ---- what came of it

    def picture(self) -> Picture:
        """At this moment."""
        return picture.take(self)

    def result(self, notes: tuple[str, ...], facts: dict[str, Any]) -> Run:
        scenario, manifest = self.scenario, self.truth.bundle.manifest
        return Run(
            scenario=scenario.name,
            summary=scenario.summary,
            ground=self.ground.name,
            seed=self.seed,
            devices=scenario.cluster.devices,
            students=len(manifest.students),
            parts=manifest.parts,
            seconds=scenario.seconds,
            outcomes=tuple(sorted(self.outcomes, key=lambda outcome: outcome.number)),
            falls=tuple(self._falls()),
            samples=tuple(self.samples),
            problems=tuple(self.problems),
            notes=(*notes, *self._notes()),
            facts=facts,
        )

    def _notes(self) -> Iterator[str]:
        if uncompared := self._judge.uncompared:
            yield (
                f"{uncompared} answers were not compared with the offline merge: a device made up partial "
                "logits of a sound shape, which nobody can tell from true ones"
            )
        if held_up := sum(outcome.code == HELD_UP for outcome in self.outcomes):
            yield (
                f"{held_up} callers were held up themselves when their time was over, on a machine that was "
                "busy otherwise: they count as unreachable"
            )

    def _falls(self) -> Iterator[Fall]:
        for event in self.events:
            end = self.now if event.end is None else event.end
            yield Fall(event.injection.fault.type, event.injection.target, event.begin, end, event.recovered)

"""A scenario file on virtual time: the real core, simulated devices, every invariant after every step.

>>> from bundle import Bundle
>>> from fault_lab.scenario import library
>>> run = simulate(library()["half_lost"], seed=1, bundle=Bundle.load("samples/digits"))
>>> run.problems
()
"""

from collections.abc import Sequence
from typing import Final

from aggregator import Core
from aggregator.status import ClusterStatus
from bundle import Bundle
from fault_lab.grounds.simulated_cluster import STARTING, make_cluster
from fault_lab.grounds.simulated_faults import IMPOSSIBLE, Action, begin_and_end
from fault_lab.grounds.simulated_load import ROUND_TRIP, Callers
from fault_lab.grounds.simulated_view import View
from fault_lab.invariants import Broken, Invariant, Violation
from fault_lab.record import Ending, Problem, Run
from fault_lab.scenario import AGGREGATOR, Injection, Scenario, make_plan
from fault_lab.simulation.cluster import MakeCore

START_SECONDS: Final = 60.0  # virtual ones, until the cluster must be whole before the load begins
NO_LABELS: Final = (
    "observed accuracy: simulated students answer with sums that fit no label; that the expected accuracy is "
    "the one of the students that answered is checked"
)


def shortcomings(scenario: Scenario) -> list[str]:
    """A line for each thing in the scenario that is left out on virtual time, with the reason."""
    reasons = {fault.type: IMPOSSIBLE[type(fault)] for fault in scenario.fault if type(fault) in IMPOSSIBLE}
    return [*(f"{name}: {reason}" for name, reason in reasons.items()), NO_LABELS]


def simulate(scenario: Scenario, seed: int, bundle: Bundle, core: MakeCore = Core) -> Run:
    """The same for the same seed, byte for byte. The first violation ends the run, and is in its `problems`.

    Raises ScenarioError, as `make_plan` does, for what only shows once devices have their students.
    """
    return _Play(scenario, seed, bundle, core).run()


class _Play:
    def __init__(self, scenario: Scenario, seed: int, bundle: Bundle, core: MakeCore) -> None:
        self.scenario = scenario
        self.seed = seed
        self.cluster = make_cluster(scenario, seed, bundle, core)
        self.callers: Callers | None = None
        self.view: View | None = None
        self.begin = 0.0  # of the load

    def run(self) -> Run:
        try:
            self._play()
        except Broken as broken:
            return self._record(self.cluster.violation(broken))
        except Violation as violation:
            return self._record(violation)
        return self._record(None)

    # ---- the phases

    def _play(self) -> None:
        scenario, cluster = self.scenario, self.cluster
        cluster.clock.run_until(STARTING)
        cluster.become_whole(START_SECONDS, "the start")
        self.begin = cluster.clock.now
        cluster.remark("the load begins")
        self._plan()
        self.callers = Callers(scenario, self.seed, cluster)
        cluster.clock.run_until(self.begin + scenario.seconds)
        self.callers.stop()
        cluster.remark("the load has ended, and faults are over")
        cluster.become_whole(scenario.recovery, "the load's end")
        cluster.clock.run_until(self.begin + scenario.seconds + scenario.load.deadline + 2 * ROUND_TRIP)
        if self.view is not None:
            self.view.stop()
        self._check_nothing_lost()
        cluster.drain()

    def _plan(self) -> None:
        status = self.cluster.watch.status(self.cluster.clock.now)
        plan = make_plan(self.scenario, self.seed, hosts_of(status))
        injections = [injection for injection in plan if type(injection.fault) not in IMPOSSIBLE]
        self.view = View(self.cluster, injections)
        clock = self.cluster.clock
        for injection in injections:
            begin, end = begin_and_end(injection, self.cluster)
            clock.at(self.begin + injection.begin, self._befall, injection, begin, "begins")
            if not injection.fault.instant:
                clock.at(self.begin + injection.end, self._befall, injection, end, "is over")

    def _befall(self, injection: Injection, action: Action, what: str) -> None:
        device = None if injection.device == AGGREGATOR else self.cluster.devices[injection.device]
        self.cluster.remark(f"{injection.fault.type} of {injection.target} {what}", device)
        action()

    def _check_nothing_lost(self) -> None:
        outcomes = [] if self.callers is None else self.callers.outcomes(self.cluster.clock.now)
        lost = [outcome for outcome in outcomes if outcome.ending is Ending.LOST]
        if lost:
            problem = f"{len(lost)} requests have no outcome, the first of them sent at {lost[0].sent:.3f} s"
            raise Broken(Invariant.IN_TIME, problem)

    # ---- the record

    def _record(self, violation: Violation | None) -> Run:
        scenario, cluster, view = self.scenario, self.cluster, self.view
        now = cluster.clock.now
        model = cluster.watch.model
        return Run(
            scenario=scenario.name,
            summary=scenario.summary,
            ground="simulation",
            seed=self.seed,
            devices=scenario.cluster.devices,
            students=len(model.students),
            parts=model.merger.parts,
            seconds=self._load_seconds(now),
            outcomes=() if self.callers is None else self.callers.outcomes(now),
            falls=() if view is None else view.falls,
            samples=() if view is None else view.samples,
            problems=() if violation is None else (self._problem(violation),),
            notes=tuple(shortcomings(scenario)),
            facts={"virtual_seconds": now, "steps": cluster.history.steps},
        )

    def _load_seconds(self, now: float) -> float:
        return 0.0 if self.callers is None else min(self.scenario.seconds, now - self.begin)

    def _problem(self, violation: Violation) -> Problem:
        clock = f"(on this clock the load began at {self.begin:.6f} s)" if self.callers else ""
        history = (*((clock,) if clock else ()), *violation.history)
        what = f"{violation.problem} (promised: {violation.invariant.value})"
        return Problem(violation.invariant.name, what, violation.time - self.begin, history)


def hosts_of(status: ClusterStatus) -> dict[int, Sequence[int]]:
    """By part, the indices of the devices that serve it."""
    hosts: dict[int, set[int]] = {}
    for student in status.students:
        indices = {int(device.rpartition("-")[2]) for device in student.devices}
        hosts.setdefault(student.part, set()).update(indices)
    return {part: sorted(devices) for part, devices in hosts.items()}

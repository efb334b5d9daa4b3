"""One scenario from beginning to end: trouble, then calm, then the aggregator's own end."""

from collections import Counter
from dataclasses import dataclass

from aggregator import Core, events
from fault_lab.invariants import Broken
from fault_lab.simulation import faults
from fault_lab.simulation.cluster import Cluster, MakeCore
from fault_lab.simulation.network import GENTLE
from fault_lab.simulation.scenario import Fault, Pause, Scenario
from fault_lab.simulation.toy import make_model

# Seconds that the slowest way back may take: joining again, loading, being probed, and a student that
# could not be loaded being tried once more.
JOINING, SECOND_CHANCE = 25.0, 65.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """steps: of the core. seconds: of virtual time; calm: those until the cluster was whole again."""

    steps: int
    seconds: float
    calm: float
    count: Counter[str]


class Simulation:
    """Use once. `run` raises fault_lab.invariants.Violation; `history` tells what happened until then."""

    def __init__(self, scenario: Scenario, core: MakeCore = Core) -> None:
        self.scenario = scenario
        models = tuple(make_model(*bundle, scenario.fill) for bundle in enumerate(scenario.bundles))
        self.cluster = Cluster(models, scenario.settings, scenario.devices, scenario.seed, core=core)
        self.history = self.cluster.history
        self._plan()

    def run(self) -> Outcome:
        scenario, cluster, calm = self.scenario, self.cluster, 0.0
        try:
            cluster.clock.run_until(scenario.seconds if scenario.drain is None else scenario.drain)
            if scenario.drain is None:
                self._calm_down()
                calm = cluster.become_whole(self._patience(), "the last fault")
            cluster.drain()
        except Broken as broken:
            raise cluster.violation(broken) from broken
        return Outcome(len(self.history), cluster.clock.now, calm, cluster.front.count)

    # ---- trouble

    def _plan(self) -> None:
        clock, scenario = self.cluster.clock, self.scenario
        for device in self.cluster.devices:
            device.up.harshness = device.down.harshness = scenario.harshness
        for ask in scenario.asks:
            clock.at(ask.at + ask.delay, self.cluster.front.ask, ask)
        for order in scenario.orders:
            clock.at(order.at, self._order, order.number)
        if scenario.pause is not None:
            clock.at(scenario.pause.at, self._pause, scenario.pause)
        for fault in scenario.faults:
            begin, end = faults.begin_and_end(fault, self.cluster.devices[fault.device])
            clock.at(fault.at, self._befall, fault, begin, "begins")
            clock.at(fault.at + fault.seconds, self._befall, fault, end, "is over")

    def _befall(self, fault: Fault, action: faults.Action, what: str) -> None:
        device = self.cluster.devices[fault.device]
        self.cluster.front.count[fault.kind.name] += what == "begins"
        self.cluster.remark(f"{fault.kind.name} of {device.device_id} {what}", device)
        action()

    def _pause(self, pause: Pause) -> None:
        self.cluster.remark(f"the aggregator is held up for {pause.seconds:.3f} s")
        self.cluster.front.pause(pause.seconds)

    def _order(self, number: int) -> None:
        self.cluster.front.order(events.Reload(self.cluster.front.models[number]))

    # ---- calm

    def _calm_down(self) -> None:
        """Faults are over; a connection that has lost a message is closed, as TCP would have closed it."""
        self.cluster.remark("faults are over")
        for device in self.cluster.devices:
            harmed = device.up.harmed or device.down.harmed
            device.up.harshness = device.down.harshness = GENTLE
            if harmed:
                device.reset()

    def _patience(self) -> float:
        scenario, settings = self.scenario, self.scenario.settings
        students = max(shape.students for shape in scenario.bundles)
        loading = students * sum(spec.fetch + spec.load for spec in scenario.devices)
        patience = JOINING + loading + 10 * settings.settle + 2 * (settings.heal or 0.0) + settings.reload
        return patience + SECOND_CHANCE

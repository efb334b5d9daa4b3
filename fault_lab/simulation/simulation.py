"""One scenario from beginning to end: trouble, then calm, then the aggregator's own end."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from aggregator import Core, Model, Settings, effects, events
from aggregator.policy import ALL
from fault_lab.invariants import Broken, History, Invariant, Watch
from fault_lab.invariants.placing import Coverage
from fault_lab.invariants.watch import AnyCore
from fault_lab.simulation import faults
from fault_lab.simulation.clock import Clock
from fault_lab.simulation.device import Device
from fault_lab.simulation.front import Front
from fault_lab.simulation.network import GENTLE
from fault_lab.simulation.scenario import Ask, Fault, Pause, Scenario
from fault_lab.simulation.toy import make_model

# After the last fault: seconds between two looks, and how many requests in a row have to be answered by all.
LOOK, IN_A_ROW = 0.5, 2
PATIENT = 10.0  # seconds that a request may take then
# Seconds that the slowest way back may take: joining again, loading, being probed, and a student that
# could not be loaded being tried once more.
JOINING, SECOND_CHANCE = 25.0, 65.0
MakeCore = Callable[[Model, Settings], AnyCore]


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
        self.history = History()
        self.clock = Clock()
        models = tuple(make_model(*bundle, scenario.fill) for bundle in enumerate(scenario.bundles))
        self.watch = Watch(core(models[0], scenario.settings), self.history)
        self.front = Front(self.clock, self.watch, models, scenario.seed)
        self.devices = [
            Device(number, spec, self.clock, self.front, models, scenario.seed)
            for number, spec in enumerate(scenario.devices)
        ]
        self._plan()

    def run(self) -> Outcome:
        scenario, calm = self.scenario, 0.0
        try:
            self.clock.run_until(scenario.seconds if scenario.drain is None else scenario.drain)
            if scenario.drain is None:
                self._calm_down()
                calm = self._become_whole()
            self._drain()
        except Broken as broken:
            raise self.watch.violation(self.clock.now, broken) from broken
        return Outcome(len(self.history), self.clock.now, calm, self.front.count)

    # ---- trouble

    def _plan(self) -> None:
        clock, scenario = self.clock, self.scenario
        for device in self.devices:
            device.up.harshness = device.down.harshness = scenario.harshness
            clock.at(device.spec.start, device.start)
        for ask in scenario.asks:
            clock.at(ask.at + ask.delay, self.front.ask, ask)
        for order in scenario.orders:
            clock.at(order.at, self._order, order.number)
        if scenario.pause is not None:
            clock.at(scenario.pause.at, self._pause, scenario.pause)
        for fault in scenario.faults:
            begin, end = faults.begin_and_end(fault, self.devices[fault.device])
            clock.at(fault.at, self._befall, fault, begin, "begins")
            clock.at(fault.at + fault.seconds, self._befall, fault, end, "is over")

    def _befall(self, fault: Fault, action: faults.Action, what: str) -> None:
        device = self.devices[fault.device]
        self.front.count[fault.kind.name] += what == "begins"
        link = device.connection.link if device.connection else 0
        self.history.remark(self.clock.now, f"{fault.kind.name} of {device.device_id} (link {link}) {what}")
        action()

    def _pause(self, pause: Pause) -> None:
        self.history.remark(self.clock.now, f"the aggregator is held up for {pause.seconds:.3f} s")
        self.front.pause(pause.seconds)

    def _order(self, number: int) -> None:
        self.front.order(events.Reload(self.front.models[number]))

    # ---- calm

    def _calm_down(self) -> None:
        """Faults are over; a connection that has lost a message is closed, as TCP would have closed it."""
        self.history.remark(self.clock.now, "faults are over")
        for device in self.devices:
            harmed = device.up.harmed or device.down.harmed
            device.up.harshness = device.down.harshness = GENTLE
            if harmed:
                faults.reset(device)

    def _become_whole(self) -> float:
        """Returns the seconds that it took."""
        start = self.clock.now
        asked: list[int] = []
        while lacking := self._lacking([request for request in asked if request in self.front.outcomes]):
            seconds = self.clock.now - start
            if seconds > self._patience():
                raise Broken(Invariant.WHOLE_AGAIN, f"{seconds:.1f} s after the last fault {lacking}")
            if not asked or asked[-1] in self.front.outcomes:
                asked.append(self.front.ask(Ask(self.clock.now, 1, 0.0, PATIENT, policy=ALL)))
            self.clock.run_until(self.clock.now + LOOK)
        return self.clock.now - start

    def _patience(self) -> float:
        scenario, settings = self.scenario, self.scenario.settings
        students = max(shape.students for shape in scenario.bundles)
        loading = students * sum(spec.fetch + spec.load for spec in scenario.devices)
        patience = JOINING + loading + 10 * settings.settle + 2 * (settings.heal or 0.0) + settings.reload
        return patience + SECOND_CHANCE

    def _lacking(self, asked: list[int]) -> str:
        """What is not as before all trouble, or nothing. asked: requests since then, with an outcome."""
        ledger = self.watch.ledger
        living = [peer for peer in ledger.peers.values() if peer.healthy]
        running = sum(device.process.running for device in self.devices)
        served = {pair for peer in living for pair in peer.ready}
        if len(living) != running:
            return f"{len(living)} devices are healthy, and {running} run"
        if ledger.loading or any(bundle != ledger.served.bundle_id for bundle, _ in served):
            return "a bundle is loaded that is not served"
        for peer in living:
            if peer.ready != peer.assigned:
                return f"link {peer.link} does not serve all that it was assigned"
        if left_out := Coverage(ledger).left_out(self.clock.now):
            return f"student {left_out[0][0][1]} is hosted by nobody"
        everyone = tuple(sorted({student for _, student in served}))
        if not everyone:  # and nobody could load any
            return ""
        found = [self.front.outcomes[request] for request in asked[-IN_A_ROW:]]
        answers = [outcome for outcome in found if isinstance(outcome, effects.Answer)]
        if len(answers) < IN_A_ROW or any(answer.answered != everyone for answer in answers):
            return f"requests are not answered by all of {everyone}"
        return ""

    # ---- the end

    def _drain(self) -> None:
        settings = self.scenario.settings
        asked = [self.front.ask(Ask(self.clock.now, 1, 0.0, PATIENT)) for _ in range(2)]
        self.front.feed(events.Drain())
        asked.append(self.front.ask(Ask(self.clock.now, 1, 0.0, PATIENT)))
        refused = self.front.outcomes.get(asked[-1])
        if not isinstance(refused, effects.Refuse) or refused.code is not effects.Code.UNAVAILABLE:
            raise Broken(Invariant.IDLE, "a request was taken after the aggregator was told to stop")
        self.clock.run_until(self.clock.now + settings.drain + 0.1)
        if not self.watch.idle:
            raise Broken(Invariant.IDLE, "requests are open though the time to finish them is over")

"""A simulated cluster: the core under watch, its devices, the time in which they live."""

from collections.abc import Callable, Sequence

from aggregator import Core, Model, Settings, effects, events
from aggregator.policy import ALL
from fault_lab.invariants import Broken, History, Invariant, Violation, Watch
from fault_lab.invariants.placing import Coverage
from fault_lab.invariants.watch import AnyCore
from fault_lab.simulation.clock import Clock
from fault_lab.simulation.device import Device
from fault_lab.simulation.front import Front
from fault_lab.simulation.scenario import Ask, DeviceSpec
from fault_lab.simulation.sizes import TOY, Sizes

# While becoming whole: seconds between two looks, and how many requests in a row have to be answered by all.
LOOK, IN_A_ROW = 0.5, 2
PATIENT = 10.0  # seconds that a request may take then
MakeCore = Callable[[Model, Settings], AnyCore]


class Cluster:
    """It serves the first of the models. What breaks a promise raises Violation, or outside of the core's own
    steps Broken: `violation` makes the one of the other. history: what happened, and what was done.
    """

    def __init__(
        self,
        models: tuple[Model, ...],
        settings: Settings,
        specs: Sequence[DeviceSpec],
        seed: int,
        *,
        core: MakeCore = Core,
        sizes: Sizes = TOY,
        history: History | None = None,
    ) -> None:
        self.history = History() if history is None else history
        self.clock = Clock()
        self._core = core
        self._model, self._settings = models[0], settings
        self.front = Front(self.clock, self._new_watch(), models, seed)
        self.devices = [
            Device(number, spec, self.clock, self.front, models, seed, sizes)
            for number, spec in enumerate(specs)
        ]
        for device in self.devices:
            self.clock.at(device.spec.start, device.start)

    @property
    def watch(self) -> Watch:
        """Of the aggregator's present life, or its last."""
        return self.front.watch

    def start_aggregator(self) -> None:
        self.front.start(self._new_watch())

    def _new_watch(self) -> Watch:
        return Watch(self._core(self._model, self._settings), self.history)

    def violation(self, broken: Broken) -> Violation:
        return self.watch.violation(self.clock.now, broken)

    def remark(self, text: str, device: Device | None = None) -> None:
        link = "" if device is None else f" (link {device.connection.link if device.connection else 0})"
        self.history.remark(self.clock.now, text + link)

    # ---- whether all is well

    def become_whole(self, patience: float, since: str) -> float:
        """Wait until nothing is lacking; returns the seconds that it took.

        since: when there was trouble last. Raises Broken when it takes longer than `patience`.
        """
        start = self.clock.now
        asked: list[int] = []
        while lacking := self._lacking([request for request in asked if request in self.front.outcomes]):
            seconds = self.clock.now - start
            if seconds > patience:
                raise Broken(Invariant.WHOLE_AGAIN, f"{seconds:.1f} s after {since} {lacking}")
            if not asked or asked[-1] in self.front.outcomes:
                asked.append(self.front.ask(Ask(self.clock.now, 1, 0.0, PATIENT, policy=ALL)))
            self.clock.run_until(self.clock.now + LOOK)
        return self.clock.now - start

    def unsettled(self) -> str:
        """Which device does not do what it is to do, or nothing."""
        ledger = self.watch.ledger
        living = [peer for peer in ledger.peers.values() if peer.healthy]
        running = sum(device.process.running for device in self.devices)
        if len(living) != running:
            return f"{len(living)} devices are healthy, and {running} run"
        for peer in living:
            if peer.ready != peer.assigned:
                return f"link {peer.link} does not serve all that it was assigned"
        return ""

    def served(self) -> frozenset[int]:
        """Students of the served bundle that a healthy device serves."""
        ledger = self.watch.ledger
        return frozenset(
            student
            for peer in ledger.peers.values()
            if peer.healthy
            for bundle, student in peer.ready
            if bundle == ledger.served.bundle_id
        )

    def _lacking(self, asked: list[int]) -> str:
        """What is not as before all trouble, or nothing. asked: requests since then, with an outcome."""
        if unsettled := self.unsettled():
            return unsettled
        ledger = self.watch.ledger
        ready = {pair for peer in ledger.peers.values() if peer.healthy for pair in peer.ready}
        if ledger.loading or any(bundle != ledger.served.bundle_id for bundle, _ in ready):
            return "a bundle is loaded that is not served"
        if left_out := Coverage(ledger).left_out(self.clock.now):
            return f"student {left_out[0][0][1]} is hosted by nobody"
        everyone = tuple(sorted(self.served()))
        if not everyone:  # and nobody could load any
            return ""
        found = [self.front.outcomes[request] for request in asked[-IN_A_ROW:]]
        answers = [outcome for outcome in found if isinstance(outcome, effects.Answer)]
        if len(answers) < IN_A_ROW or any(answer.answered != everyone for answer in answers):
            return f"requests are not answered by all of {everyone}"
        return ""

    # ---- the end

    def drain(self) -> None:
        """The aggregator is told to stop, and does so in time. Raises Broken."""
        asked = [self.front.ask(Ask(self.clock.now, 1, 0.0, PATIENT)) for _ in range(2)]
        self.front.feed(events.Drain())
        asked.append(self.front.ask(Ask(self.clock.now, 1, 0.0, PATIENT)))
        refused = self.front.outcomes.get(asked[-1])
        if not isinstance(refused, effects.Refuse) or refused.code is not effects.Code.UNAVAILABLE:
            raise Broken(Invariant.IDLE, "a request was taken after the aggregator was told to stop")
        self.clock.run_until(self.clock.now + self._settings.drain + 0.1)
        if not self.watch.idle:
            raise Broken(Invariant.IDLE, "requests are open though the time to finish them is over")

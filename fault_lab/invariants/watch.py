"""Drives a core as anybody else would, and checks every promise after every step."""

import math
from typing import Protocol

from aggregator import Model, Settings, effects, events
from aggregator.effects import Effect
from aggregator.status import ClusterStatus
from fault_lab.invariants import answers
from fault_lab.invariants.catalogue import Broken, Invariant, Violation
from fault_lab.invariants.entries import LOST, Peer
from fault_lab.invariants.history import History
from fault_lab.invariants.ledger import Ledger
from fault_lab.invariants.placing import Coverage, check_assignment, check_orders, check_reloaded
from fault_lab.invariants.pulse import Pulse
from fault_lab.invariants.sending import check_queue, check_work


class AnyCore(Protocol):
    """`aggregator.Core`, or what stands for it."""

    settings: Settings

    @property
    def model(self) -> Model: ...
    @property
    def idle(self) -> bool: ...
    def next_wakeup(self) -> float | None: ...
    def status(self, now: float) -> ClusterStatus: ...
    def handle(self, now: float, event: events.Event) -> list[Effect]: ...


class Watch:
    """Takes the place of the core that it wraps. `handle` raises Violation; `violations` has them all, since
    on a real cluster whoever feeds the core may swallow what is raised.
    """

    def __init__(self, core: AnyCore, history: History | None = None) -> None:
        self.core = core
        self.history = History() if history is None else history
        self.ledger = Ledger(core.model, core.settings)
        self.violations: list[Violation] = []
        self._coverage = Coverage(self.ledger)
        self._pulse = Pulse(self.ledger)
        self._now = -math.inf
        self._due = math.inf

    @property
    def model(self) -> Model:
        return self.core.model

    @property
    def settings(self) -> Settings:
        return self.core.settings

    @property
    def idle(self) -> bool:
        return self.core.idle

    def next_wakeup(self) -> float | None:
        return self.core.next_wakeup()

    def status(self, now: float) -> ClusterStatus:
        return self.core.status(now)

    def handle(self, now: float, event: events.Event) -> list[Effect]:
        self._now = now = max(now, self._now)
        try:
            found = self.core.handle(now, event)
        except Exception as error:
            self.history.record(now, event, ())
            raise self.violation(now, Broken(Invariant.SOUND, f"it raised {error!r}")) from error
        self.history.record(now, event, found)
        try:
            self._check(now, event, found)
        except Broken as broken:
            raise self.violation(now, broken) from broken
        return found

    def violation(self, now: float, broken: Broken) -> Violation:
        self.violations.append(Violation(broken, now, self.history.about(broken.request, broken.link)))
        return self.violations[-1]

    def _check(self, now: float, event: events.Event, found: list[Effect]) -> None:
        ledger, woken = self.ledger, now >= self._due
        ledger.take_in(now, event)
        if any(isinstance(effect, effects.Note) for effect in found):
            self._see_states(now)
        for effect in found:
            self._check_effect(now, effect, woken)
        answers.check_promptness(ledger)
        check_queue(ledger, now)
        self._check_ghosts(event)
        self._coverage.check(now)
        check_orders(ledger, now)
        wakeup = self.core.next_wakeup()
        self._due = math.inf if wakeup is None else wakeup
        self._pulse.check(now, event, found, self._due, self.core.idle)

    def _check_effect(self, now: float, effect: Effect, woken: bool) -> None:
        ledger = self.ledger
        match effect:
            case effects.Answer(request):
                answers.check_answer(ledger, now, effect, woken=woken)
                ledger.forget_request(request)
            case effects.Refuse(request):
                answers.check_refusal(ledger, now, effect, woken=woken)
                ledger.forget_request(request)
            case effects.SendWork():
                ledger.sent(now, effect, check_work(ledger, now, effect))
            case effects.Assign(link):
                peer = self._peer(link, effect)
                check_assignment(ledger, now, peer, effect)
                ledger.assigned(peer, frozenset(effect.students))
            case effects.CloseLink(link):
                ledger.drop(now, self._peer(link, effect))
            case effects.Ping(link) | effects.Welcome(link):
                self._peer(link, effect)
            case effects.Reloaded(bundle_id):
                check_reloaded(ledger, now, effect)
                ledger.reloaded(now, bundle_id)
            case effects.ReloadFailed(bundle_id):
                ledger.reload_failed(now, bundle_id)

    def _peer(self, link: int, effect: Effect) -> Peer:
        peer = self.ledger.peers.get(link)
        if peer is None:
            problem = f"{type(effect).__name__} for link {link}, which is no more"
            raise Broken(Invariant.NO_GHOSTS, problem, link=link)
        return peer

    def _see_states(self, now: float) -> None:
        """Whom the core takes for lost is its own judgement; what follows from it is not."""
        states = {device.facts.device_id: device.state for device in self.core.status(now).devices}
        for peer in self.ledger.peers.values():
            peer.before = peer.state
            peer.state = states.get(peer.facts.device_id, peer.state)
            if (peer.before in LOST) != (peer.state in LOST):
                self.ledger.membership_changed = now
            if peer.state in LOST:
                peer.doubted = now
        self.ledger.see_departures(now)

    def _check_ghosts(self, event: events.Event) -> None:
        if isinstance(event, events.Joined):
            links = [p.link for p in self.ledger.peers.values() if p.facts.device_id == event.facts.device_id]
            if len(links) > 1:
                problem = f"device {event.facts.device_id} lives on the links {links}"
                raise Broken(Invariant.NO_GHOSTS, problem, link=event.link)

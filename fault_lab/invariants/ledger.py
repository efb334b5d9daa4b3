"""The truth that the core is held to: what an onlooker knows who sees its events and effects alone."""

import math
from collections.abc import Iterable
from typing import Any

from numpy.typing import NDArray

from aggregator import Model, Settings, effects, events
from aggregator.policy import ALL
from aggregator.status import State
from fault_lab.invariants.entries import Arrival, Pair, Peer, Request, Share, Work

# Works are remembered until there are so many.
MANY = 256
# A student that a device has got wrong, or refused, so often in a row is taken from it.
MOST_FAULTS = 3


class Ledger:
    """Takes events and effects in, judges nothing.

    requests: without an outcome, by arrival; queue: those of them that no work holds.
    loading: bundles that were to be loaded, and since when. hosted: whatever was hosted at any time.
    departed: what no healthy device hosts any more, and since when; -inf: it has failed, and need not wait.
    membership_changed, loaded: when devices, or what they serve, last changed.
    Of this step: speaker, the link that its event came from; arrival, the good partial that it was; touched,
    the works that it has changed.
    """

    def __init__(self, model: Model, settings: Settings) -> None:
        self.settings = settings
        self.served = model
        self.models = {model.bundle_id: model}
        self.silence = settings.misses * settings.ping - 1e-6
        self.requests: dict[int, Request] = {}
        self.queue: dict[int, Request] = {}
        self.works: dict[int, Work] = {}
        self.peers: dict[int, Peer] = {}
        self.loading: list[tuple[Model, float]] = []
        self.hosted: frozenset[Pair] = frozenset()
        self.departed: dict[Pair, float] = {}
        self.drained_by = math.inf
        self.touched: list[Work] = []
        self.arrival: Arrival | None = None
        self.speaker: int | None = None
        self.membership_changed = self.loaded = -math.inf

    def anybody_serves(self) -> bool:
        """Whether some device that is not lost, though it may be stalled, serves the bundle."""
        return any(
            peer.serves(self.served.bundle_id)
            for peer in self.peers.values()
            if peer.state not in (State.SUSPECT, State.LEAVING)
        )

    # ---- events

    def take_in(self, now: float, event: events.Event) -> None:
        self.touched = []
        self.arrival = None
        self.speaker = getattr(event, "link", None)
        peer = None if self.speaker is None else self.peers.get(self.speaker)
        if peer is not None:
            if now - peer.heard >= self.silence:
                peer.doubted = now
            peer.heard = now
        match event:
            case events.Partial() if peer is not None:
                self._partial(now, peer, event)
            case events.Predict():
                self._ask(now, event)
            case events.Cancelled(request):
                self.forget_request(request)
            case events.Refusal() if peer is not None:
                self._refusal(now, peer, event)
            case events.Ready() if peer is not None:
                self._ready(now, peer, event)
            case events.Joined(link, facts) if peer is None:
                for other in self.peers.values():
                    if other.facts.device_id == facts.device_id:  # it is to give way
                        other.doubted = now
                self.peers[link] = Peer(link, facts, now)
                self.membership_changed = now
            case events.Leaving() if peer is not None:
                self.membership_changed = peer.doubted = now
            case events.Gone() if peer is not None:
                self.drop(now, peer)
            case events.Paused(seconds):
                self._excuse(now, seconds)
            case events.Drain():
                self.drained_by = min(self.drained_by, now + self.settings.drain)
            case events.Reload(model):
                self.models[model.bundle_id] = model
                self.loading.append((model, now))
                self.membership_changed = now

    def _excuse(self, now: float, seconds: float) -> None:
        """The aggregator heard nobody for so long: devices have that much more time."""
        self.membership_changed = now
        self.departed = {pair: since + seconds for pair, since in self.departed.items()}
        self.loading = [(model, since + seconds) for model, since in self.loading]
        for peer in self.peers.values():
            peer.heard += seconds
            peer.probed += seconds
        for work in self.works.values():
            if now - seconds < work.expires:
                work.expires += seconds
            work.sent += seconds
            work.latest += seconds
        for request in self.requests.values():
            request.deadline = max(request.deadline, now)

    def _ask(self, now: float, event: events.Predict) -> None:
        settings = self.settings
        wished = now + settings.default_deadline if event.deadline is None else event.deadline
        deadline = min(wished, now + settings.longest_deadline)
        hurry = deadline - min(settings.margin, (deadline - now) / 4)
        policy = ALL if event.strict else event.policy or settings.policy
        request = Request(event, now, deadline, hurry, policy)
        self.requests[event.request] = self.queue[event.request] = request

    def _partial(self, now: float, peer: Peer, event: events.Partial) -> None:
        work, share = self._share(now, peer, event.work)
        if work is None or share is None:
            return
        logits = _good(work, event)
        if event.student not in share.pending:
            if logits is not None:
                work.spare.setdefault(event.student, logits)
            return
        if logits is not None:
            peer.faults.pop((work.model.bundle_id, event.student), None)
            if event.student not in work.partials:
                self.arrival = Arrival(work, event.student, work.latest)
                work.partials[event.student] = logits
                work.latest = now
        self._settle(work, share, {event.student})
        if logits is None:
            self._count_fault(now, peer, (work.model.bundle_id, event.student))

    def _refusal(self, now: float, peer: Peer, event: events.Refusal) -> None:
        work, share = self._share(now, peer, event.work)
        if work is not None and share is not None:
            students = {student for student in share.pending if event.student in (None, student)}
            self._settle(work, share, students)
            for student in students if event.fault else ():
                self._count_fault(now, peer, (work.model.bundle_id, student))

    def _share(self, now: float, peer: Peer, number: int) -> tuple[Work | None, Share | None]:
        """What the device may still answer of the work."""
        work = self.works.get(number)
        alive = work is not None and now < work.expires
        return work, work.shares.get(peer.link) if work and alive else None

    def _count_fault(self, now: float, peer: Peer, pair: Pair) -> None:
        peer.faults[pair] = peer.faults.get(pair, 0) + 1
        if peer.faults[pair] >= MOST_FAULTS and pair[0] == self.served.bundle_id:
            self.give_up(now, peer, pair)

    def _ready(self, now: float, peer: Peer, event: events.Ready) -> None:
        pair = (event.bundle_id, event.student)
        if pair not in peer.assigned or 0 < event.assignment < peer.told[pair]:
            return  # it has been told since to drop the student
        self.loaded = now
        if event.passed:
            peer.ready.add(pair)
        else:
            self.give_up(now, peer, pair)

    def _settle(self, work: Work, share: Share, students: Iterable[int]) -> None:
        """The device owes these no more."""
        share.pending.difference_update(students)
        self.touched.append(work)
        if not share.pending:
            share.peer.works.pop(work.id, None)

    def give_up(self, now: float, peer: Peer, pair: Pair) -> None:
        """The student has failed on the device: it owes nothing more of it."""
        peer.failed[pair] = now
        self.departed[pair] = -math.inf
        peer.ready.discard(pair)
        peer.faults.pop(pair, None)
        self.membership_changed = now
        for work in list(peer.works.values()):
            if work.model.bundle_id == pair[0]:
                self._settle(work, work.shares[peer.link], {pair[1]})

    def drop(self, now: float, peer: Peer) -> None:
        """The link is no more."""
        del self.peers[peer.link]
        self.membership_changed = now
        for work in list(peer.works.values()):
            del work.shares[peer.link]
            self.touched.append(work)

    def see_departures(self, now: float) -> None:
        """Once it is known what the step has made of the devices: the core says so whenever one is lost."""
        latest = {peer.facts.device_id: peer for peer in self.peers.values()}  # the one before is to give way
        healthy = [peer for peer in latest.values() if peer.healthy]
        kept = {pair for peer in healthy for pair in peer.assigned if peer.failed.get(pair) != now}
        for pair in self.hosted:
            if pair in kept:
                self.departed.pop(pair, None)
            else:
                self.departed.setdefault(pair, now)

    def forget_request(self, number: int) -> None:
        """It has its outcome, or is not wanted any more."""
        request = self.requests.pop(number, None)
        self.queue.pop(number, None)
        if request is not None and request.work is not None:
            del request.work.requests[number]

    # ---- effects

    def sent(self, now: float, effect: effects.SendWork, requests: Iterable[tuple[Request, slice]]) -> Work:
        model = self.models[effect.bundle_id]
        expires = now + effect.budget + self.settings.misses * self.settings.ping
        work = Work(effect.work, model, now, expires, expires, len(effect.images), latest=now)
        for request, rows in requests:
            request.work, request.rows = work, rows
            work.requests[request.event.request] = request
            del self.queue[request.event.request]
        if len(self.works) >= MANY:
            self._forget_finished_works(now)
        self.works[work.id] = work
        alive = [link for link in effect.links if self.peers[link].healthy]
        for link in effect.links:
            peer = self.peers[link]
            owed = {student for bundle, student in peer.ready if bundle == model.bundle_id}
            work.shares[link] = Share(peer, owed, awaited=peer.healthy or not alive)
            peer.works[work.id] = work
        return work

    def assigned(self, peer: Peer, students: frozenset[Pair]) -> None:
        self.hosted |= students
        for pair in students - peer.assigned:
            self.departed.pop(pair, None)
        peer.orders += 1
        peer.told = {pair: peer.told.get(pair, peer.orders) for pair in students}
        peer.assigned = students
        peer.ready &= students

    def reloaded(self, now: float, bundle_id: str) -> None:
        """The oldest order to load that bundle has been carried out."""
        orders = [order for order in self.loading if order[0].bundle_id == bundle_id]
        self.loading.remove(orders[0])
        self.served = orders[0][0]
        self.membership_changed = now

    def reload_failed(self, now: float, bundle_id: str) -> None:
        """The latest order to load that bundle has not been carried out."""
        orders = [order for order in self.loading if order[0].bundle_id == bundle_id]
        self.loading.remove(orders[-1])
        self.membership_changed = now

    def _forget_finished_works(self, now: float) -> None:
        """Those that no request waits for, and that every device has dropped."""
        for work in [work for work in self.works.values() if not work.requests and work.expires < now]:
            del self.works[work.id]
            for share in work.shares.values():
                share.peer.works.pop(work.id, None)


def _good(work: Work, event: events.Partial) -> NDArray[Any] | None:
    """The partial logits, if they are what was asked for."""
    logits = event.logits
    if logits is None or event.bundle_id != work.model.bundle_id or len(logits) != work.size:
        return None
    try:
        work.model.merger.check(event.student, logits)
    except ValueError:
        return None
    return logits

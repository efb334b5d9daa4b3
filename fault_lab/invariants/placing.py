"""Who hosts what: no student moved without need, none left out that somebody could host."""

import math

from aggregator import Model
from aggregator.effects import Assign, Reloaded
from aggregator.status import State
from fault_lab.invariants.answers import LEAST_PATIENCE
from fault_lab.invariants.catalogue import Broken, Invariant
from fault_lab.invariants.entries import LOST, Pair, Peer
from fault_lab.invariants.ledger import Ledger

# Seconds for which a student that has failed on a device may be kept from it.
SECOND_CHANCE = 61.0
# Seconds between two looks at who hosts what, and those that the core may take to put it right.
EVERY, GRACE = 0.25, 0.5


def check_assignment(ledger: Ledger, now: float, peer: Peer, assign: Assign) -> None:
    wanted = frozenset(assign.students)
    for pair in sorted(wanted - peer.assigned):
        if pair[0] not in _welcome_bundles(ledger):
            problem = f"link {peer.link} is given {_name(pair)} of a bundle that is not served"
            raise Broken(Invariant.RELOAD, problem, link=peer.link)
    memory = peer.facts.memory_bytes
    if memory and wanted - peer.assigned and _memory(ledger, wanted) > memory:
        problem = f"link {peer.link} has {memory} bytes, and students for {_memory(ledger, wanted)}"
        raise Broken(Invariant.MEMORY, problem, link=peer.link)
    _check_healing(ledger, now, peer, wanted)
    taken = sorted(peer.assigned - wanted)
    if not taken:  # else it may have had to finish a work before it could make room
        _check_need(ledger, now, peer, wanted - peer.assigned)
    for pair in taken:
        _check_taken(ledger, now, peer, pair)
    mine = [pair for pair in taken if pair[0] == ledger.served.bundle_id and pair in peer.ready]
    left = any(bundle == ledger.served.bundle_id for bundle, _ in wanted)
    if mine and not left and peer.healthy and not any(_failed(peer, now, pair) for pair in taken):
        problem = f"link {peer.link} served {list(map(_name, mine))}, and is left with nothing"
        raise Broken(Invariant.STEADY, problem, link=peer.link)


def _check_healing(ledger: Ledger, now: float, peer: Peer, wanted: frozenset[Pair]) -> None:
    """Whoever has students of a bundle gets others that nobody hosts only once these have waited."""
    heal = math.inf if ledger.settings.heal is None else ledger.settings.heal
    for pair in sorted(wanted - peer.assigned):
        since = ledger.departed.get(pair, -math.inf)
        has_others = any(kept[0] == pair[0] for kept in wanted & peer.assigned)
        if has_others and since > -math.inf and now < since + heal - 1e-6:
            problem = f"{_name(pair)} goes to link {peer.link}, {now - since:.3f} s after its device was lost"
            raise Broken(Invariant.HEAL, problem, link=peer.link)


def _check_need(ledger: Ledger, now: float, peer: Peer, given: frozenset[Pair]) -> None:
    """Where nothing has changed for long enough, there is nothing to move."""
    patience = max(ledger.settings.settle, ledger.settings.heal or 0.0) + GRACE
    quiet = now > max(ledger.membership_changed, ledger.loaded) + patience
    if given - peer.failed.keys() and quiet:
        problem = f"link {peer.link} is given {list(map(_name, sorted(given)))}, and nothing has happened"
        raise Broken(Invariant.STEADY, problem, link=peer.link)


def _check_taken(ledger: Ledger, now: float, peer: Peer, pair: Pair) -> None:
    if _failed(peer, now, pair):
        return
    for work in peer.works.values():
        owed = work.model.bundle_id == pair[0] and pair[1] in work.shares[peer.link].pending
        if owed and work.requests and now < work.expires:
            problem = f"{_name(pair)} is taken from link {peer.link}, which owes it for work {work.id}"
            raise Broken(Invariant.STEADY, problem, link=peer.link)
    if pair[0] != ledger.served.bundle_id or pair not in peer.ready or not peer.healthy:
        return
    if not any(other.healthy and pair in other.ready for other in ledger.peers.values() if other is not peer):
        problem = f"{_name(pair)} is taken from link {peer.link}, and nobody else serves it"
        raise Broken(Invariant.STEADY, problem, link=peer.link)


def check_orders(ledger: Ledger, now: float) -> None:
    for model, since in ledger.loading:
        if now > since + ledger.settings.reload + GRACE:
            problem = (
                f"bundle {model.bundle_id[:12]} was to be loaded at {since:.6f} s, and nothing came of it"
            )
            raise Broken(Invariant.RELOAD, problem)


def check_reloaded(ledger: Ledger, now: float, reloaded: Reloaded) -> None:
    """Before the ledger knows of it: is the bundle no worse than the one that is served?"""
    new = next((model for model, _ in ledger.loading if model.bundle_id == reloaded.bundle_id), None)
    if new is None or reloaded.previous != ledger.served.bundle_id:
        problem = f"bundle {reloaded.bundle_id[:12]} takes over though nobody had it loaded"
        raise Broken(Invariant.RELOAD, problem)
    after, before = _servers(ledger, new), _servers(ledger, ledger.served)
    before = [peer for peer in before if peer in after or not _late(now, peer)]
    fewer = len(after) < len(before) and ledger.membership_changed < now  # else students may have moved
    if fewer or len(after) != reloaded.devices:
        problem = f"{len(before)} devices served the old bundle, {len(after)} serve the new one"
        raise Broken(Invariant.RELOAD, f"{problem}, {reloaded.devices} are claimed")
    if _whole(ledger, ledger.served) and not _whole(ledger, new):
        raise Broken(Invariant.RELOAD, f"bundle {new.bundle_id[:12]} takes over with students missing")


class Coverage:
    """Looks now and then whether a student is left out."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._next = 0.0

    def check(self, now: float) -> None:
        ledger, settings = self._ledger, self._ledger.settings
        if now < self._next:
            return
        self._next = now + EVERY
        self._check_silence(now)
        patience = max(settings.settle, settings.heal or 0.0) + GRACE
        if now < ledger.membership_changed + patience:
            return
        for pair, peer in self.left_out(now):
            if settings.heal is not None or pair not in ledger.hosted:
                problem = f"{_name(pair)} is hosted by nobody, and link {peer.link} has room"
                raise Broken(Invariant.COVERED, problem, link=peer.link)

    def _check_silence(self, now: float) -> None:
        """Hung is dead."""
        settings = self._ledger.settings
        longest = (settings.misses + 2) * settings.ping + GRACE
        for peer in self._ledger.peers.values():
            if now > peer.heard + longest and peer.state not in (State.SUSPECT, State.LEAVING):
                problem = f"link {peer.link} is {peer.state.name}, silent for {now - peer.heard:.1f} s"
                raise Broken(Invariant.LOST, problem, link=peer.link)

    def left_out(self, now: float) -> list[tuple[Pair, Peer]]:
        """Students that no living device hosts, each with one that has room for it."""
        ledger = self._ledger
        living = [peer for peer in ledger.peers.values() if peer.healthy]
        covered = {pair for peer in living for pair in peer.assigned}
        left = []
        for student in ledger.served.students:
            pair = (ledger.served.bundle_id, student.index)
            if pair not in covered:
                able = [peer for peer in living if self._has_room(now, peer, pair, student.memory_bytes)]
                left += [(pair, able[0])] if able else []
        return left

    def _has_room(self, now: float, peer: Peer, pair: Pair, memory: int) -> bool:
        """Certainly: a device that still has works may be about to give another student up."""
        if any(now < work.expires for work in peer.works.values()):
            return False
        if now < peer.failed.get(pair, -SECOND_CHANCE) + SECOND_CHANCE:
            return False
        room = peer.facts.memory_bytes
        return not room or _memory(self._ledger, peer.assigned) + memory <= room


def _welcome_bundles(ledger: Ledger) -> set[str]:
    return {ledger.served.bundle_id, *(model.bundle_id for model, _ in ledger.loading)}


def _failed(peer: Peer, now: float, pair: Pair) -> bool:
    """Whether this step has shown that the device cannot serve the student."""
    return peer.failed.get(pair) == now


def _memory(ledger: Ledger, students: frozenset[Pair]) -> int:
    return sum(ledger.models[bundle].students[student].memory_bytes for bundle, student in students)


def _steady(ledger: Ledger) -> list[Peer]:
    """Devices that were healthy when the step began, and still are, or have just said so."""
    healthy = [peer for peer in ledger.peers.values() if peer.healthy]
    return [peer for peer in healthy if peer.before not in LOST or peer.link == ledger.speaker]


def _servers(ledger: Ledger, model: Model) -> list[Peer]:
    return [peer for peer in _steady(ledger) if peer.serves(model.bundle_id)]


def _late(now: float, peer: Peer) -> bool:
    """Whether the core may have judged in this step that the device is stalled."""
    owing = (work for work in peer.works.values() if work.shares[peer.link].pending)
    return any(now >= work.sent + LEAST_PATIENCE for work in owing)


def _whole(ledger: Ledger, model: Model) -> bool:
    served = {pair for peer in _steady(ledger) for pair in peer.ready}
    return all((model.bundle_id, student.index) in served for student in model.students)


def _name(pair: Pair) -> str:
    return f"student {pair[1]} of {pair[0][:12]}"

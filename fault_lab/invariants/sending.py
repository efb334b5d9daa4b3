"""What goes out to devices: whole requests, to those that serve, within their windows."""

from aggregator.effects import SendWork
from aggregator.status import State
from fault_lab.invariants.catalogue import Broken, Invariant
from fault_lab.invariants.entries import Peer, Request
from fault_lab.invariants.ledger import Ledger

# A stalled device is probed no more often than once in so many pings.
PROBE_PINGS = 2.9


def check_work(ledger: Ledger, now: float, work: SendWork) -> list[tuple[Request, slice]]:
    """The requests that the work holds, and their rows. Those of the queue go out in order of arrival."""
    if work.work in ledger.works or work.bundle_id != ledger.served.bundle_id:
        raise Broken(Invariant.WORK, f"work {work.work} is sent again, or is of a bundle that is not served")
    requests = _contents(ledger, work)
    longest = max(request.deadline for request, _ in requests)
    if not 0 < work.budget <= longest - now + 1e-6:
        problem = f"work {work.work} has a budget of {work.budget} s, its requests have {longest - now} s"
        raise Broken(Invariant.WORK, problem, request=requests[0][0].event.request)
    if len(set(work.links)) != len(work.links) or not work.links:
        raise Broken(Invariant.WORK, f"work {work.work} goes to the links {work.links}")
    peers = [_peer(ledger, work, link) for link in work.links]
    for peer in peers:
        _check_device(ledger, now, work, peer, alone=not any(other.healthy for other in peers))
    _check_nobody_left_out(ledger, work)
    return requests


def _check_nobody_left_out(ledger: Ledger, work: SendWork) -> None:
    """Whoever is busy may be out of room, or about to give a student up; whoever is not, has no excuse."""
    for peer in ledger.peers.values():
        idle = peer.healthy and not peer.works
        if idle and peer.serves(work.bundle_id) and peer.link not in work.links:
            problem = f"work {work.work} does not go to link {peer.link}, which serves and has nothing to do"
            raise Broken(Invariant.WORK, problem, link=peer.link)


def _contents(ledger: Ledger, work: SendWork) -> list[tuple[Request, slice]]:
    """Requests are known by their images, which are those of the longest waiting."""
    if len(work.images) > ledger.settings.max_batch:
        raise Broken(Invariant.WORK, f"work {work.work} has {len(work.images)} images")
    sent, start, found = work.images.tobytes(), 0, []
    row = len(sent) // len(work.images)
    for request in ledger.queue.values():
        images = request.event.images
        stop = start + len(images)
        if stop > len(work.images) or images.tobytes() != sent[start * row : stop * row]:
            break
        found.append((request, slice(start, stop)))
        start = stop
    if start != len(work.images) or not found:
        raise Broken(
            Invariant.WORK,
            f"work {work.work} holds others than those that have waited longest, from row {start} on",
        )
    return found


def _peer(ledger: Ledger, work: SendWork, link: int) -> Peer:
    peer = ledger.peers.get(link)
    if peer is None or not peer.serves(work.bundle_id):
        problem = f"work {work.work} goes to link {link}, which serves nothing of its bundle"
        raise Broken(Invariant.WORK, problem, link=link)
    return peer


def _check_device(ledger: Ledger, now: float, work: SendWork, peer: Peer, *, alone: bool) -> None:
    """alone: no healthy device gets the work."""
    in_flight = [other for other in peer.works.values() if now < other.surely]
    if len(in_flight) >= ledger.settings.window:
        problem = f"work {work.work} goes to link {peer.link}, which has {len(in_flight)} in flight"
        raise Broken(Invariant.WINDOW, problem, link=peer.link)
    if peer.state is State.STALLED:
        if alone:
            if _serving(ledger):
                problem = f"work {work.work} goes to stalled devices alone, though others serve"
                raise Broken(Invariant.LOST, problem, link=peer.link)
            return
        if now < peer.probed + PROBE_PINGS * ledger.settings.ping:
            problem = f"link {peer.link}, which is stalled, is probed again after {now - peer.probed:.3f} s"
            raise Broken(Invariant.LOST, problem, link=peer.link)
        peer.probed = now
    elif not peer.healthy:
        problem = f"work {work.work} goes to link {peer.link}, which is {peer.state.name}"
        raise Broken(Invariant.LOST, problem, link=peer.link)


def _serving(ledger: Ledger) -> list[Peer]:
    bundle_id = ledger.served.bundle_id
    return [peer for peer in ledger.peers.values() if peer.healthy and peer.serves(bundle_id)]


def check_queue(ledger: Ledger, now: float) -> None:
    """Nothing waits where nobody is busy."""
    if not ledger.queue:
        return
    serving = _serving(ledger)
    busy = any(now < work.expires for peer in serving for work in peer.works.values())
    if serving and not busy:
        number = next(iter(ledger.queue))
        raise Broken(Invariant.PROMPT, f"request {number} waits while nobody is busy", request=number)

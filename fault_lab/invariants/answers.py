"""What becomes of a request: the right answer, at the right time, or a refusal that says why."""

import math

import numpy as np

from aggregator.effects import Answer, Code, Refuse
from bundle import InputError
from fault_lab.invariants.catalogue import Broken, Invariant
from fault_lab.invariants.entries import Request, Work
from fault_lab.invariants.ledger import Ledger

TOLERANCE = 1e-5  # of merged logits
# However fast a device usually is, it is not late before it is silent for so many seconds.
LEAST_PATIENCE = 0.25
INSTANT = 1e-6  # seconds that rounding may take


def check_answer(ledger: Ledger, now: float, answer: Answer, *, woken: bool) -> None:
    """woken: the core may have answered before it took this step's event in."""
    request = _outcome(ledger, now, answer.request)
    work = request.work

    def broken(invariant: Invariant, problem: str) -> Broken:
        return Broken(invariant, f"request {answer.request} {problem}", request=answer.request)

    if work is None:
        raise broken(Invariant.TRUTH, "was answered though no device had been asked")
    if answer.bundle_id != work.model.bundle_id:
        raise broken(Invariant.ONE_BUNDLE, f"was answered as by {answer.bundle_id[:12]}, asked of another")
    if request.event.bundle_id not in ("", answer.bundle_id):
        raise broken(Invariant.ONE_BUNDLE, f"was answered by {answer.bundle_id[:12]}, and wanted another")
    arrived = {**work.spare, **work.partials}
    if tuple(sorted((*answer.answered, *answer.missing))) != tuple(range(len(work.model.students))):
        raise broken(Invariant.TRUTH, f"has {answer.answered} answered and {answer.missing} missing")
    if not set(answer.answered) <= arrived.keys():
        raise broken(Invariant.TRUTH, f"names {answer.answered}, and only {sorted(arrived)} had arrived")
    unnamed = _required(ledger, work, woken) - set(answer.answered)
    if unnamed:
        raise broken(Invariant.TRUTH, f"misses {sorted(unnamed)}, which had arrived")
    merged = work.model.merger.merge({s: arrived[s][request.rows] for s in answer.answered})
    if answer.logits.shape != merged.shape or not _close(answer.logits, merged):
        raise broken(Invariant.MERGE, f"got other logits than the merge of {answer.answered}")
    if answer.expected_accuracy != work.model.expected_accuracy(answer.answered):
        raise broken(Invariant.ACCURACY, f"was told {answer.expected_accuracy} of {answer.answered}")
    if request.event.strict and answer.missing:
        raise broken(Invariant.STRICT, f"is strict and was answered without {answer.missing}")
    waiting = work.counted_on(now, ledger.silence)
    if not content(request, work, set(answer.answered), waiting) and not _out_of_time(ledger, now, request):
        asked = f"{request.policy}, {answer.answered} answered and {sorted(waiting)} to come"
        raise broken(Invariant.POLICY, f"was answered too early: policy {asked}")


def check_refusal(ledger: Ledger, now: float, refusal: Refuse, *, woken: bool) -> None:
    request = _outcome(ledger, now, refusal.request)
    work = request.work
    arrived = set[int]() if work is None else _required(ledger, work, woken)

    def holds() -> bool:
        match refusal.code:
            case Code.RESOURCE_EXHAUSTED:
                others = [number for number in ledger.queue if number != refusal.request]
                return len(others) >= ledger.settings.queue
            case Code.DEADLINE_EXCEEDED:
                return not arrived and now >= min(request.hurry, ledger.drained_by) - INSTANT
            case Code.UNAVAILABLE:
                return not arrived and (
                    ledger.drained_by < math.inf
                    or not ledger.anybody_serves()
                    or (work is not None and not work.counted_on(now, ledger.silence))
                )
            case Code.FAILED_PRECONDITION:
                if request.event.bundle_id not in ("", ledger.served.bundle_id):
                    return True
                return (
                    request.event.strict
                    and work is not None
                    and len(arrived) < len(work.model.students)
                    and (
                        not work.counted_on(now, ledger.silence)
                        or now >= min(request.hurry, ledger.drained_by) - INSTANT
                    )
                )
            case Code.INVALID_ARGUMENT:
                return _unfit(ledger, request)

    if not holds():
        problem = f"request {refusal.request} was refused with {refusal.code.name}: {refusal.message}"
        raise Broken(Invariant.REFUSAL, problem, request=refusal.request)
    if refusal.code is Code.RESOURCE_EXHAUSTED:
        hint = refusal.retry_after
        if hint is None or not 0 < hint < math.inf:
            problem = f"request {refusal.request} was refused with the hint {hint}"
            raise Broken(Invariant.RETRY_HINT, problem, request=refusal.request)
    if not refusal.message or "\n" in refusal.message:
        problem = f"request {refusal.request} was refused without a line that says why"
        raise Broken(Invariant.REFUSAL, problem, request=refusal.request)


def check_promptness(ledger: Ledger) -> None:
    """Whoever may be answered after this step's event has been."""
    for work in ledger.touched:
        waiting = work.waiting()
        for number, request in work.requests.items():
            if content(request, work, set(work.partials), waiting):
                problem = f"request {number} waits, with {sorted(work.partials)} there and {waiting} to come"
                raise Broken(Invariant.PROMPT, f"{problem}: policy {request.policy}", request=number)


def content(request: Request, work: Work, answered: set[int], waiting: set[int]) -> bool:
    """Whether the request's policy asks for nothing more. waiting: students that may still answer."""
    if not waiting:
        return True
    match request.policy.kind:
        case "covered":
            parts = work.model.merger.student_parts
            return {parts[student] for student in waiting} <= {parts[student] for student in answered}
        case "quorum":
            return len(answered) >= request.policy.quorum
        case _:
            return False


def _outcome(ledger: Ledger, now: float, number: int) -> Request:
    request = ledger.requests.get(number)
    if request is None:
        problem = f"request {number} got an outcome that it had already, or had not asked for"
        raise Broken(Invariant.ONCE, problem, request=number)
    if now > max(request.deadline, request.arrived) + INSTANT:
        problem = f"request {number} got its outcome after its deadline, {request.deadline:.6f} s"
        raise Broken(Invariant.IN_TIME, problem, request=number)
    return request


def _required(ledger: Ledger, work: Work, woken: bool) -> set[int]:
    """Students that an answer of this moment must name."""
    required = set(work.partials)
    if woken and ledger.arrival is not None and ledger.arrival.work is work:
        required.discard(ledger.arrival.student)
    return required


def _out_of_time(ledger: Ledger, now: float, request: Request) -> bool:
    """Whether the request may be answered without those who have not: now, or they are late."""
    if now >= min(request.hurry, ledger.drained_by) - INSTANT:
        return True
    work = request.work
    if work is None or request.event.strict:
        return False
    arrival = ledger.arrival
    latest = arrival.before if arrival is not None and arrival.work is work else work.latest
    return now - latest >= LEAST_PATIENCE - INSTANT


def _unfit(ledger: Ledger, request: Request) -> bool:
    images = request.event.images
    try:
        ledger.served.input.check(images)
    except InputError:
        return True
    return len(images) > ledger.settings.max_batch


def _close(found: np.ndarray, expected: np.ndarray) -> bool:
    return bool((np.abs(found - expected) <= TOLERANCE * (1.0 + np.abs(expected))).all())

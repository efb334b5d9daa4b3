"""Runs that never took place, as plausible as the reports that are made from them need."""

from dataclasses import replace
from random import Random

from fault_lab.record import Ending, Fall, Outcome, Problem, Run, Sample
from fault_lab.scenario import FAULTS

WHOLE, HALVED = 0.967, 0.913
PARTS = (0, 1, 2, 3, 0, 1, 2, 3)
FACTS = {
    "command": "nonn faults run half_lost --on processes --seed 1",
    "versions": {"nonn": "0.1.0", "python": "3.11.2"},
    "machine": "x86_64, 2 cores",
}


def half_lost(seed: int = 1) -> Run:
    """8 devices asked 40 times a second for 14 s; four die at 3 s and come back at 9 s."""
    random = Random(seed)
    lost = tuple(sorted(random.sample(range(8), 4)))
    outcomes = tuple(_outcome(random, number, number / 40, lost) for number in range(14 * 40))
    falls = tuple(Fall("kill", f"device-{device}", 3.0, 9.0, 1.3 + 0.05 * device) for device in lost)
    return Run(
        scenario="half_lost",
        summary="Half of the cluster loses power at once.",
        ground="processes",
        seed=seed,
        devices=8,
        students=8,
        parts=4,
        seconds=14.0,
        outcomes=outcomes,
        falls=falls,
        samples=tuple(_sample(number / 4, lost) for number in range(57)),
        facts=FACTS,
    )


def broken() -> Run:
    """The same, with promises that were broken, something left out, and text that means harm."""
    run = half_lost()
    history = ("3.100000 s: asked of <script>alert(1)</script>", "3.412000 s: answered by [0, 4]")
    return replace(
        run,
        summary="<img src=x onerror=alert(2)> & 'quotes'",
        problems=(
            Problem(
                "every request has its outcome before its deadline", "request 124 took 2.4 s", 3.1, history
            ),
            Problem("every request has its outcome before its deadline", "request 126 took 2.3 s", 3.15),
            Problem("once faults are over the cluster is whole again, and soon", "7 of 8 serve", 34.0),
        ),
        notes=("clock_jump of device-2 at 5 s: a process cannot have a clock of its own",),
        facts={**FACTS, "label": "</title><script>alert(3)</script>"},
    )


def empty() -> Run:
    """Ended before anything was asked, on one device."""
    return Run("nothing", "Nothing happens.", "simulation", 0, 1, 1, 1, 0.0, ())


def silent() -> Run:
    """Requests without labels, none of them answered."""
    outcomes = tuple(
        Outcome(number, number / 10, 0.001, Ending.REFUSED, code="UNAVAILABLE") for number in range(50)
    )
    return replace(empty(), scenario="silent", seconds=5.0, outcomes=outcomes)


def crowded(seed: int = 1) -> Run:
    """64 devices, 200 faults of 15 types and ten minutes."""
    random, types = Random(seed), tuple(FAULTS)[:15]
    falls = []
    for _ in range(200):
        kind, begin = random.choice(types), random.uniform(5, 550)
        end = begin if FAULTS[kind].instant else begin + random.uniform(1, 40)
        recovered = random.choice([None, random.uniform(0.2, 9)])
        falls.append(Fall(kind, f"device-{random.randrange(64)}", begin, end, recovered))
    outcomes = tuple(_outcome(random, number, number / 5, (1, 2)) for number in range(3000))
    samples = tuple(
        Sample(float(at), 64 - random.randrange(9), 8, 4, random.uniform(0.93, 0.967)) for at in range(600)
    )
    return replace(
        half_lost(),
        scenario="crowded",
        devices=64,
        seconds=600.0,
        outcomes=outcomes,
        falls=tuple(falls),
        samples=samples,
    )


def _outcome(random: Random, number: int, sent: float, lost: tuple[int, ...]) -> Outcome:
    """As a cluster does: the first requests after the loss wait for the dead, then nobody asks these."""
    waits = 3.0 <= sent < 3.3
    seconds = random.uniform(0.25, 0.6) if waits else random.lognormvariate(-5.4, 0.4)
    if 3.02 <= sent < 3.1:
        return Outcome(number, sent, 0.002, Ending.REFUSED, code="RESOURCE_EXHAUSTED")
    missing = lost if 3.0 <= sent < 9.8 else ()
    answered = tuple(student for student in range(8) if student not in missing)
    expected = HALVED if missing else WHOLE
    right = int(random.random() < expected)
    return Outcome(
        number,
        sent,
        seconds,
        Ending.ANSWERED,
        first=number,
        answered=answered,
        missing=missing,
        expected_accuracy=expected,
        right=right,
    )


def _sample(at: float, lost: tuple[int, ...]) -> Sample:
    back = max(0, min(len(lost), int((at - 9.4) / 0.25))) if at >= 3.25 else len(lost)
    gone = lost[back:]
    living = [student for student in range(8) if student not in gone]
    expected = WHOLE - (WHOLE - HALVED) * len(gone) / len(lost)
    return Sample(at, len(living), len(living), len({PARTS[student] for student in living}), expected)

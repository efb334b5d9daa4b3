"""From a session to the record of its run."""

from collections.abc import Iterator
from typing import Any

from fault_lab.record import Run
from fault_lab.run.asking import HELD_UP
from fault_lab.run.session import Session


def to_run(session: Session, notes: tuple[str, ...], facts: dict[str, Any]) -> Run:
    """notes, facts: besides what the session itself has to say."""
    scenario, manifest = session.scenario, session.truth.bundle.manifest
    return Run(
        scenario=scenario.name,
        summary=scenario.summary,
        ground=session.ground.name,
        seed=session.seed,
        devices=scenario.cluster.devices,
        students=len(manifest.students),
        parts=manifest.parts,
        seconds=scenario.seconds,
        outcomes=tuple(sorted(session.outcomes, key=lambda outcome: outcome.number)),
        falls=tuple(event.fall(session.now) for event in session.events.all),
        samples=tuple(session.samples),
        problems=tuple(session.problems),
        notes=(*notes, *_notes(session)),
        facts=facts,
    )


def _notes(session: Session) -> Iterator[str]:
    if uncompared := session.judge.uncompared:
        yield (
            f"{uncompared} answers were not compared with the offline merge: a device that took part made up "
            "partial logits of a sound shape, which nobody can tell from true ones"
        )
    if held_up := sum(outcome.code == HELD_UP for outcome in session.outcomes):
        yield (
            f"{held_up} callers were held up themselves when their time was over, on a machine that was busy "
            "otherwise: they count as unreachable"
        )

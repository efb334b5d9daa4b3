"""A session at this moment, as a terminal shows it."""

from typing import TYPE_CHECKING, Final

import numpy as np

from fault_lab.record import Ending
from fault_lab.report.picture import ActiveFault, Picture

if TYPE_CHECKING:
    from fault_lab.run.session import Session

RECENT: Final = 200  # answers that latencies are taken over


def take(session: "Session") -> Picture:
    scenario, observer = session.scenario, session.observer
    manifest = session.truth.bundle.manifest
    sample = observer.sample(session.now)
    p50, p95 = _latencies(session)
    seen = dict(observer.states())
    return Picture(
        scenario=scenario.name,
        ground=session.ground.name,
        phase=session.phase,
        at=session.now,
        seconds=scenario.seconds,
        devices=tuple((name, seen.get(name, "lost")) for name in scenario.cluster.names),
        faults=tuple(
            ActiveFault(event.injection.fault.type, event.injection.target, event.injection.end - session.now)
            for event in session.events.lasting
        ),
        endings=session.endings,
        degraded=session.degraded,
        p50=p50,
        p95=p95,
        students_served=sample.students,
        students=len(manifest.students),
        parts_covered=sample.parts,
        parts=manifest.parts,
        expected_accuracy=sample.expected_accuracy if sample.students else None,
        observed_accuracy=session.right / session.labelled if session.labelled else None,
        problems=tuple(f"{problem.invariant}: {problem.what}" for problem in session.problems),
    )


def _latencies(session: "Session") -> tuple[float | None, float | None]:
    recent = [o.seconds for o in session.outcomes[-RECENT:] if o.ending is Ending.ANSWERED]
    if not recent:
        return None, None
    p50, p95 = np.percentile(recent, (50, 95))
    return float(p50), float(p95)

"""What is known of one request, for whoever has to find out why it went wrong."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fault_lab.record import Outcome

if TYPE_CHECKING:
    from fault_lab.run.session import Session


def history(session: "Session", outcome: Outcome) -> Iterator[str]:
    """Lines, the latest last."""
    yield f"{outcome.sent:9.3f} s request {outcome.number} is sent"
    for event in session.events.all:
        if event.begin <= session.now and (event.end is None or event.end >= outcome.sent - 1.0):
            until = "now" if event.end is None else f"{event.end:.3f} s"
            fault = event.injection
            yield f"{event.begin:9.3f} s {fault.fault.type} of {fault.target}, until {until}"
    for sample in session.samples[-20:]:
        if sample.at >= outcome.sent - 0.5:
            yield f"{sample.at:9.3f} s {sample.serving} devices serve {sample.students} students"
    if ill := [f"{name} {state}" for name, state in session.observer.states() if state != "serving"]:
        yield f"{session.now:9.3f} s {', '.join(ill)}"
    what = outcome.ending.value + (f" by {outcome.answered}" if outcome.answered else "")
    yield f"{outcome.sent + outcome.seconds:9.3f} s it is {what} {outcome.code}".rstrip()

"""What is shown of a deployment."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from nonn.deploy.outcome import Outcome


def as_json(outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    return [asdict(outcome) for outcome in outcomes]


def lines(outcomes: Sequence[Outcome], *, check: bool) -> Iterator[str]:
    """A table, and beneath it what is to be said of each host."""
    rows = [("HOST", "RESULT", "VERSION", "DEVICE", "SECONDS")]
    rows += [(one.host, one.result, one.version, one.device, f"{one.seconds:.1f}") for one in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    for one in outcomes:
        if check:
            yield from (f"{one.host}: would {action.why}" for action in one.actions)
        if one.remark:
            yield f"{one.host}: {one.remark}"
        if one.problem:
            yield f"{one.host}: {one.problem}"

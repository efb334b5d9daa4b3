"""What a run came to, as a terminal shows it."""

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from nonn.faults.execution import Result

COUNTS: Final = ("requests", "answered", "degraded", "refused", "unreachable", "lost", "violations")
SHOWN: Final = 5  # broken promises


def tell(result: "Result", *, as_json: bool) -> int:
    """Prints it; returns 0. Raises InvariantViolated when a promise was broken."""
    from nonn.errors import InvariantViolated

    summary = result.summary
    if as_json:
        print(json.dumps({**summary, "folder": str(result.folder)}))
    else:
        _show(result)
    if summary["violations"]:
        first = summary["problems"][0]
        raise InvariantViolated(
            f"{summary['scenario']} on {summary['ground']}, seed {summary['seed']}: {first['invariant']}: "
            f"{first['what']}; see {result.folder}/report.html, or `nonn faults replay {result.folder}`"
        )
    return 0


def _show(result: "Result") -> None:
    summary = result.summary
    print(f"{summary['scenario']}: {summary['summary']}")
    print(line(summary))
    if found := summary["latency"]:
        times = ", ".join(f"{name} {1000 * found[name]:.1f} ms" for name in ("p50", "p95", "p99", "max"))
        print(f"answers took {times}")
    if found := summary["accuracy"]:
        print(
            f"accuracy {found['observed']:.1%} on {found['images']} images, "
            f"{found['expected']:.1%} expected of those who answered"
        )
    if summary["slowest_recovery"] is not None:
        print(f"whole again at the latest {summary['slowest_recovery']:.1f} s after a fault was over")
    for note in result.notes:
        print(f"note: {note}")
    for problem in summary["problems"][:SHOWN]:
        print(f"at {problem['at']:.3f} s {problem['invariant']}: {problem['what']}")
        for row in problem["history"]:
            print(f"    {row}")
    if (more := len(summary["problems"]) - SHOWN) > 0:
        print(f"and {more} more in the report")
    print(f"report: {result.folder}/report.html")


def line(counts: dict[str, Any]) -> str:
    many = f"{counts['seeds']} seeds, " if "seeds" in counts else ""
    broken = counts["violations"]
    end = "every promise was kept" if not broken else f"{broken} broken promises"
    unreachable = f"{counts['unreachable']} found nobody there, " if counts["unreachable"] else ""
    return (
        f"{many}{counts['requests']} requests: {counts['answered']} answered, {counts['degraded']} of them "
        f"degraded; {counts['refused']} refused, {unreachable}{counts['lost']} lost; {end}"
    )

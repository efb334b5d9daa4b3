"""The page of a run: one file that needs no network and no script, for whoever has to judge the run."""

import shlex
from collections import Counter
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from device_node.state import write_atomically
from fault_lab.record import Run, summarise
from fault_lab.report.interval import interval
from fault_lab.report.timeline import timeline
from fault_lab.report.words import count, duration, share

TEMPLATE: Final = Path(__file__).with_name("template.html")
MOST_PROBLEMS: Final = 50  # told in full; a run that goes wrong can break a promise for each request
MOST_OPEN: Final = 25  # rows of faults that are shown without being asked for
_OWN: Final = frozenset(summarise(Run("", "", "", 0, 0, 0, 0, 0.0, ())))
"""Names of a summary's figures; all others are facts about the surroundings."""


def write_report(summary: dict[str, Any], path: Path) -> None:
    """The page is there wholly or not at all. Raises StorageError."""
    write_atomically(path, render(summary).encode())


def render(summary: dict[str, Any]) -> str:
    """summary: as of `fault_lab.record.summarise`, or what its JSON gives back."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"duration": duration, "share": share, "count": count}
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        run=summary,
        figures=_figures(summary),
        broken=Counter(str(problem["invariant"]) for problem in summary["problems"]),
        command=_command(summary),
        timeline=timeline(summary),
        faults=_faults(summary["faults"]),
        facts=_facts(summary),
        most_problems=MOST_PROBLEMS,
        most_open=MOST_OPEN,
    )


def _command(summary: dict[str, Any]) -> str:
    """What does it again."""
    if isinstance(summary.get("command"), str):
        return str(summary["command"])
    return shlex.join(
        (
            *("nonn", "faults", "run", str(summary["scenario"])),
            *("--on", str(summary["ground"]), "--seed", str(summary["seed"])),
        )
    )


def _figures(summary: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Name, value, and what else is known of it."""
    latency = summary["latency"] or {}
    refusals = ", ".join(f"{code} {number:,}" for code, number in sorted(summary["refusals"].items()))
    return [
        ("requests", f"{summary['requests']:,}", f"in {duration(summary['seconds'])}"),
        ("answered", f"{summary['answered']:,}", _part(summary["answered"], summary["requests"])),
        ("degraded", f"{summary['degraded']:,}", "answered without some student"),
        ("refused", f"{summary['refused']:,}", refusals),
        ("unreachable", f"{summary['unreachable']:,}", "the aggregator was down, or the caller held up"),
        ("lost", f"{summary['lost']:,}", "no outcome before the deadline"),
        *((f"latency {name}", duration(latency.get(name)), "") for name in ("p50", "p95", "p99", "max")),
        *_accuracy(summary["accuracy"]),
        ("slowest recovery", duration(summary["slowest_recovery"]), "from a fault's end to a whole cluster"),
    ]


def _part(some: int, of: int) -> str:
    return share(some / of) if of else ""


def _accuracy(accuracy: dict[str, Any] | None) -> list[tuple[str, str, str]]:
    if accuracy is None:
        return [("accuracy observed", share(None), "no image had a label")]
    low, high = interval(accuracy["observed"], accuracy["images"])
    sure = f"99 % interval {100 * low:.1f} to {100 * high:.1f} %, {count(accuracy['images'], 'image')}"
    return [
        ("accuracy observed", share(accuracy["observed"]), sure),
        ("accuracy expected", share(accuracy["expected"]), "of the students that answered"),
    ]


def _faults(faults: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Faults that befell several targets alike are one row."""

    def alike(fault: dict[str, Any]) -> tuple[Any, ...]:
        recovered = fault["recovered"]
        return fault["begin"], str(fault["type"]), fault["end"], -1.0 if recovered is None else recovered

    return [
        {**same[0], "targets": ", ".join(str(fault["target"]) for fault in same)}
        for same in (list(group) for _, group in groupby(sorted(faults, key=alike), alike))
    ]


def _facts(summary: dict[str, Any]) -> dict[str, str]:
    """By name, on one level: versions.numpy and the like."""
    found: dict[str, str] = {}

    def gather(name: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                gather(f"{name}.{key}" if name else str(key), inner)
        elif isinstance(value, list | tuple):
            found[name] = ", ".join(map(str, value))
        else:
            found[name] = str(value)

    gather("", {key: value for key, value in summary.items() if key not in _OWN})
    return found

"""The faults of a run: in a panel of their own, and as a shade behind all others."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from fault_lab.report.ink import (
    BLUE,
    BROWN,
    GREEN,
    GREY,
    INK,
    LINE,
    ORANGE,
    PINK,
    PURPLE,
    RED,
    TEAL,
    YELLOW,
    legend,
    say,
    title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Table = Mapping[str, Any]

_KINDS: Final = (RED, ORANGE, PURPLE, BLUE, TEAL, PINK, YELLOW, BROWN, GREEN, GREY)
_HATCHES: Final = ("", "////", "....")  # so that more faults than colours can be told apart
_MOST_LABELS: Final = 23  # targets that fit beside their bars


def targets(faults: Iterable[Table]) -> list[str]:
    """Who had a fault: device-2 before device-10, the aggregator first."""

    def order(name: str) -> list[Any]:
        return [int(piece) if piece.isdecimal() else piece for piece in re.split(r"(\d+)", name)]

    return sorted({str(fault["target"]) for fault in faults}, key=order)


def shade(axes: "Axes", faults: Iterable[Table], end: float) -> None:
    """The seconds in which some fault was active."""
    spans: list[tuple[float, float]] = []
    for begin, over in sorted((fault["begin"], fault["end"]) for fault in faults):
        over = max(over, begin + end / 500)
        if spans and begin <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(over, spans[-1][1])
        else:
            spans.append((begin, over))
    for span in spans:
        axes.axvspan(*span, color=INK, alpha=0.06, linewidth=0)


def draw_faults(axes: "Axes", faults: Sequence[Table], rows: Sequence[str], end: float) -> None:
    """A bar for each fault, a diamond for what is over at once, a line until the cluster was whole again.

    rows: `targets(faults)`. end: seconds that the picture spans.
    """
    title(axes, "faults")
    if not faults:
        say(axes, "no faults")
        return
    at = places(faults, rows)
    for number, kind in enumerate(dict.fromkeys(str(fault["type"]) for fault in faults)):
        mine = [(f, *place) for f, place in zip(faults, at, strict=True) if f["type"] == kind]
        _draw_kind(axes, mine, kind, number, end)
    _draw_recoveries(axes, faults, at)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    step = -(-len(rows) // _MOST_LABELS)
    axes.set_yticks(range(0, len(rows), step), [target[:20] for target in rows[::step]], fontsize=7.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    legend(axes)


def places(faults: Sequence[Table], rows: Sequence[str]) -> list[tuple[float, float]]:
    """Middle and height of each fault's bar: those of one target that overlap share its row."""
    busy: dict[str, list[float]] = {target: [] for target in rows}  # until when each lane is taken
    order = sorted(range(len(faults)), key=lambda index: faults[index]["begin"])
    lane_of = dict.fromkeys(order, 0)
    for index in order:
        fault, ends = faults[index], busy[str(faults[index]["target"])]
        free = [lane for lane, over in enumerate(ends) if over <= fault["begin"]]
        lane_of[index] = free[0] if free else len(ends)
        ends[lane_of[index] : lane_of[index] + 1] = [fault["end"]]
    found = []
    for index, fault in enumerate(faults):
        target = str(fault["target"])
        height = 0.76 / len(busy[target])
        found.append((rows.index(target) - 0.38 + height * (lane_of[index] + 0.5), height))
    return found


def _draw_kind(
    axes: "Axes", faults: Sequence[tuple[Table, float, float]], kind: str, number: int, end: float
) -> None:
    """Faults of one type, each with the middle and the height of its bar."""
    colour = _KINDS[number % len(_KINDS)]
    hatch = _HATCHES[number // len(_KINDS) % len(_HATCHES)]
    lasting = [one for one in faults if one[0]["end"] > one[0]["begin"]]
    instant = [one for one in faults if one[0]["end"] <= one[0]["begin"]]
    if lasting:
        axes.barh(
            [middle for _, middle, _ in lasting],
            [max(fault["end"] - fault["begin"], end / 300) for fault, _, _ in lasting],
            [0.94 * height for _, _, height in lasting],
            [fault["begin"] for fault, _, _ in lasting],
            color=colour,
            hatch=hatch,
            edgecolor=LINE if hatch else "none",
            linewidth=0,
            label=kind,
        )
    if instant:
        begins = [fault["begin"] for fault, _, _ in instant]
        middles = [middle for _, middle, _ in instant]
        label = "_" if lasting else kind
        axes.plot(begins, middles, "D", markersize=4, color=colour, label=label)


def _draw_recoveries(axes: "Axes", faults: Sequence[Table], at: Sequence[tuple[float, float]]) -> None:
    timed = [(f, middle) for f, (middle, _) in zip(faults, at, strict=True) if f["recovered"]]
    if timed:
        rows = [middle for _, middle in timed]
        starts = [fault["end"] for fault, _ in timed]
        stops = [fault["end"] + fault["recovered"] for fault, _ in timed]
        axes.hlines(rows, starts, stops, color=INK, linewidth=1, label="until whole again")
        axes.plot(stops, rows, "|", color=INK, markersize=6)

"""One picture of a whole run: what was done to the cluster, and what came of it, over the same seconds.

Colours are names that the page decides (`var(--blue)`), so that one picture suits light, dark and paper.
"""

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from fault_lab.report import fault_panel, panels
from fault_lab.report.ink import COLOURS, INK, LINE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH: Final = 9.0  # inches, of 72 CSS pixels each
EMPTY: Final = 0.4  # inches of a panel that has nothing to show
ROW: Final = 0.2  # inches for a target of faults, at the most
MOST_ROWS: Final = 4.5  # inches for all of them


def timeline(summary: dict[str, Any]) -> str:
    """The picture as an `<svg>` element. summary: as of `fault_lab.record.summarise`."""
    import matplotlib

    with matplotlib.rc_context(
        {
            "font.family": "DejaVu Sans",  # the widest of those that a page may show, so that labels fit
            "font.size": 9,
            "svg.fonttype": "none",  # text stays text: it can be found, copied and read aloud
            "svg.hashsalt": "nonn",  # the same picture, the same bytes
            "text.parse_math": False,  # a dollar sign is a dollar sign
        }
    ):
        figure = _figure(summary)
        file = io.StringIO()
        nobody = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(file, format="svg", transparent=True, metadata=nobody)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]  # inside a page there is no XML declaration
    label = f"Timeline of {summary['requests']:d} requests and {len(summary['faults'])} faults"
    svg = svg.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return re.sub("|".join(COLOURS), lambda match: COLOURS[match[0]], svg)


def _figure(summary: dict[str, Any]) -> "Figure":
    from matplotlib.figure import Figure

    targets = fault_panel.targets(summary["faults"])
    heights = [min(MOST_ROWS, max(EMPTY, ROW * len(targets))), *_heights(summary)]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.42 * len(heights) + 0.4), layout="constrained")
    every: Sequence[Axes] = figure.subplots(5, 1, sharex=True, height_ratios=heights)
    faults, serving, accuracy, requests, latency = every
    for axes in every:
        _dress(axes)
    for axes in every[1:]:
        fault_panel.shade(axes, summary["faults"], _end(summary))
    fault_panel.draw_faults(faults, summary["faults"], targets, _end(summary))
    panels.draw_serving(serving, summary)
    panels.draw_accuracy(accuracy, summary["samples"], summary["windows"])
    panels.draw_requests(requests, summary["windows"])
    panels.draw_latency(latency, summary["windows"])
    latency.set_xlim(0, _end(summary))
    latency.set_xlabel("seconds after the load has begun", color=INK)
    return figure


def _heights(summary: dict[str, Any]) -> list[float]:
    """Of the panels below the faults: what has nothing to show takes little room to say so."""
    windows = summary["windows"]
    shown = (
        (1.1, summary["samples"]),
        (1.5, summary["samples"] or any(window["accuracy"] for window in windows)),
        (1.5, summary["requests"]),
        (1.5, summary["latency"]),
    )
    return [height if content else EMPTY for height, content in shown]


def _end(summary: dict[str, Any]) -> float:
    """Of what is shown: the load's end, or that of the last recovery or look at the cluster after it."""
    recoveries = (fault["end"] + (fault["recovered"] or 0.0) for fault in summary["faults"])
    looks = (sample["at"] for sample in summary["samples"])
    return float(max(0.0, summary["seconds"], *recoveries, *looks)) or 1.0


def _dress(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(LINE)
    axes.tick_params(color=LINE, labelcolor=INK, labelsize=8)
    axes.grid(color=LINE, linewidth=0.5, alpha=0.7)
    axes.set_axisbelow(True)

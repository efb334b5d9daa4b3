"""What came of a run's faults, panel by panel, each drawn from the figures of its summary."""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from fault_lab.report.ink import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, TEAL, YELLOW, legend, say, title
from fault_lab.report.interval import interval
from fault_lab.report.words import duration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Table = Mapping[str, Any]

_ENDINGS: Final = (
    ("answered by all", BLUE),
    ("degraded", TEAL),
    ("refused", YELLOW),
    ("unreachable", GREY),
    ("lost", RED),
)


def draw_serving(axes: "Axes", summary: Table) -> None:
    """As shares, so that 64 devices and 4 parts fit on one scale."""
    title(axes, "in service")
    samples = _changes(summary["samples"])
    if not samples:
        say(axes, "the cluster was not watched")
        return
    at = [sample["at"] for sample in samples]
    for key, total, name, colour, style, width in (
        ("parts", summary["parts"], "parts", ORANGE, "-", 3.2),
        ("serving", summary["devices"], "devices", BLUE, "-", 1.8),
        ("students", summary["students"], "students", GREEN, ":", 1.4),
    ):
        shares = [100 * sample[key] / max(total, 1) for sample in samples]
        label = f"{name}, of {total}"
        axes.step(at, shares, style, where="post", color=colour, linewidth=width, label=label)
    axes.set_ylim(-6, 108)
    axes.set_yticks([0, 50, 100], ["0 %", "50 %", "100 %"])
    legend(axes)


def draw_accuracy(axes: "Axes", samples: Sequence[Table], windows: Sequence[Table]) -> None:
    title(axes, "accuracy")
    known = [window for window in windows if window["accuracy"]]
    steps = _changes(samples)
    expected = [
        100 * _number(sample["expected_accuracy"]) if sample["students"] else math.nan for sample in steps
    ]
    seen = [value for value in expected if not math.isnan(value)]
    if seen:
        at = [sample["at"] for sample in steps]
        axes.step(at, expected, where="post", color=ORANGE, label="expected of who serves")
    if known:
        observed = [100 * window["accuracy"]["observed"] for window in known]
        ranges = [interval(w["accuracy"]["observed"], w["accuracy"]["images"]) for w in known]
        low, high = ([100 * value for value in side] for side in zip(*ranges, strict=True))
        axes.errorbar(
            [window["at"] + window["seconds"] / 2 for window in known],
            observed,
            yerr=[_gaps(observed, low), _gaps(high, observed)],
            fmt="o",
            markersize=3,
            elinewidth=0.9,
            color=BLUE,
            label="observed, with 99 % interval",
        )
        seen += [*low, *observed]
    if not seen:
        say(axes, "no image had a label, and nothing was expected")
        return
    axes.set_ylim(max(-4.0, min(seen) - 4), 103)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    legend(axes)


def draw_requests(axes: "Axes", windows: Sequence[Table]) -> None:
    seconds = windows[0]["seconds"] if windows else 1.0
    title(axes, "requests a second" if seconds == 1 else f"requests in {seconds:g} s")
    if not any(window["requests"] for window in windows):
        say(axes, "no requests")
        return
    below = [0] * len(windows)
    for (name, colour), heights in zip(_ENDINGS, _by_ending(windows), strict=True):
        if any(heights):
            at = [window["at"] for window in windows]
            axes.bar(
                at, heights, seconds, below, align="edge", color=colour, linewidth=0, alpha=0.85, label=name
            )
        below = [low + height for low, height in zip(below, heights, strict=True)]
    axes.set_ylim(0, 1.08 * max(below))
    axes.locator_params(axis="y", integer=True, nbins=5)
    legend(axes)


def _by_ending(windows: Sequence[Table]) -> list[list[int]]:
    """By ending, its requests in each window; the answered are split into whole and degraded."""
    degraded = [min(window["degraded"], window["answered"]) for window in windows]
    whole = [window["answered"] - some for window, some in zip(windows, degraded, strict=True)]
    others = [[window[name] for window in windows] for name in ("refused", "unreachable", "lost")]
    return [whole, degraded, *others]


def draw_latency(axes: "Axes", windows: Sequence[Table]) -> None:
    """On a log scale: what a fault costs is often a hundred times the usual."""
    title(axes, "latency of answers")
    known = [window["latency"] for window in windows if window["latency"]]
    if not known:
        say(axes, "no answers")
        return
    axes.set_yscale("log")
    middles = [window["at"] + window["seconds"] / 2 for window in windows]
    for key, colour in (("p50", GREEN), ("p95", BLUE), ("p99", PURPLE), ("max", RED)):
        values = [max(w["latency"][key], 1e-6) if w["latency"] else math.nan for w in windows]
        axes.plot(middles, values, "o-", color=colour, markersize=2.5, linewidth=1.2, label=key)
    low, high = max(min(one["p50"] for one in known), 1e-6), max(one["max"] for one in known)
    _log_ticks(axes, low / 1.3, max(high, 1e-6) * 1.3)
    legend(axes)


def _log_ticks(axes: "Axes", low: float, high: float) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    mantissas = (1,) if high / low > 1000 else (1, 2, 5) if high / low > 4 else (1, 1.5, 2, 3, 4, 5, 6, 8)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**decade for decade, m in itertools.product(decades, mantissas)]
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(lambda value, _: duration(value).replace(".0 ms", " ms"))
    axes.set_ylim(low, high)


def _changes(samples: Sequence[Table]) -> list[Table]:
    """Those that differ from the one before, and the last: as steps they look the same as all."""
    kept: list[Table] = []
    for sample in samples:
        if not kept or any(kept[-1][key] != sample[key] for key in sample if key != "at"):
            kept.append(sample)
    return kept + ([samples[-1]] if samples and kept[-1] is not samples[-1] else [])


def _gaps(high: Iterable[float], low: Iterable[float]) -> list[float]:
    return [max(0.0, upper - lower) for upper, lower in zip(high, low, strict=True)]


def _number(value: float | None) -> float:
    """Nobody serves: nothing is expected, and the line has a gap."""
    return math.nan if value is None else value

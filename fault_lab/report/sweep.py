"""What the loss of every number of devices costs: measured live, beside what the bundle foretells."""

import io
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bundle.errors import StorageError
from device_node.state import write_atomically
from fault_lab.report.interval import interval
from fault_lab.report.words import count, share

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from rich.table import Table

_FORMATS: Final = {".png": "png", ".svg": "svg"}
_MOST_LABELS: Final = 16  # that fit side by side


@dataclass(frozen=True, slots=True)
class SweepCell:
    """The loss of `lost` devices: `subsets_measured` of the `subsets` ways to lose so many were tried.

    images: that were answered in all of these together. observed: over the subsets that were measured.
    expected: by the bundle, over all subsets. Accuracies lie in 0 to 1; NaN for what is not known.
    """

    lost: int
    subsets_measured: int
    subsets: int
    images: int
    observed_mean: float
    observed_worst: float
    observed_best: float
    expected_mean: float
    expected_worst: float
    expected_best: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 99 % interval of the observed mean, from the number of images alone."""
        return interval(self.observed_mean, self.images)


def to_dict(cells: Sequence[SweepCell]) -> dict[str, Any]:
    """JSON values: what is not known is null."""
    return {
        "cells": [
            {
                key: None if isinstance(value, float) and math.isnan(value) else value
                for key, value in asdict(cell).items()
            }
            | {"observed_interval": list(cell.interval)}
            for cell in cells
        ]
    }


def table(cells: Sequence[SweepCell]) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    columns = (
        "lost",
        "subsets",
        "images",
        "observed\nmean",
        "worst",
        "best",
        "expected\nmean",
        "worst",
        "best",
    )
    made = Table(box=SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    for name in columns:
        made.add_column(name if "\n" in name else f"\n{name}", justify="right", no_wrap=True)
    for cell in cells:
        tried = f"{cell.subsets_measured:,}"
        made.add_row(
            str(cell.lost),
            tried if cell.subsets_measured == cell.subsets else f"{tried} of {cell.subsets:,}",
            f"{cell.images:,}",
            share(cell.observed_mean),
            share(cell.observed_worst),
            share(cell.observed_best),
            share(cell.expected_mean),
            share(cell.expected_worst),
            share(cell.expected_best),
        )
    return made


def plot(cells: Sequence[SweepCell], path: Path, title: str = "Accuracy when devices are lost") -> None:
    """PNG or SVG, by the suffix of `path`. Raises StorageError."""
    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise StorageError(f"cannot draw {path}: name the picture .png or .svg")
    import matplotlib

    file = io.BytesIO()
    # The same picture, the same bytes: no date, no random identifiers in an SVG.
    metadata = {"Date": None} if kind == "svg" else {"Software": None}
    with matplotlib.rc_context({"svg.hashsalt": "nonn", "text.parse_math": False}):
        _figure(cells, title).savefig(file, format=kind, dpi=150, metadata=metadata)
    write_atomically(path, file.getvalue())


def _figure(cells: Sequence[SweepCell], title: str) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    lost = [cell.lost for cell in cells]
    worst, mean, best = (
        [100 * getattr(cell, f"expected_{which}") for cell in cells] for which in ("worst", "mean", "best")
    )
    axes.fill_between(lost, worst, best, alpha=0.2, color="tab:blue", label="expected, worst to best subset")
    axes.plot(lost, mean, ".-", color="tab:blue", label="expected, mean of all subsets")
    _draw_observed(axes, [cell for cell in cells if cell.images])
    measured = sum(cell.subsets_measured for cell in cells)
    images = sum(cell.images for cell in cells)
    axes.set_title(f"{title}\n{count(measured, 'subset')} measured live with {count(images, 'image')}")
    axes.set(xlabel="devices lost", ylabel="top-1 accuracy, %")
    axes.set_xticks(lost[:: max(1, -(-len(lost) // _MOST_LABELS))])
    axes.set_xlim(min(lost, default=0) - 0.5, max(lost, default=0) + 0.5)
    axes.set_ylim(0, 103)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", frameon=False, fontsize=9)
    return figure


def _draw_observed(axes: "Axes", cells: Sequence[SweepCell]) -> None:
    if not cells:
        return
    lost = [cell.lost for cell in cells]
    mean = [100 * cell.observed_mean for cell in cells]
    low = [100 * (cell.observed_mean - cell.interval[0]) for cell in cells]
    high = [100 * (cell.interval[1] - cell.observed_mean) for cell in cells]
    axes.errorbar(
        lost,
        mean,
        yerr=[low, high],
        fmt="o",
        markersize=4,
        capsize=3,
        color="tab:orange",
        label="observed, mean with its 99 % interval",
    )
    for which, marker in (("worst", "v"), ("best", "^")):
        values = [100 * getattr(cell, f"observed_{which}") for cell in cells]
        axes.plot(
            lost,
            values,
            marker,
            markersize=4,
            alpha=0.7,
            color="tab:orange",
            markeredgewidth=0,
            label=f"observed, {which} subset",
        )
    if len(lost) > _MOST_LABELS:
        return
    for x, y in zip(lost, mean, strict=True):
        axes.annotate(f"{y:.1f}", (x, y), textcoords="offset points", xytext=(8, -12), ha="left", fontsize=8)

"""A picture of the filter graph, its filters in the order of the parts."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from partitioner.errors import PartitionError, PartitionFileError
from partitioner.files import write_atomically
from partitioner.graph import FilterGraph
from partitioner.parts import Partition
from partitioner.quality import report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FORMATS = {".png": "png", ".svg": "svg"}


def draw(graph: FilterGraph, partition: Partition, path: Path) -> None:
    """Write a PNG or SVG, by the suffix of `path`: edge weights [C, C] as a heat map, parts framed.

    Inside a part, and among the dropped filters at the end, the strongest connected come first. Raises
    PartitionError when graph and partition do not match, PartitionFileError when the file cannot be written.
    """
    if path.suffix.lower() not in _FORMATS:
        raise PartitionFileError(f"cannot draw {path}: name the picture .png or .svg")
    if partition.filters != graph.filters:
        raise PartitionError(
            f"the partition is of {partition.filters} filters, the graph has {graph.filters}"
        )
    import matplotlib

    # Same picture, same bytes: no date, no random identifiers in the SVG.
    with matplotlib.rc_context({"svg.hashsalt": "nonn", "font.family": "DejaVu Sans"}):
        figure = _figure(graph, partition)
        kind = _FORMATS[path.suffix.lower()]
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        write_atomically(path, lambda file: figure.savefig(file, format=kind, dpi=160, metadata=metadata))


def _figure(graph: FilterGraph, partition: Partition) -> "Figure":
    from matplotlib.colors import PowerNorm
    from matplotlib.figure import Figure

    degrees = graph.weights.sum(axis=1)
    groups = [np.array(part, dtype=np.intp) for part in (*partition.parts, partition.dropped) if part]
    order = np.concatenate([group[np.argsort(-degrees[group], kind="stable")] for group in groups])
    reordered = graph.weights[np.ix_(order, order)]
    figure = Figure(figsize=(7.2, 6.4), layout="constrained")
    axes = figure.add_subplot()
    # A square root and a ceiling at the 99.5th percentile: few heavy edges would leave the rest black.
    ceiling = float(np.percentile(reordered, 99.5)) or float(reordered.max()) or 1.0
    image = axes.imshow(reordered, cmap="magma", norm=PowerNorm(0.5, 0.0, ceiling), interpolation="nearest")
    _frame(axes, partition)
    _title(axes, graph, partition)
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.02, extend="max", label="edge weight")
    bar.outline.set_visible(False)
    return figure


def _frame(axes: "Axes", partition: Partition) -> None:
    from matplotlib.patches import Rectangle

    groups = [(f"part {number}", size) for number, size in enumerate(partition.sizes)]
    if partition.dropped:
        groups.append(("dropped", len(partition.dropped)))
    sizes = [size for _, size in groups]
    starts = np.concatenate([[0], np.cumsum(sizes)]) - 0.5
    for border in starts[1:-1]:
        axes.axhline(border, color="white", linewidth=0.5, alpha=0.5)
        axes.axvline(border, color="white", linewidth=0.5, alpha=0.5)
    for start, size in zip(starts[: len(partition.parts)].tolist(), partition.sizes, strict=True):
        frame = Rectangle((start, start), size, size, fill=False, edgecolor="#4fd1c5", linewidth=1.4)
        frame.set_clip_on(False)
        axes.add_patch(frame)
    axes.set_xticks([])
    names = [_name(name, size, size / partition.filters) for name, size in groups]
    axes.set_yticks(starts[:-1] + np.array(sizes) / 2, names, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _name(name: str, size: int, share: float) -> str:
    """As much as fits beside a part of this share of the picture's height."""
    if share > 0.045:
        return f"{name}\n{size} filters"
    return f"{name}: {size}" if share > 0.022 else ""


def _title(axes: "Axes", graph: FilterGraph, partition: Partition) -> None:
    figures = report(graph, partition)
    least, most = min(figures.sizes), max(figures.sizes)
    each = f"of {least}" if least == most else f"of {least} to {most}"
    axes.set_title(
        f"{partition.method}: {graph.filters} filters, {len(figures.sizes)} parts {each}\n"
        f"cut {figures.cut:.3f} · normalised cut {figures.normalized_cut:.3f} · "
        f"modularity {figures.modularity:.3f}",
        fontsize=11,
        loc="left",
    )

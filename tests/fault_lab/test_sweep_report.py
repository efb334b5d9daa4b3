"""A sweep as a table, as JSON and as a picture."""

import io
import json
import math
from math import comb
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

from bundle import StorageError
from fault_lab.report.interval import interval
from fault_lab.report.sweep import SweepCell, plot, table, to_dict


def cell(lost: int, devices: int = 8) -> SweepCell:
    """Plausible: each loss costs more than the one before."""
    ways = comb(devices, lost)
    measured = min(10, ways)
    mean = 0.967 - 0.45 * (lost / devices) ** 2
    return SweepCell(
        lost, measured, ways, 300 * measured, mean + 0.002, mean - 0.05, mean + 0.02, mean, mean - 0.06, 0.967
    )


CELLS = tuple(cell(lost) for lost in range(8))
UNMEASURED = SweepCell(0, 0, 1, 0, math.nan, math.nan, math.nan, 0.967, 0.967, 0.967)


def shown(cells: tuple[SweepCell, ...], width: int = 80) -> list[list[str]]:
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(table(cells))
    return [line.split() for line in console.export_text().splitlines() if line.strip()]


def test_the_table_has_a_row_for_each_number_of_lost_devices() -> None:
    above, header, _, *rows = shown(CELLS)
    assert above == ["observed", "expected"]
    assert header == ["lost", "subsets", "images", "mean", "worst", "best", "mean", "worst", "best"]
    assert len(rows) == len(CELLS)
    assert rows[1][:5] == ["1", "8", "2,400", "96.2", "%"]
    assert rows[2][:5] == ["2", "10", "of", "28", "3,000"]


def test_a_cell_that_was_not_measured_has_no_accuracy() -> None:
    assert shown((UNMEASURED,))[-1][:6] == ["0", "0", "of", "1", "0", "—"]
    assert to_dict((UNMEASURED,))["cells"][0]["observed_mean"] is None


def test_json_has_every_figure_and_the_interval() -> None:
    values = json.loads(json.dumps(to_dict(CELLS), allow_nan=False))["cells"]
    assert [value["lost"] for value in values] == list(range(8))
    assert values[2]["subsets_measured"] == 10
    assert values[2]["subsets"] == 28
    assert values[2]["observed_interval"] == list(interval(CELLS[2].observed_mean, 3000))
    json.dumps(to_dict((UNMEASURED,)), allow_nan=False)


def test_the_plot_is_labelled_in_words(tmp_path: Path) -> None:
    plot(CELLS, tmp_path / "sweep.svg", title="digits")
    picture = (tmp_path / "sweep.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(picture)
    # Text is drawn as outlines, and named in a comment before them.
    for label in ("digits", "67 subsets measured live", "devices lost", "top-1 accuracy, %"):
        assert label in picture


@pytest.mark.parametrize(
    "cells",
    [(), (UNMEASURED,), CELLS, tuple(cell(lost, 64) for lost in range(64))],
    ids=["none", "unmeasured", "eight", "sixty-four"],
)
def test_any_sweep_can_be_drawn(cells: tuple[SweepCell, ...], tmp_path: Path) -> None:
    plot(cells, tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.png"]


def test_the_same_sweep_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.svg", "two.svg"):
        plot(CELLS, tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()


def test_another_kind_of_picture_and_a_missing_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"name the picture .png or .svg"):
        plot(CELLS, tmp_path / "sweep.bmp")
    with pytest.raises(StorageError, match="cannot write"):
        plot(CELLS, tmp_path / "nowhere" / "sweep.png")

"""The accuracy table's rows, figures and claim, without any training."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks.accuracy.__main__ import summary
from benchmarks.accuracy.cells import Cell, load_cells
from benchmarks.accuracy.table import (
    GOALS,
    claim,
    markdown,
    markdown_claim,
    markdown_fills,
    markdown_ideas,
    plot,
    row,
)
from student_builder.files import write_json

CELLS = load_cells("cells") | load_cells("ideas")


def judged(full: float, half: float) -> dict[str, Any]:
    """A straight line from `full` with nobody lost through `half` with four lost."""
    accuracy = {lost: full - lost * (full - half) / 4 for lost in range(8)}
    return {
        str(lost): {"mean": mean, "worst": mean - 0.02, "best": mean + 0.01, "subsets": 1 + lost}
        for lost, mean in accuracy.items()
    }


def result(cell: Cell, seed: int, full: float, half: float) -> dict[str, Any]:
    by_fill = {
        fill: judged(full, half - worse) for fill, worse in (("zero", 0.2), ("mean", 0.1), ("ridge", 0.0))
    }
    found: dict[str, Any] = {
        "experiment": {"seed": seed, **cell.tables},
        "seconds": 100,
        "training_seconds": 80.0,
        "parameters": 150_000,
        "multiply_adds": 9_000_000,
        "part_sizes": [96] * 4,
        "machine": {"commit": "abc", "others": 0.02},
        "validation": by_fill,
    }
    return found | ({"test": by_fill} if cell.kind == "cells" else {})


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_every_row_and_idea_is_an_experiment_on_the_same_terms(cell: Cell) -> None:
    experiment, base = cell.experiment(7), CELLS["eigenvector"].experiment(0)
    assert (experiment.name, experiment.seed) == (cell.name, 7)
    assert experiment.students.count == 8
    assert (experiment.trunk is None) == ("trunk" in cell.without)
    if cell.name != "longer" and not cell.without:
        assert experiment.students.epochs == base.students.epochs
    assert experiment.merge.fill == "ridge"  # so that all three can be judged
    assert experiment.data == base.data
    assert experiment.teacher == base.teacher
    if cell.kind == "cells":
        assert experiment.students.architecture == base.students.architecture
        assert experiment.trunk == base.trunk
    elif cell.against is not None:
        against = CELLS[cell.against].experiment(7)
        assert experiment.students.architecture == against.students.architecture
        assert experiment.trunk == against.trunk


def test_the_claim_stands_on_three_seeds() -> None:
    assert len(CELLS["ours"].seeds) >= 3
    assert len(CELLS["nonn"].seeds) >= 3


def test_a_row_is_the_mean_and_the_extremes_over_its_seeds() -> None:
    cell = CELLS["nonn"]
    found = row(cell, {0: result(cell, 0, 0.7, 0.5), 1: result(cell, 1, 0.8, 0.6)})
    half = found["by_lost"]["4"]
    assert half["mean"] == pytest.approx(0.35)  # by zeros, NoNN's own rule
    assert half["deviation"] == pytest.approx(0.0707, abs=1e-4)
    assert half["worst"] == pytest.approx(0.28)
    assert half["best"] == pytest.approx(0.41)
    assert found["half_lost"]["ridge"]["mean"] == pytest.approx(0.55)
    assert row(cell, {0: result(cell, 0, 0.7, 0.5)})["by_lost"]["4"]["deviation"] is None


def test_the_claim_is_what_was_reached_of_each_goal() -> None:
    rows = {
        name: row(CELLS[name], {0: result(CELLS[name], 0, full, half)})
        for name, full, half in (("nonn", 0.6, 0.6), ("ours", 0.7, 0.86))
    }
    found = claim(rows)["ours"]
    assert found["mean"] == pytest.approx(0.66)
    assert found["of_full"] == pytest.approx(0.66 / 0.7, abs=1e-4)
    assert found["of_nonn"] == pytest.approx(0.66 / 0.4, abs=1e-4)
    assert found["worst_of_full"] == pytest.approx(0.64 / 0.7, abs=1e-4)
    lines = markdown_claim({"rows": rows, "claim": claim(rows)})
    assert lines[0].startswith("| what | goal | ours |")
    assert lines[2].endswith("| 0.72 | 0.660 (-0.060) |")
    assert set(GOALS) == set(found)
    assert claim({"ours": rows["ours"]}) == {}


def test_the_summary_tells_what_is_done_and_takes_nothing_else_for_it(tmp_path: Path) -> None:
    common = {"teacher": {"validation": 0.74, "test": 0.73}, "trunk_seconds": 7200.0}
    write_json(tmp_path / "before.json", common)
    cells, ideas = load_cells("cells"), load_cells("ideas")
    for name, seed in (
        ("nonn", 0),
        ("nonn", 2),
        ("paper-4", 0),
        ("small-4", 0),
        ("spread", 0),
        ("joint", 0),
    ):
        cell = CELLS[name]
        write_json(
            tmp_path / cell.kind / f"{name}-{seed}" / "result.json", result(cell, seed, 0.7, 0.6 + seed / 100)
        )
    stale = result(CELLS["joint"], 0, 0.9, 0.9)
    stale["experiment"]["students"] = {"count": 8}
    write_json(tmp_path / "ideas" / "joint-0" / "result.json", stale)
    found = summary(cells, ideas, tmp_path)
    assert found["state"]["trained"] == 5
    assert found["state"]["of"] == sum(len(cell.seeds) for cell in CELLS.values())
    assert list(found["rows"]) == ["nonn", "paper-4"]
    assert found["rows"]["nonn"]["seeds"] == [0, 2]
    assert list(found["ideas"]) == ["small-4", "spread"]
    table = "\n".join(markdown(found))
    assert "| 70.0 ± 0.0 |" in table
    assert "5 of 22 trainings" in table
    assert "2.1 hours, 2.0 of them the trunk's. Trained at abc; others took 2 to 2 %" in table
    assert "73.0" in table
    assert "40.0" in "\n".join(markdown_fills(found))
    assert "+0.0" in "\n".join(markdown_ideas(found))
    assert markdown_claim(found) == ["Not trained yet."]
    plot(found, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().startswith("<?xml")

"""Rows of the table and ideas, read from cells.toml."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bundle import Fill
from student_builder.experiment import Experiment
from student_builder.workspace import Workspace

FILE = Path(__file__).with_name("cells.toml")
# A cell is judged on test images once it is trained; an idea on validation images alone.
Kind = Literal["cells", "ideas"]


@dataclass(frozen=True)
class Cell:
    """own_fill: how the method itself fills in for lost parts. without: tables of [base] that it does not
    have. against: what an idea is compared to.
    """

    kind: Kind
    name: str
    label: str
    own_fill: Fill
    seeds: tuple[int, ...]
    changes: Mapping[str, Mapping[str, Any]]
    without: tuple[str, ...] = ()
    against: str | None = None
    kept: bool = False

    @property
    def tables(self) -> dict[str, dict[str, Any]]:
        """[base] as this cell changes it."""
        base = {name: table for name, table in _document()["base"].items() if name not in self.without}
        return {name: {**base.get(name, {}), **self.changes.get(name, {})} for name in {*base, *self.changes}}

    def experiment(self, seed: int) -> Experiment:
        """Raises pydantic's ValidationError for what no experiment may be."""
        return Experiment.model_validate(
            {"name": self.name, "seed": seed, "base": FILE.parent, **self.tables}
        )


def common_workspace(work: Path) -> Workspace:
    """Of what all rows have in common: teacher, views, trunk."""
    return Workspace(load_cells("cells")["whole"].experiment(0), work / "teacher", work / "shared")


def load_cells(kind: Kind) -> dict[str, Cell]:
    return {name: _cell(kind, name, table) for name, table in _document().get(kind, {}).items()}


def _cell(kind: Kind, name: str, table: dict[str, Any]) -> Cell:
    """A cell `on` another table changes that table's changes of [base]."""
    own = {key: value for key, value in table.items() if isinstance(value, dict)}
    under = _document()[table["on"]] if "on" in table else {}
    changes = {key: {**under.get(key, {}), **own.get(key, {})} for key in {*under, *own}}
    return Cell(
        kind,
        name,
        label=table["label"],
        own_fill=table["own_fill"],
        seeds=tuple(table.get("seeds", [0])),
        changes=changes,
        without=tuple(table.get("without", ())),
        against=table.get("against"),
        kept=table.get("kept", False),
    )


def _document() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))

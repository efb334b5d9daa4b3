"""docs/reference/experiment.md tells every key that there is, and its true default."""

import re
from pathlib import Path
from typing import Any

import pytest

from student_builder.experiment import (
    DataSection,
    DistillationSchedule,
    Experiment,
    MergeSection,
    PartitionSection,
    Schedule,
    Section,
    StudentsSection,
    TeacherSection,
    TrunkSection,
)

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "experiment.md"
SECTIONS: dict[str, tuple[type[Section], set[str]]] = {
    "Top level": (Experiment, {"base", "data", "teacher", "partition", "students", "trunk", "merge"}),
    "`[data]`": (DataSection, set()),
    "`[teacher]`": (TeacherSection, set()),
    "`[partition]`": (PartitionSection, set()),
    "`[students]`": (StudentsSection, set(DistillationSchedule.model_fields)),
    "`[trunk]`": (TrunkSection, set(DistillationSchedule.model_fields)),
    "Distillation": (DistillationSchedule, set(Schedule.model_fields)),
    "`[merge]`": (MergeSection, set()),
    "Schedule": (Schedule, set()),
}


def rows(section: str) -> dict[str, str]:
    """Key -> default as written; a row may name several keys."""
    text = PAGE.read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = {}
    for keys, default in re.findall(r"^\| (`.*?`) \| ?(.*?) ?\|", text, re.MULTILINE):
        names = re.findall(r"`(\w+)`", keys)
        values = [part.strip(" `") for part in default.split(",")]
        found |= dict(zip(names, values * len(names) if len(values) == 1 else values, strict=False))
    return found


def written(value: Any) -> str:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_and_its_default(section: str) -> None:
    model, elsewhere = SECTIONS[section]
    told = rows(section)
    assert set(told) == set(model.model_fields) - elsewhere
    for key, text in told.items():
        default = model.model_fields[key].default
        if isinstance(default, int | float | str):
            assert text == written(default), key

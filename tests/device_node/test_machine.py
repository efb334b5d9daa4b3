"""What a device finds out about its machine."""

from pathlib import Path

import pytest

from bundle.footprint import RUNTIME_BYTES
from device_node import machine

MEGABYTE = 1_000_000


@pytest.fixture
def cgroup(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(machine, "_CGROUP", tmp_path)
    (tmp_path / "memory").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("limit", "used"),
    [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ],
)
def test_memory_is_what_the_container_leaves(limit: str, used: str, cgroup: Path) -> None:
    (cgroup / limit).write_text(f"{10 * MEGABYTE}\n")
    (cgroup / used).write_text(f"{4 * MEGABYTE}\n")
    assert machine.available_memory() == 6 * MEGABYTE
    (cgroup / used).write_text(f"{11 * MEGABYTE}\n")
    assert machine.available_memory() == 1  # and not 0, for unknown


def test_memory_without_a_limit_is_the_machines(cgroup: Path) -> None:
    without = machine.available_memory()
    (cgroup / "memory.max").write_text("max\n")
    (cgroup / "memory.current").write_text("1\n")
    assert machine.available_memory() == pytest.approx(without, rel=0.2)
    assert without > 100 * MEGABYTE


def test_students_may_use_what_the_runtime_leaves(cgroup: Path) -> None:
    (cgroup / "memory.current").write_text("0\n")
    for limit, offered in ((RUNTIME_BYTES + 5, 5), (RUNTIME_BYTES - 5, 1)):
        (cgroup / "memory.max").write_text(f"{limit}\n")
        assert machine.memory_for_students() == offered

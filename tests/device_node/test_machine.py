"""What a device finds out about its machine."""

from pathlib import Path

import pytest

from bundle.footprint import RUNTIME_BYTES
from device_node import control_group, machine

MEGABYTE = 1_000_000


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where control groups are mounted; this process is in none below."""
    monkeypatch.setattr(control_group, "_MOUNTED", tmp_path / "mounted")
    monkeypatch.setattr(control_group, "_OWN", tmp_path / "own")
    (tmp_path / "own").write_text("0::/\n")
    (tmp_path / "mounted" / "memory").mkdir(parents=True)
    return tmp_path / "mounted"


def limit(folder: Path, limit: int | str, used: int, cached: int = 0) -> None:
    """The second version's files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\ninactive_file {cached}\nactive_file 3\n")


@pytest.mark.parametrize(
    ("limit", "used"),
    [
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ],
)
def test_memory_is_what_the_container_leaves(limit: str, used: str, mounted: Path) -> None:
    (mounted / limit).write_text(f"{10 * MEGABYTE}\n")
    (mounted / used).write_text(f"{4 * MEGABYTE}\n")
    assert machine.available_memory() == 6 * MEGABYTE
    (mounted / used).write_text(f"{11 * MEGABYTE}\n")
    assert machine.available_memory() == 1  # and not 0, for unknown


def test_the_tightest_group_around_the_process_counts(mounted: Path) -> None:
    own = mounted / "system.slice" / "nonn-device.service"
    (mounted.parent / "own").write_text("3:cpuset:/\n0::/system.slice/nonn-device.service\n")
    limit(own, 50 * MEGABYTE, 20 * MEGABYTE)
    limit(own.parent, 90 * MEGABYTE, 80 * MEGABYTE)
    limit(mounted / "other.service", 2 * MEGABYTE, MEGABYTE)
    assert machine.available_memory() == 10 * MEGABYTE
    limit(own.parent, "max", 80 * MEGABYTE)
    assert machine.available_memory() == 30 * MEGABYTE


def test_the_first_versions_groups(mounted: Path) -> None:
    own = mounted / "memory" / "docker" / "0123"
    own.mkdir(parents=True)
    (mounted.parent / "own").write_text("4:cpu,memory:/docker/0123\n0::/elsewhere\n")
    (own / "memory.limit_in_bytes").write_text(f"{9 * MEGABYTE}\n")
    (own / "memory.usage_in_bytes").write_text(f"{4 * MEGABYTE}\n")
    (own / "memory.stat").write_text(f"total_inactive_file {MEGABYTE}\n")
    assert machine.available_memory() == 6 * MEGABYTE


def test_cached_files_count_as_free(mounted: Path) -> None:
    limit(mounted, 50 * MEGABYTE, 45 * MEGABYTE, cached=20 * MEGABYTE)
    assert machine.available_memory() == 25 * MEGABYTE


def test_a_group_outside_of_what_is_mounted(mounted: Path) -> None:
    (mounted.parent / "own").write_text("0::/../../host.slice\n")
    limit(mounted.parent / "host.slice", 2 * MEGABYTE, MEGABYTE)
    limit(mounted, 50 * MEGABYTE, 20 * MEGABYTE)
    assert machine.available_memory() == 30 * MEGABYTE


def test_memory_without_a_limit_is_the_machines(mounted: Path) -> None:
    without = machine.available_memory()
    limit(mounted, "max", 1)
    assert machine.available_memory() == pytest.approx(without, rel=0.2)
    assert without > 100 * MEGABYTE


def test_a_device_has_the_processors_that_its_container_may_use(mounted: Path) -> None:
    usable = machine.cores()
    (mounted / "cpu.max").write_text("max 100000\n")
    assert machine.cores() == usable
    (mounted / "cpu.max").write_text("18000 100000\n")
    assert machine.cores() == 1
    (mounted / "cpu.max").write_text(f"{usable + 1}00000 100000\n")
    assert machine.cores() == usable


def test_processors_of_the_first_versions_groups(mounted: Path) -> None:
    own = mounted / "cpu" / "docker"
    own.mkdir(parents=True)
    (mounted.parent / "own").write_text("4:cpu,cpuacct:/docker\n")
    (own / "cpu.cfs_period_us").write_text("100000\n")
    for quota, limit in (("-1", None), ("150000", 1.5), ("0", None), ("nonsense", None)):
        (own / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        assert control_group.processors() == limit


def test_students_may_use_what_the_runtime_leaves(mounted: Path) -> None:
    (mounted / "memory.current").write_text("0\n")
    for limit, offered in ((RUNTIME_BYTES + 5, 5), (RUNTIME_BYTES - 5, 1)):
        (mounted / "memory.max").write_text(f"{limit}\n")
        assert machine.memory_for_students() == offered

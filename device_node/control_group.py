"""What control groups leave to this process, a container's or a systemd unit's: memory and processors."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MOUNTED: Final = Path("/sys/fs/cgroup")
_OWN: Final = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class _Files:
    """The names of one version of control groups; reclaimable: a line of memory.stat.

    processors: one file with microseconds and the period that they are of, or a file for each.
    """

    limit: str
    used: str
    reclaimable: str
    processors: tuple[str, ...]


_SECOND: Final = _Files("memory.max", "memory.current", "inactive_file", ("cpu.max",))
_FIRST: Final = _Files(
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "total_inactive_file",
    ("cpu.cfs_quota_us", "cpu.cfs_period_us"),
)


def memory_left() -> int | None:
    """Bytes until the tightest limit of any group around this process; None where there is no limit.

    Cached files that nobody has asked for lately count as free: the kernel drops them before it ends a
    process.
    """
    rests = (_rest(folder, files) for folder, files in _groups("memory"))
    return min((rest for rest in rests if rest is not None), default=None)


def processors() -> float | None:
    """How many the tightest limit of any group around this process comes to; None where there is none."""
    limits = (_processors(folder, files) for folder, files in _groups("cpu"))
    return min((limit for limit in limits if limit is not None), default=None)


def _groups(controller: str) -> Iterator[tuple[Path, _Files]]:
    """Every group from this process's own up to the mounted root, which is all that a container may see."""
    for root, files, name in ((_MOUNTED, _SECOND, ""), (_MOUNTED / controller, _FIRST, controller)):
        own = _own_path(name)
        for depth in range(len(own.parts), -1, -1):
            yield root.joinpath(*own.parts[:depth]), files


def _own_path(controller: str) -> Path:
    """Below the root; the root itself where the system does not say, or names a place outside."""
    try:
        lines = _OWN.read_text().splitlines()
    except OSError:
        return Path()
    for line in lines:  # 0::/system.slice/nonn.service, 4:memory:/docker/0123
        _, names, path = line.split(":", 2)
        if controller in names.split(",") and ".." not in path:
            return Path(path.lstrip("/"))
    return Path()


def _rest(folder: Path, files: _Files) -> int | None:
    try:
        limit, used = ((folder / name).read_text().strip() for name in (files.limit, files.used))
    except OSError:
        return None
    if not (limit.isdecimal() and used.isdecimal()):  # `max`: no limit here
        return None
    rest = int(limit) - int(used) + _reclaimable(folder / "memory.stat", files.reclaimable)
    return max(rest, 1)  # 0 would mean that nothing is known


def _processors(folder: Path, files: _Files) -> float | None:
    try:
        words = " ".join((folder / name).read_text() for name in files.processors).split()
    except OSError:
        return None
    if len(words) != 2 or not all(word.isdecimal() and int(word) for word in words):  # `max`, -1: no limit
        return None
    return int(words[0]) / int(words[1])


def _reclaimable(path: Path, key: str) -> int:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key} ")), 0)

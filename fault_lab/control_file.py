"""A JSON file by which one process tells another what to do, while both run.

The file is replaced as a whole. Where it is mounted into a container, its folder has to be: a mount of the
file alone would go on showing the one that was replaced.
"""

import dataclasses
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic  # the real one, whatever a device is made to believe
from typing import Any, Final, Generic, TypeVar

LOOK_SECONDS: Final = 0.02  # between two looks at the file

T = TypeVar("T")


def write(path: Path, document: object) -> None:
    """By one process only. Whoever looks finds the former document or this one, never a part of it."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(json.dumps(document), encoding="utf-8")
    temporary.chmod(0o644)  # in a container another user reads it
    temporary.replace(path)


class ControlFile(Generic[T]):
    """What the file says, as `parse` understands it; `missing` when there is none.

    parse: raises ValueError or TypeError for what it does not understand: that is said on standard error, and
    what the file said before still counts.
    """

    def __init__(self, path: Path, parse: Callable[[Any], T], missing: T) -> None:
        self._path = path
        self._parse = parse
        self._missing = self._current = missing
        self._version: tuple[int, ...] | None = None
        self._due = 0.0

    def current(self) -> T:
        """At most LOOK_SECONDS old; cheap enough to be asked for every message."""
        now = monotonic()
        if now >= self._due:
            self._due = now + LOOK_SECONDS
            self._look()
        return self._current

    def _look(self) -> None:
        version = _version(self._path)
        if version == self._version:
            return
        self._version = version
        if version is None:
            self._current = self._missing
            return
        try:
            self._current = self._parse(json.loads(self._path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            print(f"{self._path}: {error}; what it said before still counts", file=sys.stderr, flush=True)


def _version(path: Path) -> tuple[int, ...] | None:
    """Another one for each writing; None when there is no file."""
    try:
        found = os.stat(path)  # noqa: PTH116 - half the time of Path.stat, and this is asked often
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def build(kind: type[T], document: object) -> T:
    """A dataclass from a JSON object of its fields. Raises ValueError and TypeError."""
    if not isinstance(document, dict):
        raise ValueError(f"{document!r} is no object")
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    if unknown := document.keys() - set(known):
        raise ValueError(f"{min(unknown)!r} is none of {', '.join(known)}")
    return kind(**document)


def to_document(value: Any) -> dict[str, Any]:
    """The JSON object of a dataclass: what differs from its defaults."""
    found = {
        field.name: getattr(value, field.name)
        for field in dataclasses.fields(value)
        if getattr(value, field.name) != field.default
    }
    return {
        name: to_document(each) if dataclasses.is_dataclass(each) else each for name, each in found.items()
    }

"""A device's folder on disk: who it is, and the lock that keeps a second process from being it too."""

import contextlib
import fcntl
import itertools
import math
import os
import re
import uuid
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from bundle.errors import StorageError
from device_node.settings import DeviceSettings

_ID: Final = re.compile(r"[0-9a-f]{32}")
_ID_FILE: Final = "device-id"
_MOST_PER_HOST: Final = 256


class FolderInUse(StorageError):
    """Another living process holds the folder."""


class StateFolder:
    """Held from opening to `close()`, or for a `with` block.

    name: the device's, which for the second device of a host without a name of its own ends in -2.
    device_id: 32 hexadecimal digits, the same for as long as the folder lives.
    speed: that the device last measured, in billions of multiply-adds a second; 0 when it never has.
    """

    def __init__(self, path: Path, name: str) -> None:
        """Raises FolderInUse, and StorageError when the folder cannot be written."""
        self.path = path
        self.name = name
        self._lock = _lock(path)
        try:
            self.device_id = _read_or_create_id(path)
            self.speed = _read_speed(path / "speed")
        except BaseException:
            self.close()
            raise

    def take_new_identity(self) -> None:
        """Raises StorageError when it is not kept on disk; it is taken all the same."""
        self.device_id = uuid.uuid4().hex
        _write_id(self.path, self.device_id)

    def keep_speed(self, speed: float) -> None:
        """Raises StorageError when it is not kept on disk."""
        self.speed = speed
        write_atomically(self.path / "speed", f"{speed:.4g}\n".encode())

    def close(self) -> None:
        """Let go of the lock; safe to call again."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_state(settings: DeviceSettings) -> StateFolder:
    """The folder that the settings name; without a name or folder, the first free one of this host."""
    name = settings.display_name
    if settings.state is not None:
        return StateFolder(settings.state, name)
    if settings.name is not None:
        return StateFolder(default_folder(name), name)
    for number in itertools.count(1):
        candidate = name if number == 1 else f"{name}-{number}"
        try:
            return StateFolder(default_folder(candidate), candidate)
        except FolderInUse:
            if number == _MOST_PER_HOST:
                raise
    raise AssertionError("unreachable")


def default_folder(name: str) -> Path:
    """Of the device of this name, where none is given. Raises StorageError."""
    return _state_home() / "nonn" / "devices" / name


def write_atomically(path: Path, data: bytes) -> None:
    """The file is there wholly or not at all, even when the power goes. Raises StorageError."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def _state_home() -> Path:
    configured = os.environ.get("XDG_STATE_HOME", "")
    if Path(configured).is_absolute():  # a relative one is to be ignored, as the XDG specification says
        return Path(configured)
    try:
        return Path.home() / ".local" / "state"
    except RuntimeError as error:
        raise StorageError("this user has no home folder: name a state folder with --state DIR") from error


def _lock(folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(
            f"cannot use the state folder {folder}: {error.strerror}; name another --state"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if not isinstance(error, BlockingIOError):
            raise StorageError(f"cannot lock the state folder {folder}: {error.strerror}") from error
        raise FolderInUse(
            f"the state folder {folder} belongs to another running device: "
            "give this one a --name or --state of its own"
        ) from None
    return descriptor


def _read_or_create_id(folder: Path) -> str:
    path = folder / _ID_FILE
    try:
        found = path.read_text(errors="replace").strip() if path.exists() else ""
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror}; remove it or name another --state"
        ) from error
    if _ID.fullmatch(found):
        return found
    created = uuid.uuid4().hex
    _write_id(folder, created)
    return created


def _write_id(folder: Path, device_id: str) -> None:
    write_atomically(folder / _ID_FILE, f"{device_id}\n".encode())


def _read_speed(path: Path) -> float:
    """A hint, so whatever is wrong with the file only means that the speed is not known."""
    try:
        speed = float(path.read_text(errors="replace"))
    except (OSError, ValueError):
        return 0.0
    return speed if 0 < speed < math.inf else 0.0

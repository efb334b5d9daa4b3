"""What a host says of itself, before anything is changed."""

from dataclasses import dataclass, fields
from typing import Any, Final

from nonn.deploy.errors import HostFailed

_BEGIN, _END = "nonn-facts", "nonn-end"
_ARRAYS: Final = ("others", "venvs", "halves")


@dataclass(frozen=True, slots=True)
class Facts:
    """machine: as `uname -m` has it. bits: of programs, not of the kernel. python: version, empty when none.

    home: where that Python is installed. venv: whether it can make virtual environments. free: MB for what is
    installed; clock: seconds since 1970. root: whether scripts can become root, or need not.
    made: something was deployed. Otherwise, occupied: a folder that we would use and that holds something
    already, or empty; stranger: somebody else's unit has the service's name. others: services that deploy
    made for this device from another inventory.
    account: the service's user exists; own_account: deploy made it. current: release in force; started: the
    one that last became ready. version: of nonn in it; venv_in_use: that the release refers to; venvs: those
    that run; halves: what an interrupted deployment left, and environments that do not run. certificates,
    unit: sha256 of what is there. key: mode and owner of the key file.
    """

    machine: str
    bits: int
    libc: str
    python: str
    home: str
    venv: bool
    free: int
    clock: int
    systemd: bool
    root: bool
    occupied: str
    stranger: bool
    others: tuple[str, ...]
    made: bool
    account: bool
    own_account: bool
    current: str
    started: str
    version: str
    venv_in_use: str
    venvs: tuple[str, ...]
    halves: tuple[str, ...]
    certificates: str
    key: str
    unit: str
    enabled: bool
    active: bool
    state: bool


def parse(text: str) -> Facts:
    """Of what preflight.sh prints, whatever a login shell printed around it. Raises HostFailed."""
    lines = [line.strip() for line in text.splitlines()]
    try:
        lines = lines[lines.index(_BEGIN) + 1 : lines.index(_END)]
        found = dict(line.split("=", 1) for line in lines if "=" in line)
        return Facts(**{field.name: _value(field.name, field.type, found) for field in fields(Facts)})
    except (ValueError, KeyError) as error:
        raise HostFailed(
            f"it did not answer as a Linux system with a POSIX shell does ({error}): see what "
            "`ssh HOST true` prints"
        ) from None


def _value(name: str, kind: Any, found: dict[str, str]) -> Any:
    text = found[name]
    if name in _ARRAYS:
        return tuple(text.split())
    if kind is bool:
        if text not in ("yes", "no"):
            raise ValueError(f"{name}={text}")
        return text == "yes"
    return int(text or 0) if kind is int else text

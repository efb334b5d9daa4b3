"""Which hosts shall be devices, and how: the values of an inventory file. docs/reference/inventory.md."""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

SERVICE: Final = "nonn-device"
# Folders that the unit hides from the device: ProtectHome, PrivateTmp.
HIDDEN: Final = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")


def hidden(path: str) -> bool:
    """Whether the device, confined by its unit, cannot see this path of the host."""
    return any(PurePosixPath(path).is_relative_to(folder) for folder in HIDDEN)


@dataclass(frozen=True, slots=True)
class Host:
    """One device. Paths of this machine are Path, paths of the host str.

    memory: MB, the unit's limit; None: four fifths of what the machine has. parallel: students computed at a
    time; None: what the host's cores allow. cache: MB of students on disk.
    root: put before every path on the host; empty but for trying things out. account: who the service runs
    as. sudo: become root with it, unless `user` is root.
    """

    name: str
    address: str
    user: str | None = None
    port: int | None = None
    identity: Path | None = None
    ssh_config: Path | None = None
    sudo: bool = True
    python: str = "python3"
    index: str | None = None
    wheelhouse: Path | None = None
    constraints: Path | None = None
    memory: int | None = None
    threads: int = 1
    parallel: int | None = None
    cache: int = 512
    service: str = SERVICE
    account: str = SERVICE
    prefix: str = f"/opt/{SERVICE}"
    root: str = ""

    @property
    def login(self) -> str:
        return self.address if self.user is None else f"{self.user}@{self.address}"

    @property
    def folder(self) -> str:
        """Of everything that is installed."""
        return self.root + self.prefix

    @property
    def state(self) -> str:
        """That systemd makes: identity and cached students."""
        return f"{self.root}/var/lib/{self.service}"

    @property
    def units(self) -> str:
        """Folder of unit files."""
        return f"{self.root}/etc/systemd/system"


@dataclass(frozen=True, slots=True)
class Inventory:
    """aggregator: HOST:PORT that devices dial. certificates: the folder of `nonn certs`; None: plain text."""

    path: Path
    aggregator: str
    certificates: Path | None
    hosts: tuple[Host, ...]

"""The steps on a host: which script, with which values and files, and how long it may take."""

import io
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nonn.deploy import facts, ssh
from nonn.deploy.facts import Facts
from nonn.deploy.inventory import Host
from nonn.deploy.plan import Wanted
from nonn.deploy.wheel import Wheel, fitting

LOOK_SECONDS: Final = 60.0
# A Zero 2 W unpacks and compiles for minutes, after downloading over its wireless network.
INSTALL_SECONDS: Final = 1800.0
SWITCH_SECONDS: Final = 120.0


async def preflight(host: Host) -> Facts:
    """Raises HostFailed."""
    values = {**_places(host), "PYTHON": host.python, "ROOT": host.root, "SUDO": "yes" if host.sudo else "no"}
    values["INSPECT"] = ssh.compose("inspect", _places(host))
    return facts.parse(await ssh.run(host, "preflight", values, root=False, seconds=LOOK_SECONDS))


async def install(host: Host, wanted: Wanted, wheel: Wheel, machine: str) -> None:
    """The account, and the virtual environment, if they are not there. Raises HostFailed."""
    values = {
        **_places(host),
        "PYTHON": host.python,
        "VENV": wanted.venv,
        "VERSION": wanted.version,
        "WHEEL": wheel.path.name,
        "OFFLINE": "no" if host.wheelhouse is None else "yes",
    }
    files: dict[str, Path | bytes] = {f"wheels/{wheel.path.name}": wheel.path}
    if host.wheelhouse is not None:
        others = [path for path in fitting(host.wheelhouse, machine) if not path.name.startswith("nonn-")]
        files |= {f"wheels/{path.name}": path for path in others}
    # Values stand in the list of processes, and an index may hold a password.
    if host.index is not None:
        files["index"] = host.index.encode()
    if host.constraints is not None:
        files["constraints.txt"] = host.constraints
    with _tar(files) as payload:
        await ssh.run(host, "install", values, root=True, seconds=INSTALL_SECONDS, payload=payload)


async def activate(host: Host, wanted: Wanted) -> None:
    """Certificates and unit, and from now on this release is what runs. Raises HostFailed."""
    values = {**_places(host), "VENV": wanted.venv, "RELEASE": wanted.release}
    files: dict[str, Path | bytes] = {"unit.service": wanted.unit.encode()}
    if wanted.certificates is not None:
        files |= {f"certs/{name}": data for name, data in wanted.certificates.files.items()}
    with _tar(files) as payload:
        await ssh.run(host, "activate", values, root=True, seconds=SWITCH_SECONDS, payload=payload)


@dataclass(frozen=True, slots=True)
class Left:
    """switched: whether the host was taken back. venv: of what it runs now; empty: nothing."""

    switched: bool
    venv: str


async def go_back(host: Host, release: str, former: str) -> Left:
    """From `release`, if that is what runs, to `former`; to nothing when it is empty or gone.

    Raises HostFailed.
    """
    values = {**_places(host), "RELEASE": release, "FORMER": former}
    said = await ssh.run(host, "back", values, root=True, seconds=SWITCH_SECONDS)
    switched, _, venv = said.strip().partition(" ")
    return Left(switched == "back", venv)


async def settle(host: Host, release: str) -> None:
    """This release is ready (empty: that is not known); what it replaces goes. Raises HostFailed."""
    await ssh.run(host, "settle", {**_places(host), "RELEASE": release}, root=True, seconds=SWITCH_SECONDS)


async def diagnose(host: Host) -> str:
    """What the service last complained of, or its state. Raises HostFailed."""
    said = await ssh.run(host, "diagnose", _places(host), root=True, seconds=LOOK_SECONDS)
    state, *lines = said.splitlines() or [""]
    # A service that is started again and again says in between that it joins, which is no complaint.
    lines = [line for line in lines if "joins the aggregator" not in line]
    complaints = [line for line in lines if line.startswith("nonn: ") or "aggregator at" in line]
    if complaints:
        return complaints[-1].removeprefix("nonn: ")
    return lines[-1] if lines else f"the service is {state or 'unknown'}"


async def remove(host: Host) -> None:
    """Everything that was ever deployed. Raises HostFailed."""
    await ssh.run(host, "remove", _places(host), root=True, seconds=SWITCH_SECONDS)


def _places(host: Host) -> dict[str, str]:
    return {
        "NAME": host.name,
        "FOLDER": host.folder,
        "UNITS": host.units,
        "STATE": host.state,
        "SERVICE": host.service,
        "ACCOUNT": host.account,
    }


# ---- what goes with a script


@contextmanager
def _tar(files: Mapping[str, Path | bytes]) -> Iterator[Path]:
    """A file that holds these files, or texts, under these names; readable by us alone."""
    with tempfile.NamedTemporaryFile(prefix="nonn-deploy-", suffix=".tar") as file:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, content in files.items():
                data = content.read_bytes() if isinstance(content, Path) else content
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(data), 0o600
                archive.addfile(member, io.BytesIO(data))
        file.flush()
        yield Path(file.name)

"""The Docker engine of this machine, through its command line: every call ends within its time."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from bundle.errors import NonnError

# Of a call that builds nothing and pulls nothing; a loaded machine takes seconds for what takes half a one.
SECONDS: Final = 60.0
MOST_SAID: Final = 300  # characters of a complaint
PROJECT_LABEL: Final = "com.docker.compose.project"
WAY_OUT: Final = "docs/how-to/containers.md says what is needed; `--on processes` needs none"


class ContainersUnavailable(NonnError):
    """There is no Docker engine with Compose, or it does not do what it is asked; the line says why."""

    exit_code: ClassVar[int] = 16


def docker(
    *arguments: str,
    seconds: float = SECONDS,
    environment: Mapping[str, str] | None = None,
    both: bool = False,
) -> str:
    """What it prints; both: on standard error too. Raises ContainersUnavailable with what it complains of."""
    command = ["docker", *arguments]
    what = f"`{' '.join(command[:3])}`"
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if both else subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise ContainersUnavailable("docker is not installed on this machine") from None
    except subprocess.TimeoutExpired:
        raise ContainersUnavailable(f"{what} was not done within {seconds:g} s") from None
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        said = lines[-1][-MOST_SAID:]  # the lines before it tell of progress
        raise ContainersUnavailable(f"{what}: {said}")
    return done.stdout.strip()


def check_engine() -> None:
    """Raises ContainersUnavailable unless an engine answers and Compose v2 is there."""
    if shutil.which("docker") is None:
        raise ContainersUnavailable(f"docker is not installed on this machine: {WAY_OUT}")
    try:
        docker("version", "--format", "{{.Server.Version}}", seconds=20)
    except ContainersUnavailable as error:
        raise ContainersUnavailable(f"no Docker engine answers ({error}): start it, or {WAY_OUT}") from None
    try:
        docker("compose", "version", seconds=20)
    except ContainersUnavailable as error:
        raise ContainersUnavailable(f"Docker Compose v2 is missing ({error}): {WAY_OUT}") from None


def ended(project: str) -> list[str]:
    """Names of the project's containers that run no more."""
    label = f"label={PROJECT_LABEL}={project}"
    filters = ("--filter", label, "--filter", "status=exited", "--filter", "status=dead")
    return docker("ps", *filters, "--format", "{{.Names}}").split()


def last_lines(container: str, count: int) -> str:
    """Of what it has printed."""
    return docker("logs", "--tail", str(count), container, both=True)


def remains(project: str) -> dict[str, Sequence[str]]:
    """What there is of a compose project: ids of containers, networks and volumes; empty when nothing is."""
    label = f"label={PROJECT_LABEL}={project}"
    found = {
        "container": docker("ps", "--all", "--quiet", "--filter", label).split(),
        "network": docker("network", "ls", "--quiet", "--filter", label).split(),
        "volume": docker("volume", "ls", "--quiet", "--filter", label).split(),
    }
    return {kind: ids for kind, ids in found.items() if ids}


def remove(project: str) -> None:
    """All of a compose project, whatever state it is in; paused containers too. It needs no compose file."""
    found = remains(project)
    if "container" in found:
        docker("rm", "--force", "--volumes", *found["container"], seconds=120)
    if "network" in found:
        docker("network", "rm", *found["network"])
    if "volume" in found:
        docker("volume", "rm", "--force", *found["volume"])

"""The wheel that hosts install: given, or built from the source or installation that is running."""

import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from bundle.errors import StorageError
from nonn.deploy.inventory import Host
from nonn.errors import UsageError

_BUILD_SECONDS: Final = 300
_EARLIEST: Final = (1980, 1, 1, 0, 0, 0)  # that a zip can say


@dataclass(frozen=True, slots=True)
class Wheel:
    """digest: of what is in it, so that the same source built twice is the same."""

    path: Path
    version: str
    digest: str

    def environment(self, host: Host, python: str, machine: str) -> str:
        """The name of a virtual environment with it on a host, which says what is in there.

        python: the version of the host's interpreter. The package index counts for nothing: what is in it
        changes at any time, and its address may hold a password that does.
        """
        pinned = "" if host.constraints is None else host.constraints.read_text(errors="replace")
        beside = [] if host.wheelhouse is None else [path.name for path in fitting(host.wheelhouse, machine)]
        minor = ".".join(python.split(".")[:2])
        whole = "\n".join([self.digest, pinned, host.python, minor, *beside])
        return f"{self.version}-{hashlib.sha256(whole.encode()).hexdigest()[:10]}"


def read_wheel(path: Path) -> Wheel:
    """Raises UsageError when it is no wheel of nonn."""
    parts = path.name.split("-")
    try:
        with zipfile.ZipFile(path) as archive:
            record = next(name for name in archive.namelist() if name.endswith(".dist-info/RECORD"))
            lines = archive.read(record).decode().splitlines()
    except (OSError, zipfile.BadZipFile, StopIteration, UnicodeDecodeError):
        raise UsageError(f"{path} is no wheel: `pip wheel --no-deps .` in a checkout makes one") from None
    if parts[0] != "nonn" or path.suffix != ".whl" or len(parts) < 5:
        raise UsageError(f"{path} is no wheel of nonn: its name should be nonn-VERSION-py3-none-any.whl")
    return Wheel(path, parts[1], hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest())


def make_wheel(folder: Path) -> Wheel:
    """In `folder`, of the nonn that is running. Raises StorageError when it cannot be built."""
    source = Path(__file__).resolve().parents[2]
    if (source / "pyproject.toml").is_file():
        return read_wheel(_build(source, folder))
    return read_wheel(_pack(folder))


def _build(source: Path, folder: Path) -> Path:
    """From a checkout: of a copy, since setuptools leaves files behind and takes old ones up."""
    copy = folder / "source"
    copy.mkdir()
    for path in source.iterdir():
        if path.is_dir() and (path / "__init__.py").is_file():
            shutil.copytree(path, copy / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.is_file() and path.name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(path, copy)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--disable-pip-version-check"]
    if _has_setuptools():
        command.append("--no-build-isolation")
    try:
        done = subprocess.run(
            [*command, "--wheel-dir", str(folder), str(copy)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_BUILD_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise StorageError(
            f"building the wheel took more than {_BUILD_SECONDS} s: name one with --wheel"
        ) from None
    wheels = list(folder.glob("nonn-*.whl"))
    if done.returncode or len(wheels) != 1:
        said = (done.stderr.strip().splitlines() or ["pip made no wheel"])[-1]
        raise StorageError(f"cannot build the wheel ({said}): name one with --wheel")
    return wheels[0]


def _has_setuptools() -> bool:
    """Whether building needs no network."""
    try:
        return int(metadata.version("setuptools").partition(".")[0]) >= 77
    except metadata.PackageNotFoundError:
        return False


def _pack(folder: Path) -> Path:
    """From an installation: its files are the wheel's, but for what pip added."""
    try:
        installed = metadata.distribution("nonn")
    except metadata.PackageNotFoundError:
        raise StorageError("nonn is not installed here, so name a wheel with --wheel") from None
    path = folder / f"nonn-{installed.version}-py3-none-any.whl"
    pack(path, installed)
    return path


def pack(path: Path, installed: metadata.Distribution) -> None:
    """A wheel from an installed distribution: what its RECORD lists, but for what installing added."""
    added = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")
    files = [
        file
        for file in installed.files or ()
        if not str(file).startswith("..") and "__pycache__" not in file.parts and file.name not in added
    ]
    folder = next(file.parent for file in files if file.name == "METADATA")
    record = [*(_line(file) for file in files), f"{folder}/RECORD,,"]
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(files, key=str):
            archive.writestr(zipfile.ZipInfo(str(file), _EARLIEST), Path(str(file.locate())).read_bytes())
        archive.writestr(zipfile.ZipInfo(f"{folder}/RECORD", _EARLIEST), "\n".join(record) + "\n")


def _line(file: metadata.PackagePath) -> str:
    digest = "" if file.hash is None else f"{file.hash.mode}={file.hash.value}"
    return f"{file},{digest},{file.size if file.size is not None else ''}"


def fitting(wheelhouse: Path, machine: str) -> Iterable[Path]:
    """The wheels in a folder that are for this kind of machine, or for all."""
    for path in sorted(wheelhouse.glob("*.whl")):
        platform = path.stem.rpartition("-")[2]
        if platform == "any" or platform.endswith(f"_{machine}"):
            yield path

"""The unit, judged by systemd's own tools where they are."""

import shutil
import subprocess
from pathlib import Path

import pytest

from nonn.cli import build_parser
from nonn.commands import device
from nonn.deploy import unit
from nonn.deploy.inventory import Host, Inventory

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze"
)
MOST_EXPOSURE = 20  # tenths; systemd calls up to 4.9 OK, and an unconfined service has 9.6


def inventory(certificates: Path | None = Path("certs")) -> Inventory:
    return Inventory(Path("boards.toml"), "192.168.1.10:7560", certificates, ())


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A unit whose program is there, as it is on a host."""
    host = Host("kitchen", "kitchen.local", account="daemon", root=str(tmp_path), memory=300)
    program = Path(host.folder) / "current/venv/bin/python"
    program.parent.mkdir(parents=True)
    program.symlink_to("/bin/true")
    path = tmp_path / "nonn-device.service"
    path.write_text(unit.render(inventory(), host))
    return path


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", "--no-pager", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@needs_analyze
def test_systemd_finds_no_fault_in_it(written: Path) -> None:
    done = analyze("verify", "--man=no", str(written))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_analyze
def test_systemd_would_find_a_fault(written: Path) -> None:
    written.write_text(written.read_text().replace("MemoryMax", "MemoryMost"))
    assert "MemoryMost" in analyze("verify", "--man=no", str(written)).stderr


@needs_analyze
def test_little_is_exposed(written: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", str(written))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("certificates", [Path("certs"), None])
def test_the_command_is_one_that_nonn_takes(certificates: Path | None) -> None:
    text = unit.render(
        inventory(certificates), Host("kitchen", "kitchen.local", memory=300, threads=2, parallel=3)
    )
    line = next(line for line in text.splitlines() if line.startswith("ExecStart="))
    words = line.removeprefix("ExecStart=").split()
    assert words[1:3] == ["-m", "nonn"]
    args = build_parser(["device"]).parse_args(words[3:])
    assert args.run is device.run
    assert (args.name, args.threads, args.insecure) == ("kitchen", 2, certificates is None)
    assert args.parallel == 3
    assert args.memory == 300 - 95, "what bundle/footprint.py leaves to a device without students"
    assert (args.tls is None) == (certificates is None)


def test_without_a_limit_of_its_own_it_leaves_the_system_some_memory() -> None:
    text = unit.render(inventory(), Host("kitchen", "kitchen.local"))
    assert "MemoryMax=80%" in text
    assert "--memory" not in text

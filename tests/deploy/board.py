"""A board for tests: an OpenSSH server of our own on loopback, whose files lie beneath one folder.

It runs as whoever runs the tests. What a real board has and this machine may not, systemd, is stood in for
by tests/deploy/on_board/systemctl, which really runs the unit's process.
"""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from nonn.deploy.inventory import Host

ON_BOARD = Path(__file__).parent / "on_board"
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
needs_sshd = pytest.mark.skipif(SSHD is None, reason="there is no OpenSSH server: apt install openssh-server")
PATIENCE = 20.0
# PR_SET_PDEATHSIG: no server outlives a test that was killed. A program of its own sets it: between fork and
# exec, gRPC in the process of the tests may end the child.
SET_AND_RUN = "import ctypes, os, sys; ctypes.CDLL(None).prctl(1, 9); os.execv(sys.argv[1], sys.argv[1:])"
DIES_WITH_US = (sys.executable, "-c", SET_AND_RUN)


class Board:
    """Use as a context. `options` are those of its table in an inventory."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder / name
        self.name = name
        self.bin = self.folder / "bin"
        self.bin.mkdir(parents=True)
        self.port = _free_port()
        (self.folder / "run/systemd/system").mkdir(parents=True)
        for path in ON_BOARD.iterdir():
            shutil.copy(path, self.bin / path.name, follow_symlinks=True)
        for key in ("host", "login"):
            keygen(self.folder / key)
        shutil.copy(self.folder / "login.pub", self.folder / "authorized_keys")
        self.known_hosts = self.folder / "known_hosts"
        self.trust(self.folder / "host.pub")
        self._configure()
        self._server: subprocess.Popen[bytes] | None = None

    # ---- what an inventory says of it

    @property
    def options(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "address": "127.0.0.1",
            "port": self.port,
            "user": getpass.getuser(),
            "ssh_config": str(self.folder / "ssh_config"),
            "python": os.path.realpath(sys.executable),
            "account": getpass.getuser(),
            "sudo": False,
            "root": str(self.folder),
        }

    @property
    def host(self) -> Host:
        """The same as an inventory is read."""
        return Host(**{**self.options, "ssh_config": Path(self.options["ssh_config"])})

    @property
    def installed(self) -> Path:
        return self.folder / "opt/nonn-device"

    @property
    def unit(self) -> Path:
        return self.folder / "etc/systemd/system/nonn-device.service"

    def trust(self, public_key: Path) -> None:
        kind, key = public_key.read_text().split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {key}\n")

    def stand_in(self, name: str, script: str) -> None:
        """What the board runs when it is asked for the command `name`."""
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    # ---- what can be seen of it

    def log(self) -> str:
        path = self.folder / "log/nonn-device.service"
        return path.read_text(errors="replace") if path.exists() else ""

    def calls(self) -> list[str]:
        """Of systemctl that change something, since the board was made."""
        path = self.folder / "systemd/calls"
        words = path.read_text().splitlines() if path.exists() else []
        return [line for line in words if not line.startswith(("is-", "cat", "supervise"))]

    def running(self) -> bool:
        return (self.folder / "systemd/nonn-device.service.pid").exists()

    # ---- being there

    def __enter__(self) -> "Board":
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(
                mode=0o755, exist_ok=True
            )  # that sshd wants, and its package's service makes
        assert SSHD is not None
        log = self.folder / "sshd.log"
        self._server = subprocess.Popen(
            [*DIES_WITH_US, SSHD, "-D", "-f", str(self.folder / "sshd_config"), "-E", str(log)]
        )
        deadline = time.monotonic() + PATIENCE
        while "Server listening" not in (log.read_text() if log.exists() else ""):
            assert self._server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, "sshd does not listen"
            time.sleep(0.02)
        (self.folder / "sshd.pid").write_text(str(self._server.pid))
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.folder.glob("systemd/*.pid"):
            with contextlib.suppress(OSError, ValueError):
                os.kill(int(pid.read_text()), signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.02)
        if self._server is not None:
            self._server.terminate()
            self._server.wait(PATIENCE)

    def _configure(self) -> None:
        # Compiling all that is installed would take longer than everything else; and how pip is set up here
        # is not how it is on a board.
        path = f"{self.bin}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        environment = f"BOARD={self.folder} PATH={path} PIP_NO_COMPILE=1 PIP_CONFIG_FILE=/dev/null"
        (self.folder / "sshd_config").write_text(
            f"""ListenAddress 127.0.0.1
Port {self.port}
HostKey {self.folder}/host
AuthorizedKeysFile {self.folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PidFile none
SetEnv {environment}
"""
        )
        (self.folder / "ssh_config").write_text(
            f"""Host *
    IdentityFile {self.folder}/login
    IdentitiesOnly yes
    UserKnownHostsFile {self.known_hosts}
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
"""
        )


def keygen(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True, timeout=30)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])

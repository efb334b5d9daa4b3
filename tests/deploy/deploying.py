"""`nonn deploy` as a process, with an inventory of boards."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deploy.board import Board
from tests.end_to_end.secured import SecuredCluster

SECONDS = 600.0


@dataclass(frozen=True)
class Done:
    """code: the exit code. hosts: what --json says, by name. progress: lines of standard error."""

    code: int
    hosts: dict[str, dict[str, Any]]
    progress: list[str] = field(default_factory=list)

    def actions(self, host: str) -> list[str]:
        return [action["do"] for action in self.hosts[host]["actions"]]

    def problem(self, host: str) -> str:
        return str(self.hosts[host]["problem"])


def write_inventory(
    path: Path, aggregator: str, hosts: Sequence[Mapping[str, Any]], certs: Path | None = None
) -> Path:
    lines = ["[aggregator]", f"address = {json.dumps(aggregator)}"]
    if certs is not None:
        lines += ["[certs]", f"folder = {json.dumps(str(certs))}"]
    for host in hosts:
        lines += ["[[hosts]]", *(f"{key} = {json.dumps(value)}" for key, value in host.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def deploy(inventory: Path, wheel: Path | None, *options: str) -> Done:
    """Its JSON, checked to be all that it prints; a failure's one line, to be the last."""
    command = [sys.executable, "-m", "nonn", "deploy", str(inventory), "--json", *options]
    if wheel is not None:
        command += ["--wheel", str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    progress = done.stderr.splitlines()
    if done.returncode == 0:
        assert not any(line.startswith("nonn: ") for line in progress), done.stderr
    else:
        assert progress[-1].startswith("nonn: "), done.stderr
        assert "unexpected" not in progress[-1], done.stderr
    hosts = {host["host"]: host for host in json.loads(done.stdout or "[]")}
    for host in hosts.values():
        assert "\n" not in host["problem"], host
    return Done(done.returncode, hosts, progress)


def picture(board: Board) -> dict[str, str]:
    """All that deploying may change on a board: paths, and what is in them."""
    found = {}
    for top in ("opt", "etc", "var", "systemd"):
        for path in sorted((board.folder / top).rglob("*")):
            if path.is_symlink():
                found[str(path)] = str(path.readlink())
            elif path.is_file() and not {"__pycache__", "var", "calls"} & set(path.parts[-4:]):
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() + f" {path.stat().st_mode:o}"
    return found


class Site:
    """A cluster, and boards beside it. wheelhouse: that the boards install from; None: from the network."""

    def __init__(
        self, folder: Path, cluster: SecuredCluster, wheelhouse: Path | None, boards: list[Board]
    ) -> None:
        self.folder = folder
        self.cluster = cluster
        self.boards = boards
        self._common = {} if wheelhouse is None else {"wheelhouse": str(wheelhouse)}

    def deploy(self, wheel: Path | None, *options: str, **changes: Any) -> Done:
        """changes: of every board's options."""
        return deploy(self.inventory(**changes), wheel, *options)

    def inventory(self, **changes: Any) -> Path:
        hosts = [{**board.options, **self._common, **changes} for board in self.boards]
        certs = self.cluster.certificates.folder
        return write_inventory(self.folder / "boards.toml", self.cluster.address, hosts, certs)

"""Installed versions that do not run any more, over a real ssh server."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from nonn.deploy import steps
from nonn.deploy.wheel import Wheel
from tests.deploy.board import Board, needs_sshd
from tests.deploy.environments import put_environment

pytestmark = [needs_sshd, pytest.mark.slow]


def test_an_environment_counts_only_if_it_runs(tmp_path: Path, wheel: Wheel) -> None:
    with Board(tmp_path, "kitchen") as board:
        name = put_environment(board, wheel)
        found = asyncio.run(steps.preflight(board.host))
        assert (found.venvs, found.home) == ((name,), os.path.realpath(sys.base_prefix))
        folder = board.installed / "venvs" / name
        # What an upgrade of the system's Python leaves: its packages are where only the older one looks.
        (packages,) = folder.glob("lib/python*")
        packages.rename(packages.with_name("python3.1"))
        found = asyncio.run(steps.preflight(board.host))
        assert (found.venvs, found.halves) == ((), (name,))
        packages.with_name("python3.1").rename(packages)
        shutil.rmtree(folder / "bin")
        assert asyncio.run(steps.preflight(board.host)).halves == (name,)

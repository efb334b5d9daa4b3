"""Environments that a board finds installed, made in a moment: this checkout, and what the tests run with."""

import platform
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path
from typing import Any

from nonn.deploy.wheel import Wheel
from tests.deploy.board import Board

CHECKOUT = Path(__file__).parents[2]
BROKEN = "import sys\nsys.exit('nonn: this version does not work')\n"


def environment(board: Board, wheel: Wheel, **changes: Any) -> str:
    """Its name for this wheel. changes: of the board's options."""
    return wheel.environment(replace(board.host, **changes), platform.python_version(), platform.machine())


def put_environment(board: Board, wheel: Wheel, *, works: bool = True) -> str:
    """As if deploy had installed this wheel on the board. Returns the environment's name.

    works: False makes every command of it end at once.
    """
    name = environment(board, wheel)
    folder = board.installed / "venvs" / name
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "nonn.pth").write_text(f"{CHECKOUT}\n{sysconfig.get_path('purelib')}\n")
    if not works:
        (packages / "nonn").mkdir()
        (packages / "nonn/__init__.py").write_text(BROKEN)
    (folder / ".complete").write_text(wheel.version)
    (board.installed / ".nonn-deploy").touch()
    return name

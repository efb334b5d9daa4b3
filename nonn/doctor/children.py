"""A probe in a process of its own: it may crash or hang, and the doctor lives on."""

import json
import subprocess
import sys
from typing import Any

from nonn.doctor.facts import Child

Stages = dict[str, dict[str, Any]]


def say(stage: str, **facts: Any) -> None:
    """In a child: this far it came. Told at once, so that it outlives a crash."""
    print(json.dumps({"stage": stage, **facts}), flush=True)


def probe(module: str, *arguments: str, seconds: float) -> tuple[Stages, Child]:
    """Run `python -m module`, for so long at the most: the stages that it came to, and how it ended."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            output, errors = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, errors = process.communicate()
            return _stages(output), Child(timed_out=True)
        except BaseException:  # Ctrl-C: leave nothing behind
            process.kill()
            raise
    stages, code = _stages(output), process.returncode
    if code < 0:
        return stages, Child(signal=-code)
    if code:
        lines = errors.decode(errors="replace").strip().splitlines()
        return stages, Child(error=lines[-1][:300] if lines else f"it ended with code {code}")
    return stages, Child()


def _stages(output: bytes) -> Stages:
    """What is no line of ours is a library's chatter, or was cut off by a crash."""
    found: Stages = {}
    for line in output.decode(errors="replace").splitlines():
        try:
            facts = json.loads(line)
            found[facts.pop("stage")] = facts
        except (ValueError, AttributeError, KeyError, TypeError):
            continue
    return found

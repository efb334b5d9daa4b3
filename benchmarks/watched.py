"""`python -m benchmarks.watched FILE nonn ...`: `nonn ...` that counts its tasks when asked.

On SIGUSR1 it writes the number of its asyncio tasks to FILE.
"""

import asyncio
import signal
import sys
from pathlib import Path

from nonn.cli import main


def count_into(path: Path) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(str(len(asyncio.all_tasks())))
    fresh.replace(path)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    signal.signal(signal.SIGUSR1, lambda number, frame: count_into(file))
    sys.exit(main(sys.argv[3:]))

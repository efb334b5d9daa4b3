"""`python -m tests.end_to_end.boxed FOLDER device ...`: nonn, with FOLDER for the control group's files."""

import sys
from pathlib import Path

from device_node import control_group
from nonn.cli import main

if __name__ == "__main__":
    control_group._MOUNTED = Path(sys.argv[1])  # type: ignore[misc]
    sys.exit(main(sys.argv[2:]))

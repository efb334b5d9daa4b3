"""`python -m fault_lab.mischief CONTROL ARGUMENTS...`: `nonn device ARGUMENTS...`, obeying CONTROL too."""

import runpy
import sys
from pathlib import Path

from fault_lab.control_file import ControlFile
from fault_lab.mischief.control import HONEST, read_mischief
from fault_lab.mischief.hooks import install
from protos import engine


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit("usage: python -m fault_lab.mischief CONTROL [an argument of `nonn device`]...")
    engine.configure()  # the hooks import gRPC before nonn itself can configure it
    install(ControlFile(Path(sys.argv[1]), read_mischief, HONEST))
    sys.argv = ["nonn", "device", *sys.argv[2:]]
    runpy.run_module("nonn", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()

"""Run a module in a process that dies with its starter: `python -m fault_lab.tether nonn device ...`.

Standard input is a pipe whose other end the starter holds. However the starter ends, SIGKILL included, its
end of the pipe closes, and no process of a local cluster stays behind.
"""

import os
import runpy
import signal
import sys
import threading


def main() -> None:
    threading.Thread(target=_end_with_starter, name="tether", daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


def _end_with_starter() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()

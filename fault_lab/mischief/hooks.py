"""The places at which a device process is made to obey; all else of it is the real device."""

import errno
import os
import time
from functools import partial

from fault_lab.control_file import ControlFile
from fault_lab.mischief.control import Mischief


def install(control: ControlFile[Mischief]) -> None:
    """In this process, for good. Has to come before anything else imports device_node."""
    _jump_clocks(control)  # first: device_node keeps the clock that it finds when it is imported
    _fill_disk(control)
    _replace_parts(control)


def _jump_clocks(control: ControlFile[Mischief]) -> None:
    """The system's clock of this process, and the one that only goes forward, as after a machine's sleep."""
    wall, steady = time.time, time.monotonic
    time.time = lambda: wall() + control.current().clock
    time.monotonic = lambda: steady() + control.current().clock


def _fill_disk(control: ControlFile[Mischief]) -> None:
    """A full disk may show as late as when written bytes are made to last, which a device always does."""
    really_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        if control.current().disk_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        really_fsync(descriptor)

    os.fsync = fsync  # type: ignore[assignment]


def _replace_parts(control: ControlFile[Mischief]) -> None:
    from device_node import connection, hosting
    from fault_lab.mischief.parts import SlowStudent, UnreliableWorker

    hosting.Student = partial(SlowStudent, control)  # type: ignore[assignment,attr-defined]
    connection.Worker = partial(UnreliableWorker, control)  # type: ignore[assignment,attr-defined]

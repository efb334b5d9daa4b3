"""A run while it goes on: a picture that renews itself on a terminal, lines where there is none."""

import os
import sys
import time
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Self

from fault_lab.report.picture import ActiveFault, Phase, Picture, draw

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["ActiveFault", "LiveView", "Phase", "Picture", "Plain", "draw", "open_view"]

RENEWAL: Final = 1 / 8  # seconds between two pictures, at the least


def open_view(*, quiet: bool = False) -> "LiveView | Plain":
    """What suits standard error: pictures on a terminal that can renew them, else lines. quiet: nothing."""
    able = sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    return LiveView() if able and not quiet else Plain(quiet=quiet)


class LiveView:
    """with LiveView() as view:
        view.show(picture)  # as often as there is something new

    On standard error, so that standard output stays free for results. The last picture stays.
    """

    def __init__(self, console: "Console | None" = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(
            console=console or Console(stderr=True), auto_refresh=False, vertical_overflow="crop"
        )
        self._latest: Picture | None = None
        self._shown = -RENEWAL

    def show(self, picture: Picture) -> None:
        self._latest = picture
        now = time.monotonic()
        if now - self._shown >= RENEWAL:
            self._shown = now
            self._live.update(draw(picture), refresh=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._latest is not None:
                self._live.update(draw(self._latest))
        finally:
            self._live.__exit__(kind, error, trace)  # draws once more, and gives the cursor back


class Plain:
    """Like `LiveView`, for logs: a line when a phase or a fault begins, a fault is over, a promise breaks."""

    def __init__(self, *, quiet: bool = False, file: IO[str] | None = None) -> None:
        self._quiet = quiet
        self._file = file
        self._before: Picture | None = None

    def show(self, picture: Picture) -> None:
        if not self._quiet:
            for line in changes(self._before, picture):
                print(line, file=self._file or sys.stderr, flush=True)
        self._before = picture

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        pass


def changes(before: Picture | None, now: Picture) -> list[str]:
    """What is new since `before`, a line each. Pure."""
    at = f"{max(now.at, 0.0):7.1f} s"
    found = []
    if before is None or now.phase != before.phase:
        found.append(f"{at}  {now.phase}: {now.scenario} on {now.ground}")
    then, those = _by_type(before), _by_type(now)
    for kind in dict.fromkeys((*then, *those)):
        was, are = then.get(kind, []), those.get(kind, [])
        if begun := [target for target in are if target not in was]:
            found.append(f"{at}  {kind} begins: {', '.join(begun)}")
        if over := [target for target in was if target not in are]:
            found.append(f"{at}  {kind} is over: {', '.join(over)}")
    known = len(before.problems) if before else 0
    return found + [f"{at}  BROKEN: {problem}" for problem in now.problems[known:]]


def _by_type(picture: Picture | None) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for fault in picture.faults if picture else ():
        found.setdefault(fault.type, []).append(fault.target)
    return found

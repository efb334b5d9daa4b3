"""What a long step tells who waits for it: `Silent` for libraries and tests, `RichProgress` for people."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class Task(Protocol):
    def advance(self, amount: float = 1, note: str = "") -> None: ...


class Progress(Protocol):
    def task(self, name: str, total: float, done: float = 0) -> AbstractContextManager[Task]:
        """A bar for a step of `total` units, `done` of them already behind it."""

    def note(self, line: str) -> None:
        """One line that stays."""


class _SilentTask:
    def advance(self, amount: float = 1, note: str = "") -> None:
        pass


class Silent:
    @contextmanager
    def task(self, name: str, total: float, done: float = 0) -> Iterator[Task]:
        yield _SilentTask()

    def note(self, line: str) -> None:
        pass


class _RichTask:
    def __init__(self, bars: Any, handle: Any) -> None:
        self._bars, self._handle = bars, handle

    def advance(self, amount: float = 1, note: str = "") -> None:
        fields = {"note": note} if note else {}
        self._bars.update(self._handle, advance=amount, **fields)


class RichProgress:
    """Bars and notes on standard error, so that standard output stays free for results."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)

    @contextmanager
    def task(self, name: str, total: float, done: float = 0) -> Iterator[Task]:
        from rich import progress

        columns = (
            progress.TextColumn("{task.description:<20}"),
            progress.BarColumn(bar_width=10),
            progress.TaskProgressColumn(),
            progress.TimeRemainingColumn(elapsed_when_finished=True),
            progress.TextColumn("{task.fields[note]}"),
        )
        with progress.Progress(*columns, console=self._console) as bars:
            yield _RichTask(bars, bars.add_task(name, total=total, completed=int(done), note=""))

    def note(self, line: str) -> None:
        self._console.print(line, markup=False, soft_wrap=True)

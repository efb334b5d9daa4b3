"""A run at one moment, and how a terminal shows it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from fault_lab.record import Ending
from fault_lab.report.words import count, duration, share

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

Phase = Literal["starting", "running", "recovering", "ending"]
SERVING: Final = "serving"
# As `nonn status` has them; whatever else a device may be is shown as lost.
_LOOKS: Final = {
    SERVING: ("●", "green"),
    "loading": ("◔", "yellow"),
    "leaving": ("◔", "yellow"),
    "suspect": ("◌", "red"),
    "stalled": ("◌", "red"),
}
_LOST: Final = ("○", "red")
_PHASES: Final = {"starting": "cyan", "running": "green", "recovering": "yellow", "ending": "cyan"}
_MOST_SPACED: Final = 24  # devices whose marks have a gap between them
# Lines at the most.
_MOST_STATES: Final = 3
_MOST_FAULTS: Final = 4
_MOST_PROBLEMS: Final = 3


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """left: seconds until it is over."""

    type: str
    target: str
    left: float


@dataclass(frozen=True, slots=True)
class Picture:
    """at, seconds: since the load has begun, and of the load in all. devices: name and state, the latter as
    `nonn status` has it.

    p50, p95: seconds, of recent answers; None as long as there are none. Accuracies: None when unknown.
    problems: what was broken so far, the latest last.
    """

    scenario: str
    ground: str
    phase: Phase
    at: float
    seconds: float
    devices: tuple[tuple[str, str], ...] = ()
    faults: tuple[ActiveFault, ...] = ()
    endings: Mapping[Ending, int] = field(default_factory=dict)
    degraded: int = 0
    p50: float | None = None
    p95: float | None = None
    students_served: int = 0
    students: int = 0
    parts_covered: int = 0
    parts: int = 0
    expected_accuracy: float | None = None
    observed_accuracy: float | None = None
    problems: tuple[str, ...] = ()


def draw(picture: Picture) -> "RenderableType":
    """At 80 columns it fits into 24 lines, whatever happens."""
    from rich import box
    from rich.panel import Panel
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    rows = Table.grid(padding=(0, 2))
    rows.add_column(style="dim", no_wrap=True)
    rows.add_column(ratio=1)
    rows.expand = True
    done = min(max(picture.at, 0.0), picture.seconds)
    rows.add_row("time", ProgressBar(total=max(picture.seconds, 1e-3), completed=done))
    rows.add_row("devices", _devices(picture))
    rows.add_row("faults", _faults(picture.faults))
    rows.add_row("requests", _requests(picture))
    rows.add_row("latency", f"p50 {duration(picture.p50)} · p95 {duration(picture.p95)}")
    expected, observed = share(picture.expected_accuracy), share(picture.observed_accuracy)
    rows.add_row("accuracy", f"expected now {expected} · observed so far {observed}")
    rows.add_row("promises", _problems(picture.problems))
    title = Text(f"{picture.scenario} on {picture.ground}", style="bold")
    when = Text.assemble(
        (picture.phase, _PHASES[picture.phase]), f" {max(picture.at, 0.0):.1f} of {picture.seconds:g} s"
    )
    return Panel(
        rows,
        box=box.ROUNDED,
        border_style="dim",
        title=title,
        title_align="left",
        subtitle=when,
        subtitle_align="right",
    )


def _devices(picture: Picture) -> "RenderableType":
    """One mark a device in their order, then in words what the marks say."""
    from rich.console import Group
    from rich.text import Text

    marks = Text(overflow="fold")
    gap = " " if len(picture.devices) <= _MOST_SPACED else ""
    for _, state in picture.devices:
        mark, colour = _LOOKS.get(state, _LOST)
        marks.append(mark + gap, colour)
    serving = sum(state == SERVING for _, state in picture.devices)
    figures = Text(f"{serving} of {count(len(picture.devices), 'device')} serving")
    figures.append(f" · {picture.students_served} of {count(picture.students, 'student')}")
    figures.append(f" · {picture.parts_covered} of {count(picture.parts, 'part')}")
    lines = []
    for state in sorted({state for _, state in picture.devices} - {SERVING}):
        names = ", ".join(name for name, its in picture.devices if its == state)
        lines.append(Text.assemble((state, _LOOKS.get(state, _LOST)[1]), f" {names}"))
    return Group(marks, figures, _lines(lines, _MOST_STATES)) if lines else Group(marks, figures)


def _faults(faults: tuple[ActiveFault, ...]) -> "Text":
    """Those of one type that are over together are one line."""
    from rich.text import Text

    together: dict[tuple[str, str], list[str]] = {}
    for fault in faults:
        together.setdefault((fault.type, f"{max(fault.left, 0.0):.1f} s"), []).append(fault.target)
    if not together:
        return Text("none", "dim")
    return _lines(
        [
            Text.assemble((kind, "red"), (f" {left} left: ", "dim"), ", ".join(targets))
            for (kind, left), targets in together.items()
        ],
        _MOST_FAULTS,
    )


def _requests(picture: Picture) -> "Text":
    from rich.text import Text

    text = Text(f"{sum(picture.endings.values()):,}")
    answered = picture.endings.get(Ending.ANSWERED, 0)
    text.append(f": {answered:,} answered ({picture.degraded:,} degraded)")
    for ending, colour in (
        (Ending.REFUSED, "yellow"),
        (Ending.UNREACHABLE, "yellow"),
        (Ending.LOST, "bold red"),
    ):
        number = picture.endings.get(ending, 0)
        text.append(", ")
        text.append(f"{number:,} {ending.value}", colour if number else "")
    return text


def _problems(problems: tuple[str, ...]) -> "Text":
    from rich.text import Text

    if not problems:
        return Text("kept so far", "green")
    text = Text(f"broken {count(len(problems), 'time')}", "bold red")
    return _lines([text, *(Text(problem, "red") for problem in problems[-_MOST_PROBLEMS:])])


def _lines(lines: Sequence["Text"], most: int = 99) -> "Text":
    """One below the other, each cut off where the terminal ends."""
    from rich.text import Text

    shown = list(lines)
    if len(shown) > most:
        shown[most - 1 :] = [Text(f"and {len(lines) - most + 1} more", "dim")]
    joined = Text("\n").join(shown)
    joined.no_wrap, joined.overflow = True, "ellipsis"
    return joined

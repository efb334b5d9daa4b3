"""What a terminal, and a log, show of a run while it goes on."""

import io
import os
import re
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from fault_lab.record import Ending
from fault_lab.report import live
from fault_lab.report.live import ActiveFault, LiveView, Picture, Plain, draw, open_view

HALVED = Picture(
    scenario="half_lost",
    ground="processes",
    phase="running",
    at=4.2,
    seconds=14.0,
    devices=tuple((f"device-{index}", "suspect" if index % 2 else "serving") for index in range(8)),
    faults=tuple(ActiveFault("kill", f"device-{index}", 4.8) for index in (1, 3, 5, 7)),
    endings={Ending.ANSWERED: 165, Ending.REFUSED: 3},
    degraded=47,
    p50=0.0043,
    p95=0.31,
    students_served=4,
    students=8,
    parts_covered=3,
    parts=4,
    expected_accuracy=0.913,
    observed_accuracy=0.931,
)
CROWDED = replace(
    HALVED,
    scenario="[red]crowded[/]",
    devices=tuple((f"device-{i}", ("serving", "gone", "loading", "stalled")[i % 4]) for i in range(64)),
    faults=tuple(ActiveFault("kill", f"device-{index}", 4.8 + index) for index in range(20)),
    problems=tuple(
        f"request {index} took 2.4 s, [though] its deadline was after 2.0 s" for index in range(9)
    ),
)
STARTING = Picture("nothing", "simulation", "starting", -1.0, 0.0)
SHOW_CURSOR, HIDE_CURSOR = "\x1b[?25h", "\x1b[?25l"


def drawn(picture: Picture, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, record=True, force_terminal=True)
    console.print(draw(picture))
    return console.export_text()


def terminal() -> Console:
    return Console(file=io.StringIO(), width=80, height=24, force_terminal=True, legacy_windows=False)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [20, 60, 80, 140])
@pytest.mark.parametrize("picture", [HALVED, CROWDED, STARTING], ids=["halved", "crowded", "starting"])
def test_a_picture_stays_inside_its_terminal(picture: Picture, width: int) -> None:
    lines = drawn(picture, width).splitlines()
    assert {len(line) for line in lines} == {width}
    if width >= 80:
        assert len(lines) <= 24


@pytest.mark.parametrize("width", [80, 140])
def test_a_picture_says_all_that_is_known(width: int) -> None:
    text = drawn(HALVED, width)
    for line in (
        "half_lost on processes",
        "running 4.2 of 14 s",
        "● ◌ ● ◌ ● ◌ ● ◌",
        "4 of 8 devices serving · 4 of 8 students · 3 of 4 parts",
        "suspect device-1, device-3, device-5, device-7",
        "kill 4.8 s left: device-1, device-3, device-5, device-7",
        "168: 165 answered (47 degraded), 3 refused, 0 unreachable, 0 lost",
        "p50 4.3 ms · p95 310 ms",
        "expected now 91.3 % · observed so far 93.1 %",
        "kept so far",
    ):
        assert line in text


def test_what_does_not_fit_is_counted() -> None:
    text = drawn(CROWDED, 80)
    assert "[red]crowded[/]" in text  # and not a colour
    assert "and 17 more" in text
    assert "broken 9 times" in text
    assert "request 8 took 2.4 s, [though]" in text
    assert "request 5 took" not in text


def test_before_anything_is_known_nothing_is_made_up() -> None:
    text = drawn(STARTING, 80)
    assert "starting 0.0 of 0 s" in text
    assert "expected now — · observed so far —" in text


def test_the_view_is_renewed_eight_times_a_second_and_ends_with_the_last_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr(live.time, "monotonic", lambda: now[0])
    console = terminal()
    with LiveView(console) as view:
        for step in range(1000):  # two seconds
            now[0] = 100.0 + step / 500
            view.show(replace(HALVED, at=step / 500))
        before = written(console)
    pictures = re.findall(r"\S+ of 14 s", before)
    assert 15 <= len(pictures) <= 17
    assert written(console).rindex("2.0 of 14 s") > len(before) - 1


def show_and_raise(console: Console, reason: type[BaseException]) -> None:
    with LiveView(console) as view:
        view.show(HALVED)
        raise reason


@pytest.mark.parametrize("reason", [KeyboardInterrupt, RuntimeError, SystemExit])
def test_the_terminal_is_given_back_however_it_ends(reason: type[BaseException]) -> None:
    console = terminal()
    with pytest.raises(reason):
        show_and_raise(console, reason)
    assert written(console).rindex(SHOW_CURSOR) > written(console).rindex(HIDE_CURSOR)


def test_the_terminal_is_given_back_when_a_picture_cannot_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    console = terminal()
    monkeypatch.setattr(live, "draw", lambda picture: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        show_and_raise(console, RuntimeError)
    assert written(console).rindex(SHOW_CURSOR) > written(console).rindex(HIDE_CURSOR)


def test_a_log_gets_a_line_for_what_is_new() -> None:
    log = io.StringIO()
    with Plain(file=log) as view:
        view.show(STARTING)
        view.show(replace(HALVED, at=0.0, faults=()))
        view.show(replace(HALVED, at=3.0))
        view.show(replace(HALVED, at=4.0, faults=HALVED.faults[:3], problems=("request 8 took 2.4 s",)))
        view.show(replace(HALVED, at=9.0, faults=(), problems=("request 8 took 2.4 s",)))
        view.show(replace(HALVED, at=9.1, phase="recovering", faults=(), problems=("request 8 took 2.4 s",)))
    assert log.getvalue().splitlines() == [
        "    0.0 s  starting: nothing on simulation",
        "    0.0 s  running: half_lost on processes",
        "    3.0 s  kill begins: device-1, device-3, device-5, device-7",
        "    4.0 s  kill is over: device-7",
        "    4.0 s  BROKEN: request 8 took 2.4 s",
        "    9.0 s  kill is over: device-1, device-3, device-5",
        "    9.1 s  recovering: half_lost on processes",
    ]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with open_view(quiet=True) as view:
        view.show(HALVED)
    assert capsys.readouterr() == ("", "")


def test_without_a_terminal_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with open_view() as view:
        assert isinstance(view, Plain)
        view.show(STARTING)
    assert capsys.readouterr() == ("", "    0.0 s  starting: nothing on simulation\n")


@pytest.mark.parametrize(("kind", "expected"), [("xterm", LiveView), ("dumb", Plain), ("", Plain)])
def test_a_terminal_that_can_renew_a_picture_gets_one(
    kind: str, expected: type[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    controller, device = os.openpty()
    with os.fdopen(controller), os.fdopen(device, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", kind)
        assert type(open_view()) is expected

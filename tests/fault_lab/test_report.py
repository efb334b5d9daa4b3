"""The page of a run tells what its summary tells, needs nothing from outside, and runs nothing."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from bundle import StorageError
from fault_lab.record import Fall, Run, Sample, summarise
from fault_lab.report.fault_panel import places, targets
from fault_lab.report.html import MOST_PROBLEMS, render, write_report
from fault_lab.report.interval import interval
from fault_lab.report.words import count, duration, share
from tests.fault_lab.pages import Page
from tests.fault_lab.runs import broken, crowded, empty, half_lost, silent

RUNS = [half_lost, broken, empty, silent, crowded]
PANELS = ["faults", "in service", "accuracy", "requests", "latency of answers"]


@cache
def source_of(run: Callable[[], Run]) -> str:
    return render(summarise(run()))


def page_of(run: Run) -> Page:
    return Page(render(summarise(run)))


@pytest.mark.parametrize("run", RUNS)
def test_a_page_is_well_formed_and_needs_nothing_from_outside(run: Callable[[], Run]) -> None:
    source = source_of(run)
    page = Page(source)
    assert not page.names & {"script", "link", "img", "image", "iframe", "object", "embed", "base", "form"}
    for _, attributes in page.elements:
        assert all(
            value.startswith("#")
            for name, value in attributes.items()
            if name in ("href", "xlink:href", "src")
        )
        assert not [name for name in attributes if name.startswith("on")]
    assert set(re.findall(r"url\((.)", source)) <= {"#"}
    assert "@import" not in source


@pytest.mark.parametrize("run", RUNS)
def test_all_panels_are_there_and_every_colour_is_known_in_both_themes(run: Callable[[], Run]) -> None:
    source = source_of(run)
    drawn = Page(source).text("svg").split("\n")
    assert all(any(line.startswith(panel) for line in drawn) for panel in PANELS)
    used = set(re.findall(r"var\(--(\w+)\)", source))
    light, dark = re.findall(r":root \{(.*?)\}", source, re.DOTALL)
    assert used <= set(re.findall(r"--(\w+):", light))
    assert set(re.findall(r"--(\w+):", light)) == set(re.findall(r"--(\w+):", dark))
    # Whatever matplotlib drew in a colour of its own would vanish in one of the themes.
    assert not re.findall(r"#[0-9a-f]{6}", source[source.index("<svg") : source.index("</svg>")])


def test_the_figures_are_those_of_the_summary() -> None:
    summary = summarise(half_lost())
    figures = Page(source_of(half_lost)).pairs()
    for name in ("requests", "answered", "degraded", "refused", "unreachable", "lost"):
        assert figures[name] == f"{summary[name]:,}"
    for name in ("p50", "p95", "p99", "max"):
        assert figures[f"latency {name}"] == duration(summary["latency"][name])
    assert figures["accuracy observed"] == share(summary["accuracy"]["observed"])
    assert figures["accuracy expected"] == share(summary["accuracy"]["expected"])
    assert figures["slowest recovery"] == duration(summary["slowest_recovery"])


def test_the_page_says_what_was_run_and_how_to_do_it_again() -> None:
    run = half_lost()
    page = Page(source_of(half_lost))
    text = page.text()
    assert run.summary in text
    assert "On processes, seed 1: 8 devices,\n8 students, 4 parts." in text
    assert "nonn faults run half_lost --on processes --seed 1" in page.text("pre")
    assert "versions.python\n3.11.2" in text
    assert "RESOURCE_EXHAUSTED 3" in text


def test_without_a_command_among_the_facts_the_page_makes_one() -> None:
    run = replace(half_lost(), facts={}, scenario="my scenario", seed=7)
    assert page_of(run).text("pre") == "nonn faults run 'my scenario' --on processes --seed 7"


def test_the_verdict_comes_first() -> None:
    kept, failed = Page(source_of(half_lost)), Page(source_of(broken))
    assert kept.text().startswith("Every promise was kept.")
    first, *promises = failed.text().split("\n")
    assert first == "3 violations of 2 promises."
    assert promises[0] == "every request has its outcome before its deadline"
    assert promises[1] == "(2 times)"
    assert promises[2] == "once faults are over the cluster is whole again, and soon"


def test_problems_are_told_with_their_histories_and_the_rest_is_counted() -> None:
    run = broken()
    text = Page(source_of(broken)).text()
    assert "3.10 s: request 124 took 2.4 s" in text
    assert "3.412000 s: answered by [0, 4]" in text
    many = replace(run, problems=run.problems * 30)
    page = page_of(many)
    assert page.text("details").count("Promised:") == MOST_PROBLEMS
    assert "And 40 more, in the JSON report." in page.text()


def test_what_a_ground_left_out_is_said() -> None:
    text = Page(source_of(broken)).text()
    assert "clock_jump of device-2 at 5 s: a process cannot have a clock of its own" in text
    assert "left out" not in Page(source_of(half_lost)).text()


def test_text_that_means_harm_is_shown_as_text() -> None:
    page = Page(source_of(broken))
    assert not page.names & {"script", "img"}
    assert "<img src=x onerror=alert(2)> & 'quotes'" in page.text()
    assert "3.100000 s: asked of <script>alert(1)</script>" in page.text()
    assert "</title><script>alert(3)</script>" in page.text()


def test_names_that_mean_harm_do_none_in_the_picture() -> None:
    fall = Fall("$\\frac{", "</svg><script>alert(1)</script>", 1.0, 2.0)
    page = page_of(replace(half_lost(), falls=(fall,)))
    assert "script" not in page.names
    assert "$\\frac{" in page.text("svg")


def test_empty_runs_say_that_there_is_nothing_to_show() -> None:
    nothing = Page(source_of(empty)).text("svg")
    for line in ("no faults", "the cluster was not watched", "no requests", "no answers"):
        assert line in nothing
    figures = Page(source_of(silent)).pairs()
    assert figures["refused"] == "50"
    assert figures["latency p50"] == figures["accuracy observed"] == "—"
    assert "accuracy expected" not in figures


def test_faults_that_befell_several_devices_alike_are_one_row() -> None:
    falls = tuple(Fall("kill", f"device-{device}", 3.0, 9.0, 1.5) for device in range(4))
    unknown = Fall("kill", "device-7", 3.0, 9.0)
    cells = page_of(replace(half_lost(), falls=(*falls, unknown))).text("tbody").split("\n")
    row = cells.index("device-0, device-1, device-2, device-3")
    assert cells[row - 1 : row + 4] == ["kill", cells[row], "3.00 s", "9.00 s", "1.50 s"]
    other = cells.index("device-7")
    assert cells[other + 3] == "—"


@pytest.mark.parametrize("unknown", [None, math.nan])
def test_while_nobody_serves_nothing_is_expected(unknown: Any) -> None:
    samples = (Sample(0.0, 8, 8, 4, 0.967), Sample(3.0, 0, 0, 0, unknown), Sample(9.0, 8, 8, 4, 0.967))
    assert "expected of who serves" in page_of(replace(half_lost(), samples=samples)).text("svg")


def test_a_page_from_json_is_the_same_page() -> None:
    summary = summarise(half_lost())
    assert render(json.loads(json.dumps(summary))) == source_of(half_lost)


def test_a_page_is_written_wholly_or_not_at_all(tmp_path: Path) -> None:
    summary = summarise(half_lost())
    path = tmp_path / "report.html"
    write_report(summary, path)
    assert path.read_text(encoding="utf-8") == source_of(half_lost)
    with pytest.raises(KeyError):
        write_report({**summary, "problems": [{}]}, path)
    assert path.read_text(encoding="utf-8") == source_of(half_lost)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(StorageError, match="cannot write"):
        write_report(summary, tmp_path / "nowhere" / "report.html")


def test_targets_are_in_the_order_of_their_numbers() -> None:
    names = ("device-10", "device-2", "aggregator", "device-2")
    assert targets([{"target": name} for name in names]) == ["aggregator", "device-2", "device-10"]


def test_faults_of_one_device_that_overlap_are_drawn_side_by_side() -> None:
    spans = [(0.0, 5.0), (1.0, 2.0), (2.0, 3.0), (1.5, 9.0)]
    faults = [{"target": "device-0", "begin": begin, "end": end} for begin, end in spans]
    drawn = places(faults, ["device-0"])
    for (one, (y, height)), (other, (y_other, _)) in combinations(zip(spans, drawn, strict=True), 2):
        if one[0] < other[1] and other[0] < one[1]:
            assert abs(y - y_other) >= height - 1e-9
    assert all(abs(y) + height / 2 <= 0.5 for y, height in drawn)


def test_the_interval_is_wilsons() -> None:
    assert interval(0.5, 100) == pytest.approx((0.37528, 0.62472), abs=1e-5)
    # Where all or none were right, its one end is known in closed form: n / (n + z²).
    assert interval(1.0, 40) == pytest.approx((40 / (40 + 2.5758293**2), 1.0))
    assert interval(0.0, 40) == pytest.approx((0.0, 1 - 40 / (40 + 2.5758293**2)))
    assert interval(math.nan, 0) == (0.0, 1.0)


def test_words() -> None:
    assert [duration(x) for x in (0.00123, 0.1234, 0.9999, 2.5, 75.0, 7500.0, None, math.nan)] == [
        "1.2 ms",
        "123 ms",
        "1.00 s",
        "2.50 s",
        "75.0 s",
        "7,500 s",
        "—",
        "—",
    ]
    assert [share(x) for x in (0.9512, 1.0, None)] == ["95.1 %", "100.0 %", "—"]
    assert [count(n, "device") for n in (0, 1, 2000)] == ["0 devices", "1 device", "2,000 devices"]

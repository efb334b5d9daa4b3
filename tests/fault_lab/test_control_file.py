"""A control file may come, change, be wrong and go, and whoever obeys it does the sensible thing."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fault_lab.control_file import ControlFile, to_document, write
from fault_lab.mischief import HONEST, Answers, Mischief, read_mischief
from fault_lab.proxy import Flapping, LinkState, Toxics
from fault_lab.proxy.control import read_links
from tests.fault_lab.laboratory import until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.json"


def test_what_it_says_counts_from_the_next_look(path: Path) -> None:
    control = ControlFile(path, read_mischief, HONEST)
    assert control.current() == HONEST
    for factor in (2.0, 3.0, 4.0):
        write(path, {"slow": factor})
        until(lambda factor=factor: control.current() == Mischief(slow=factor))
    path.unlink()
    until(lambda: control.current() == HONEST)


@pytest.mark.parametrize("wrong", ["{", '{"slow": 0.5}', '{"slow": "much"}', '{"slowly": 2.0}', "[]", "\xff"])
def test_what_is_malformed_is_said_once_and_changes_nothing(
    path: Path, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    control = ControlFile(path, read_mischief, HONEST)
    write(path, {"slow": 2.0})
    until(lambda: control.current() == Mischief(slow=2.0))
    other = path.with_suffix(".other")
    other.write_text(wrong, encoding="latin-1")
    other.replace(path)
    complaints: list[str] = []

    def complained() -> bool:
        assert control.current() == Mischief(slow=2.0)
        complaints.extend(capsys.readouterr().err.splitlines())
        return bool(complaints)

    until(complained)
    assert len(complaints) == 1
    assert complaints[0].startswith(f"{path}: ")
    write(path, {"slow": 3.0})
    until(lambda: control.current() == Mischief(slow=3.0))
    assert capsys.readouterr().err == ""


def test_nothing_else_is_left_in_the_folder(path: Path) -> None:
    for factor in (2.0, 3.0):
        write(path, {"slow": factor})
    assert list(path.parent.iterdir()) == [path]


def through_json(document: Mapping[str, Any]) -> Any:
    return json.loads(json.dumps(document, allow_nan=False))


@pytest.mark.parametrize(
    "mischief",
    [HONEST, Mischief(2.0, Answers("late", 0.5, 1.5), True, 60.0), Mischief(answers=Answers("nan"))],
)
def test_mischief_is_read_as_it_was_written(mischief: Mischief) -> None:
    assert read_mischief(through_json(to_document(mischief))) == mischief


@pytest.mark.parametrize(
    "link",
    [
        LinkState(),
        LinkState(Toxics(0.1, 0.02, 20000.0), Toxics(timeout=True), enabled=False, resets=3),
        LinkState(flapping=Flapping(up=1.0, down=2.0)),
    ],
)
def test_links_are_read_as_they_were_written(link: LinkState) -> None:
    assert read_links(through_json({"device-3": to_document(link)})) == {"device-3": link}


@pytest.mark.parametrize(
    "wrong",
    [
        [],
        {"device-0": 1},
        {"device-0": {"upstream": {"latency": -1.0}}},
        {"device-0": {"upstream": 3}},
        {"device-0": {"enabled": "no"}},
        {"device-0": {"resets": 1.5}},
        {"device-0": {"flapping": {"up": 1.0}}},
        {"device-0": {"flapping": {"up": 1.0, "down": 0.0}}},
        {"device-0": {"sideways": {}}},
    ],
)
def test_what_no_link_can_be_is_refused(wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_links(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"answers": {"type": "rude"}},
        {"answers": {"type": "nan", "toxicity": 2.0}},
        {"answers": {"type": "late", "delay": -1.0}},
        {"answers": {}},
        {"answers": "nan"},
        {"disk_full": 1},
        {"clock": -1.0},
    ],
)
def test_what_no_device_can_be_told_is_refused(wrong: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        read_mischief(wrong)

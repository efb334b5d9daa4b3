"""Each fault of a scenario, done to real processes and undone again."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fault_lab.grounds.ground import Ground
from fault_lab.grounds.processes import Processes, damage_cache
from fault_lab.scenario import AGGREGATOR, FAULTS
from nonn import Client
from nonn.errors import ClusterUnreachable, RequestRefused
from tests.fault_lab.laboratory import DIGITS, digit_images, injection, make_scenario, until

IMAGES = digit_images()
VICTIM = 1


class Seen:
    """A ground, as those see it who ask the cluster."""

    def __init__(self, ground: Processes, folder: Path) -> None:
        self.ground = ground
        self.folder = folder

    def missing(self, deadline: float = 1.0) -> set[int] | None:
        """Students without whom a request is answered; None when it is not."""
        try:
            with Client(self.ground.address) as client:
                return set(client.predict(IMAGES, deadline=deadline).missing)
        except (RequestRefused, ClusterUnreachable):
            return None

    def is_whole(self) -> bool:
        return self.missing() == set()

    def is_degraded(self) -> bool:
        return bool(self.missing())

    def is_away(self) -> bool:
        return self.missing() is None


def a_fault(name: str, **facts: Any) -> dict[str, Any]:
    target = {} if FAULTS[name].of_aggregator else {"target": "all"}
    return {"type": name, "at": 1.0, **target, **facts}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """With all that any scenario needs. Nobody takes over what is lost."""
    scenario = make_scenario(
        a_fault("slow", factor=2.0), devices=3, link="ethernet", heal_after="never", ping=0.2
    )
    folder = tmp_path_factory.mktemp("ground")
    with Processes(scenario, DIGITS, folder=folder, seed=1) as ground:
        yield Seen(ground, folder)


@pytest.fixture
def seen(shared: Seen) -> Seen:
    until(shared.is_whole)
    return shared


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("kill", {}),
        ("pause", {}),
        ("timeout", {}),
        ("timeout", {"stream": "upstream"}),
        ("timeout", {"stream": "downstream"}),
        ("down", {}),
        ("flapping", {"up": 0.3, "down": 0.6}),
        ("latency", {"latency": 2.0}),
        ("bandwidth", {"rate": 50.0}),
        ("slow", {"factor": 20000.0}),
        ("refuse", {}),
        ("nan", {}),
        ("wrong_shape", {}),
        ("late", {"delay": 2.0}),
        ("mute", {}),
    ],
)
def test_what_takes_a_device_away_and_gives_it_back(seen: Seen, name: str, facts: dict[str, Any]) -> None:
    fault = injection(VICTIM, name, **facts)
    seen.ground.begin(fault)
    until(seen.is_degraded)
    seen.ground.end(fault)
    until(seen.is_whole)


def lives(seen: Seen) -> int:
    """How often the victim has joined so far."""
    return (seen.folder / f"device-{VICTIM}.log").read_text().count(") joined")


@pytest.mark.parametrize("name", ["restart", "reset_peer"])
def test_what_is_over_at_once_makes_the_device_join_again(seen: Seen, name: str) -> None:
    before = lives(seen)
    seen.ground.begin(injection(VICTIM, name))
    until(lambda: lives(seen) > before)
    until(seen.is_whole)


def test_a_device_whose_cache_was_damaged_fetches_its_students_anew(seen: Seen) -> None:
    before = lives(seen)
    seen.ground.begin(injection(VICTIM, "damaged_cache"))
    until(lambda: lives(seen) > before)
    until(seen.is_whole)
    students = seen.folder / "state/nonn/devices/device-1/students"

    def sound() -> bool:
        """Others may make the cluster whole before this device has all of its own again."""
        kept = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in students.glob("*.onnx")}
        return len(kept) >= 2 and all(name == digest for name, digest in kept.items())

    until(sound)


@pytest.mark.parametrize(
    ("name", "facts"), [("clock_jump", {"seconds": 60.0}), ("duplicate", {}), ("disk_full", {})]
)
def test_what_costs_nobody_anything(seen: Seen, name: str, facts: dict[str, Any]) -> None:
    fault = injection(VICTIM, name, **facts)
    seen.ground.begin(fault)
    until(seen.is_whole)
    if not fault.fault.instant:
        seen.ground.end(fault)
        until(seen.is_whole)


@pytest.mark.parametrize("name", ["aggregator_restart", "aggregator_pause"])
def test_an_aggregator_that_is_away_comes_back_at_its_address(seen: Seen, name: str) -> None:
    address, fault = seen.ground.address, injection(AGGREGATOR, name)
    seen.ground.begin(fault)
    until(seen.is_away)
    seen.ground.end(fault)
    until(seen.is_whole)
    assert seen.ground.address == address


def test_last_words_are_the_end_of_the_log(seen: Seen) -> None:
    assert "serving student" in seen.ground.last_words(0)
    assert "ready: 8 of 8 students are served" in seen.ground.last_words(AGGREGATOR)


def test_a_damaged_cache_has_its_length_and_no_student(tmp_path: Path) -> None:
    path = tmp_path / f"{hashlib.sha256(b'student').hexdigest()}.onnx"
    path.write_bytes(b"student")
    damage_cache(tmp_path)
    assert len(path.read_bytes()) == len(b"student")
    assert path.read_bytes() != b"student"


def test_options_reach_the_processes_and_logs_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = make_scenario(devices=1, heal_after=7.0, ping=0.4, queue=9, memory_mb=500)
    commands: list[list[str]] = []
    monkeypatch.setattr("fault_lab.local_cluster.NodeProcess", noting(commands))
    folder = tmp_path / "run"
    with pytest.raises(Noted), Processes(seen, DIGITS, folder=folder, seed=1):
        pass
    text = " ".join(commands[0])
    for option in ("--heal-after 7.0", "--ping 0.4", "--queue 9", "--policy all"):
        assert option in text
    assert folder.is_dir()


class Noted(Exception):
    """In place of the start of a process."""


def noting(commands: list[list[str]]) -> Callable[..., Any]:
    def start(name: str, command: list[str], *_: Any) -> None:
        commands.append(list(command))
        raise Noted

    return start


def test_it_is_a_ground_that_does_everything(tmp_path: Path) -> None:
    ground: Ground = Processes(make_scenario(), DIGITS, folder=tmp_path, seed=1)
    assert ground.name == "processes"
    assert ground.shortcomings(make_scenario()) == []


@pytest.mark.slow
def test_an_honest_cluster_has_neither_proxy_nor_mischief(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scenario = make_scenario(a_fault("kill"), devices=2, memory_mb=500)
    with Processes(scenario, DIGITS, folder=Path("run"), seed=1) as ground:
        until(Seen(ground, tmp_path).is_whole)
    assert list((tmp_path / "run/state/nonn/devices/device-0/students").iterdir())
    assert {path.name for path in tmp_path.glob("run/*.log")} == {
        "aggregator.log",
        "device-0.log",
        "device-1.log",
    }

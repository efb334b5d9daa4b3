"""A real device that misbehaves as it is told, and what a real cluster makes of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bundle import Bundle
from fault_lab import control_file
from fault_lab.local_cluster import LocalCluster
from fault_lab.mischief import Answers, Mischief
from nonn import Answer, Client
from nonn.errors import RequestRefused
from protos import nonn_pb2
from tests.end_to_end.offline import Offline, students_of
from tests.fault_lab.laboratory import DIGITS, WAIT, digit_images, until

IMAGES = digit_images()
PING = 0.2


class Pair:
    """Two devices that share all students; device-1 does as it is told."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._control = folder / "device-1.json"
        self.cluster = LocalCluster(
            DIGITS,
            2,
            folder=folder,
            aggregator_options=["--ping", str(PING), *options],
            device_command=self._command,
        )

    def _command(self, index: int) -> Sequence[str]:
        return ("fault_lab.mischief", str(self._control)) if index == 1 else ("nonn", "device")

    @property
    def suspects(self) -> set[int]:
        return students_of(self.cluster.status(), "device-1")

    @property
    def dropped(self) -> int:
        return int(self.cluster.status().dropped_messages)

    def tell(self, mischief: Mischief | None) -> None:
        if mischief is not None:
            control_file.write(self._control, control_file.to_document(mischief))
        elif self._control.exists():
            self._control.unlink()
        time.sleep(2 * control_file.LOOK_SECONDS)  # a device says nowhere that it has looked

    def ask(self, deadline: float = 10.0, *, strict: bool = False) -> Answer:
        """A strict one waits for stragglers until its deadline."""
        with Client(self.cluster.address) as client:
            return client.predict(IMAGES, deadline=deadline, strict=strict)

    def ask_without(self, students: set[int], deadline: float = 10.0) -> Answer:
        """Until exactly these are missing: on a busy machine others may be stragglers at first."""
        answers: list[Answer] = []

        def reached() -> bool:
            answers.append(self.ask(deadline))
            return set(answers[-1].missing) == students

        until(reached)
        return answers[-1]

    def is_whole(self) -> bool:
        try:
            return not self.ask(2.0).missing
        except RequestRefused:
            return False


@pytest.fixture(scope="module")
def offline() -> Offline:
    return Offline(Bundle.load(DIGITS))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pair = Pair(tmp_path_factory.mktemp("pair"), "--heal-after", "never")
    with pair.cluster:
        yield pair


@pytest.fixture
def pair(shared: Pair) -> Iterator[Pair]:
    """An honest one, to begin with."""
    yield shared
    shared.tell(None)
    until(shared.is_whole)


def test_a_device_that_is_told_nothing_is_an_honest_one(pair: Pair, offline: Offline) -> None:
    answer = pair.ask(strict=True)
    assert not answer.missing
    offline.check(answer, IMAGES)
    assert pair.dropped == 0


def test_made_up_logits_are_taken_for_real(pair: Pair, offline: Offline) -> None:
    pair.tell(Mischief(answers=Answers("corrupt")))
    answer = pair.ask(strict=True)
    assert not answer.missing
    assert np.isfinite(answer.logits).all()
    assert np.abs(answer.logits - offline.logits(IMAGES, offline.everyone)).max() > 3.0


@pytest.mark.parametrize("way", ["nan", "wrong_shape"])
def test_what_cannot_be_merged_is_dropped_and_counted(pair: Pair, offline: Offline, way: str) -> None:
    suspects, before = pair.suspects, pair.dropped
    pair.tell(Mischief(answers=Answers(way)))
    answer = pair.ask_without(suspects)
    offline.check(answer, IMAGES)
    assert pair.dropped >= before + len(suspects)


def test_the_second_of_two_answers_is_dropped_and_counted(pair: Pair, offline: Offline) -> None:
    suspects, before = pair.suspects, pair.dropped
    pair.tell(Mischief(answers=Answers("duplicate")))
    answer = pair.ask(strict=True)
    assert not answer.missing
    offline.check(answer, IMAGES)
    until(lambda: pair.dropped == before + len(suspects))


def test_what_is_refused_is_missing(pair: Pair, offline: Offline) -> None:
    suspects = pair.suspects
    pair.tell(Mischief(answers=Answers("refuse")))
    answer = pair.ask_without(suspects)
    offline.check(answer, IMAGES)


def test_a_mute_device_is_not_waited_for_beyond_the_deadline_and_answers_pings(
    pair: Pair, offline: Offline
) -> None:
    suspects = pair.suspects
    pair.tell(Mischief(answers=Answers("mute")))
    answer = pair.ask_without(suspects, 1.0)
    offline.check(answer, IMAGES)
    seen = [device.last_seen_seconds for device in pair.cluster.status().devices]
    assert len(seen) == 2
    assert max(seen) < 3 * PING


def test_late_answers_are_waited_for_by_whoever_wants_all(pair: Pair, offline: Offline) -> None:
    suspects = pair.suspects
    pair.tell(Mischief(answers=Answers("late", delay=0.6)))
    started = time.monotonic()
    answer = pair.ask(strict=True)
    assert time.monotonic() - started >= 0.6
    assert not answer.missing
    offline.check(answer, IMAGES)
    answer = pair.ask_without(suspects, 0.5)
    offline.check(answer, IMAGES)


def test_toxicity_is_the_chance_for_each_answer(pair: Pair) -> None:
    # Not with refusals: after a few in a row, which chance brings about, the device has the student no more.
    suspects, before = pair.suspects, pair.dropped
    pair.tell(Mischief(answers=Answers("duplicate", toxicity=0.5)))
    requests = 30
    for _ in range(requests):
        assert not pair.ask(strict=True).missing
    pair.tell(None)
    pair.ask(strict=True)  # a device's messages come in order: all duplicates have been counted
    assert 0.2 < (pair.dropped - before) / (requests * len(suspects)) < 0.8


def test_a_slow_device_takes_its_time_and_answers_rightly(pair: Pair, offline: Offline) -> None:
    def seconds() -> float:
        started = time.monotonic()
        answer = pair.ask(60.0, strict=True)
        offline.check(answer, IMAGES)
        return time.monotonic() - started

    usual = min(seconds() for _ in range(5))
    pair.tell(Mischief(slow=2000.0))
    until(lambda: seconds() > usual + 0.2)
    assert all(device.state == nonn_pb2.SERVING for device in pair.cluster.status().devices)


def test_a_device_whose_clock_jumps_goes_on(pair: Pair, offline: Offline) -> None:
    pair.tell(Mischief(clock=7200.0))
    until(pair.is_whole)
    offline.check(pair.ask(), IMAGES)
    device = pair.cluster.devices[1]
    device.send(signal.SIGTERM)
    assert device.wait(WAIT) == 0
    last = datetime.strptime(device.output().splitlines()[-1][:8], "%H:%M:%S")
    ahead = (last - datetime.now().replace(year=1900, month=1, day=1)).total_seconds() % 86400
    assert 7100 < ahead < 7210
    pair.tell(None)
    pair.cluster.restart(1)


@pytest.mark.slow
def test_a_device_whose_disk_is_full_serves_what_it_cannot_keep(tmp_path: Path, offline: Offline) -> None:
    pair = Pair(tmp_path, "--heal-after", "0")
    with pair.cluster:
        pair.tell(Mischief(disk_full=True))
        pair.cluster.kill(0)
        pair.cluster.wait_until(lambda status: len(status.devices[0].serving) == 8, WAIT)
        answer = pair.ask(strict=True)
        assert not answer.missing
        offline.check(answer, IMAGES)
        assert "is not kept on disk: cannot write" in pair.cluster.devices[1].output()
        assert "No space left on device" in pair.cluster.devices[1].output()
        assert len(list((pair.cluster.state_folder(1) / "students").iterdir())) < 8


def test_a_student_that_proves_itself_is_not_lied_about(pair: Pair) -> None:
    suspects = pair.suspects
    pair.tell(Mischief(answers=Answers("nan")))
    pair.cluster.restart(1)

    def serves(status: nonn_pb2.StatusResponse) -> bool:
        told = [set(device.serving) for device in status.devices if device.name == "device-1"]
        return told == [suspects]

    pair.cluster.wait_until(serves, WAIT, watched=[pair.cluster.devices[1]])
    pair.ask_without(suspects)


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=WAIT,
        env={**os.environ, **environment},
    )


def test_the_clock_is_changed_before_the_device_keeps_it(tmp_path: Path) -> None:
    program = """
import sys, time
from pathlib import Path
from fault_lab.control_file import ControlFile, write
from fault_lab.mischief import HONEST, Mischief, read_mischief
from fault_lab.mischief.hooks import install
wall, steady = time.time, time.monotonic
path = Path(sys.argv[1])
write(path, {"clock": 3600.0})
install(ControlFile(path, read_mischief, HONEST))
from device_node.pulse import Pulse
assert 3599 < time.time() - wall() < 3601
assert 3599 < time.monotonic() - steady() < 3601
assert 3599 < Pulse().received() - steady() < 3601
"""
    result = run("-c", program, str(tmp_path / "control.json"))
    assert (result.returncode, result.stderr) == (0, "")


def test_it_ends_as_a_device_does(tmp_path: Path) -> None:
    arguments: Any = ["--threads", "0"]
    honest = run("-m", "nonn", "device", *arguments)
    told = run("-m", "fault_lab.mischief", str(tmp_path / "control.json"), *arguments)
    assert (told.returncode, told.stderr) == (honest.returncode, honest.stderr)
    assert told.returncode != 0


def test_without_a_control_file_to_name_it_says_how_it_is_used() -> None:
    assert run("-m", "fault_lab.mischief").stderr.startswith("usage: python -m fault_lab.mischief CONTROL")

"""Findings about boards, most of which are not at hand: pure functions on facts."""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nonn.doctor.board import read_processor, read_throttled, this_disk
from nonn.doctor.board_checks import (
    check_disk,
    check_memory,
    check_power,
    check_processor,
    check_python,
    check_runtime,
    check_system,
)
from nonn.doctor.facts import Child, Disk, Needs, Power, Trial
from nonn.doctor.findings import Finding, Kind, Verdict, exit_code, ok, problem, warning
from nonn.system import System
from tests.nonn.doctor.boards import PI_3, PI_4, PI_5, PI_ZERO_2, X86

NEEDS = Needs("cifar100", students=8, student=10_000_000, files=6_000_000)
OK, WARNING, PROBLEM, UNKNOWN = Verdict.OK, Verdict.WARNING, Verdict.PROBLEM, Verdict.UNKNOWN


def system(
    kernel: str = "Linux 6.6.51",
    machine: str = "aarch64",
    bits: int = 64,
    libc: tuple[str, str] = ("glibc", "2.36"),
    python: tuple[int, int, int] = (3, 11, 2),
) -> System:
    return System(kernel, machine, bits, libc, python)


def test_raspberry_pi_os_is_fine() -> None:
    assert check_system(system()) == ok(Kind.SYSTEM, "64-bit aarch64, Linux 6.6.51, glibc 2.36")
    assert check_python(system()) == ok(Kind.PYTHON, "Python 3.11.2")


@pytest.mark.parametrize(
    ("facts", "why", "fix"),
    [
        (system(bits=32), "kernel is 64-bit.*userland are 32-bit: ONNX Runtime has no wheels", "64-bit Rasp"),
        (system(machine="armv7l", bits=32), "32-bit system .armv7l.*no wheels", "Zero 2 W"),
        (system(machine="armv6l", bits=32), "32-bit system .armv6l.*no wheels", "board with a 64-bit"),
        (system(machine="riscv64"), "no wheels for riscv64", "aarch64 or x86_64"),
        (system(kernel="Darwin 23.1"), "no Linux", "run on Linux"),
        (system(libc=("", "")), "not glibc", "Alpine"),
        (system(libc=("glibc", "2.9")), "2.9 is older", "bookworm"),
    ],
)
def test_systems_without_wheels(facts: System, why: str, fix: str) -> None:
    found = check_system(facts)
    assert found.verdict is PROBLEM
    assert re.search(why, found.text)
    assert fix in found.fix


def test_an_old_python() -> None:
    found = check_python(system(python=(3, 9, 2)))
    assert (found.verdict, found.text) == (PROBLEM, "Python 3.9.2 is too old")


@pytest.mark.parametrize(
    ("cpuinfo", "board", "text"),
    [
        (
            PI_ZERO_2,
            "Raspberry Pi Zero 2 W Rev 1.0\0",
            "Raspberry Pi Zero 2 W Rev 1.0, 4 x Cortex-A53: asimd; no",
        ),
        (PI_3, "", "4 x Cortex-A53: asimd; no dot products"),
        (PI_4, "Raspberry Pi 4 Model B Rev 1.4\0", "Rev 1.4, 4 x Cortex-A72: asimd; no dot products of int8"),
        (PI_5, "Raspberry Pi 5 Model B Rev 1.0\0", "4 x Cortex-A76: asimd, asimdhp, asimddp"),
    ],
)
def test_processors_of_boards(cpuinfo: str, board: str, text: str) -> None:
    found = check_processor(read_processor("aarch64", cpuinfo, board, 4))
    assert found.verdict is OK
    assert text in found.text
    assert ("int8" in found.text) == (cpuinfo != PI_5)


def test_other_processors() -> None:
    celeron = check_processor(read_processor("x86_64", X86, "", 4))
    assert (celeron.verdict, "N4100" in celeron.text, "sse4_2;" in celeron.text) == (OK, True, True)
    assert check_processor(read_processor("aarch64", "", "", 1)).verdict is UNKNOWN
    without = PI_4.replace("asimd ", "")
    assert check_processor(read_processor("aarch64", without, "", 4)).verdict is PROBLEM


@pytest.mark.parametrize(
    ("trial", "verdict", "text", "fix"),
    [
        (Trial("", Child(error="ModuleNotFoundError")), PROBLEM, "not installed", "pip install"),
        (
            Trial("1.21.0", Child(signal=signal.SIGILL)),
            PROBLEM,
            r"1\.21\.0 died of SIGILL \(illegal instruction\) while being imported",
            "onnxruntime!=1.21.0",
        ),
        (Trial("1.32.0", Child(signal=signal.SIGKILL), True), PROBLEM, "running the self-test", "memory"),
        (Trial("1.32.0", Child(signal=signal.SIGRTMIN + 1)), PROBLEM, "signal 35", "onnxruntime!="),
        (Trial("1.32.0", Child(timed_out=True), True), PROBLEM, "in time", "overloaded"),
        (
            Trial("1.32.0", Child(error="ImportError: numpy")),
            PROBLEM,
            "ImportError: numpy",
            "force-reinstall",
        ),
        (Trial("1.32.0", Child(error="off by 3"), True), PROBLEM, "self-test: off by 3", "copied whole"),
        (Trial("1.32.0", Child(), True), OK, "can be imported", ""),
        (Trial("1.32.0", Child(), True, NEEDS, 8, 0.0104, 97_000_000), OK, "8 students: 10.4 ms.* 97 MB", ""),
    ],
)
def test_how_onnx_runtime_fares(trial: Trial, verdict: Verdict, text: str, fix: str) -> None:
    found = check_runtime(trial)
    assert found.verdict is verdict
    assert re.search(text, found.text)
    assert fix in found.fix


def test_memory_and_what_students_need() -> None:
    assert check_memory(0, NEEDS).verdict is UNKNOWN
    assert check_memory(30_000_000, None).verdict is OK
    assert "so 3 of 8 fit at once" in check_memory(39_000_000, NEEDS).text
    assert "so 8 of 8 fit at once" in check_memory(10**9, NEEDS).text
    short = check_memory(9_900_000, NEEDS)
    assert (short.verdict, short.text) == (
        PROBLEM,
        "9.9 MB are free for students, beside the device itself, and one of cifar100 needs 10 MB",
    )


def test_disks() -> None:
    def check(free: int | None, writable: bool = True, needs: Needs | None = NEEDS) -> Verdict:
        return check_disk(Disk("/var/lib/nonn", free, writable), needs).verdict

    assert check(10**9) is OK
    assert check(10**9, needs=None) is OK
    assert check(10**9, writable=False) is PROBLEM
    assert check(7_000_000) is WARNING
    assert check(700_000) is PROBLEM
    assert check(700_000, needs=None) is WARNING
    assert check(None) is UNKNOWN


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert this_disk(tmp_path / "state" / "nonn").writable
    (tmp_path / "link").symlink_to(tmp_path)
    assert this_disk(tmp_path / "link" / "nonn").writable


def test_a_link_that_leads_nowhere_is_no_folder_to_be(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for folder in (tmp_path / "link", tmp_path / "link" / "nonn"):
        assert not this_disk(folder).writable


@contextmanager
def nobody() -> Iterator[None]:
    """Where tests run as root, not so inside: os.access asks about the real user."""
    root = os.geteuid() == 0
    if root:
        os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


def test_a_folder_that_may_not_be_entered() -> None:
    with TemporaryDirectory() as name:  # not tmp_path, whose parents nobody may enter
        public = Path(name)
        public.chmod(0o755)
        (public / "locked").mkdir(mode=0)
        (public / "link").symlink_to(public / "locked" / "state")
        with nobody():
            for folder in (public / "locked" / "state" / "nonn", public / "link"):
                assert not this_disk(folder).writable


@pytest.mark.parametrize(
    ("power", "verdict", "text"),
    [
        (Power(None, None), UNKNOWN, "does not say"),
        (Power(48.3, None), OK, "48 °C; whether it is throttled is not told"),
        (Power(48.3, 0), OK, "48 °C, not throttled"),
        (Power(77.0, 0), WARNING, "near where boards slow down"),
        (Power(86.0, None), PROBLEM, "86 °C"),
        (Power(51.0, 0x50000), WARNING, "since it was started: too little voltage, throttled"),
        (Power(51.0, 0x50005), PROBLEM, "51 °C, too little voltage, throttled"),
        (Power(None, 0x80008), PROBLEM, "slowed by heat"),
    ],
)
def test_heat_and_current(power: Power, verdict: Verdict, text: str) -> None:
    found = check_power(power)
    assert (found.verdict, text in found.text) == (verdict, True)


def test_what_the_firmware_says() -> None:
    assert read_throttled("throttled=0x50005\n") == read_throttled("50005\n") == 0x50005
    assert read_throttled("0") == 0
    assert read_throttled("") is read_throttled("VCHI initialization failed") is None


@given(st.text())
def test_no_text_of_a_file_makes_it_fail(text: str) -> None:
    check_processor(read_processor("aarch64", text, text, 4))
    read_throttled(text)


@given(
    st.lists(st.builds(Finding, st.sampled_from(Kind), st.sampled_from(Verdict), st.just("")), max_size=12)
)
def test_the_code_is_that_of_the_first_problem(findings: list[Finding]) -> None:
    code = exit_code(findings)
    problems = {each.kind.value for each in findings if each.verdict is PROBLEM}
    assert code == 0 if not problems else code in problems and code <= min(problems)


def test_causes_come_before_effects() -> None:
    late, early = problem(Kind.NETWORK, "", ""), problem(Kind.CLOCK, "", "")
    assert exit_code([late, ok(Kind.DISK, ""), early, warning(Kind.SYSTEM, "", "")]) == Kind.CLOCK.value == 37

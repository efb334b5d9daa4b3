"""Findings about the board itself."""

import signal
from typing import Final

from nonn.doctor.facts import Disk, Needs, Power, Processor, Trial
from nonn.doctor.findings import Finding, Kind, ok, problem, unknown, warning
from nonn.system import MACHINES, System, why_32_bit

LEAST_GLIBC: Final = (2, 28)  # of ONNX Runtime's wheels
LEAST_PYTHON: Final = (3, 11)
WARM, HOT = 75.0, 85.0  # degrees Celsius; a Raspberry Pi slows down from 80 on, and more at 85
# Bits that the Raspberry Pi's firmware sets for now, and 16 higher for some time since the start.
_BITS: Final = {0: "too little voltage", 1: "the clock is capped", 2: "throttled", 3: "slowed by heat"}
_SINCE: Final = 16
# Those that ONNX Runtime computes faster with.
_ARM_FEATURES: Final = ("asimd", "asimdhp", "asimddp", "i8mm", "sve")
_X86_FEATURES: Final = ("sse4_2", "avx", "avx2", "avx512f", "avx512_vnni", "avx_vnni")
_DOT_PRODUCTS: Final = frozenset({"asimddp", "avx512_vnni", "avx_vnni"})
_POWER_FIX: Final = "take a stronger power supply and a short cable, and cool the board"


def check_system(system: System) -> Finding:
    if (found := why_32_bit(system)) is not None:
        return problem(Kind.SYSTEM, *found)
    if not system.kernel.startswith("Linux"):
        return problem(Kind.SYSTEM, f"{system.kernel} is no Linux", "devices run on Linux")
    if system.machine not in MACHINES:
        text = f"ONNX Runtime has no wheels for {system.machine}"
        return problem(Kind.SYSTEM, text, f"take a machine of {' or '.join(MACHINES)}")
    name, version = system.libc
    if name != "glibc":
        text = "the C library is not glibc, and ONNX Runtime has no wheels for others"
        return problem(
            Kind.SYSTEM, text, "take a system with glibc, such as Raspberry Pi OS; Alpine has musl"
        )
    if _numbers(version) < LEAST_GLIBC:
        text = f"glibc {version} is older than ONNX Runtime's wheels, which need 2.28"
        return problem(Kind.SYSTEM, text, "install a newer system: Raspberry Pi OS from bookworm on")
    return ok(Kind.SYSTEM, f"64-bit {system.machine}, {system.kernel}, glibc {version}")


def check_python(system: System) -> Finding:
    version = ".".join(map(str, system.python))
    if system.python[:2] < LEAST_PYTHON:
        fix = "install Python 3.11 or newer, which Raspberry Pi OS has from bookworm on"
        return problem(Kind.PYTHON, f"Python {version} is too old", fix)
    return ok(Kind.PYTHON, f"Python {version}")


def check_processor(processor: Processor) -> Finding:
    where = ", ".join(filter(None, (processor.board, f"{processor.cores} x {processor.name}")))
    has = processor.features
    if not has:
        return unknown(Kind.PROCESSOR, f"{where}: its features are not told")
    arm = processor.machine == "aarch64"
    if arm and "asimd" not in has:
        text = f"{where}: no vector instructions (asimd), without which ONNX Runtime dies"
        return problem(Kind.PROCESSOR, text, "take another board: every Raspberry Pi from the 3 on has them")
    known = [name for name in (_ARM_FEATURES if arm else _X86_FEATURES) if name in has]
    dot = bool(_DOT_PRODUCTS & has)
    note = "" if dot else "; no dot products of int8, so int8 students may be slower than fp32"
    return ok(Kind.PROCESSOR, f"{where}: {', '.join(known) or 'no vector instructions'}{note}")


def check_runtime(trial: Trial) -> Finding:
    if not trial.version:
        fix = "pip install nonn brings it, or: pip install onnxruntime"
        return problem(Kind.RUNTIME, "ONNX Runtime is not installed", fix)
    name, child = f"ONNX Runtime {trial.version}", trial.child
    doing = "running the self-test" if trial.imported else "being imported"
    if child.signal is not None:
        return problem(Kind.RUNTIME, f"{name} died of {_signal(child.signal)} while {doing}", _cure(trial))
    if child.timed_out:
        text = f"{name} did not end in time while {doing}"
        return problem(Kind.RUNTIME, text, "see whether the machine is overloaded or swaps, and try again")
    if child.error:
        fix = "install it anew: pip install --force-reinstall onnxruntime numpy"
        if trial.imported:
            fix = "check that the bundle was copied whole; then try another version of onnxruntime"
        return problem(Kind.RUNTIME, f"{name} failed while {doing}: {child.error}", fix)
    if not trial.passed:
        return ok(Kind.RUNTIME, f"{name} can be imported; --bundle DIR has it run a self-test")
    speed = f"{1000 * trial.image_seconds:.3g} ms an image, {_mb(trial.peak)} resident at the most"
    return ok(Kind.RUNTIME, f"{name} passes the self-test of {trial.passed} students: {speed}")


def check_memory(offered: int, needs: Needs | None) -> Finding:
    """offered: bytes that students may use; 0 when the system does not say."""
    if not offered:
        return unknown(Kind.MEMORY, "the system does not say how much memory is free")
    free = f"{_mb(offered)} are free for students, beside the device itself"
    if needs is None:
        return ok(Kind.MEMORY, f"{free}; --bundle DIR tells what they need")
    each = f"one of {needs.of} needs {_mb(needs.student)}"
    room = offered // needs.student
    if not room:
        fix = "end other programs, raise the container's limit, or build smaller students"
        return problem(Kind.MEMORY, f"{free}, and {each}", fix)
    return ok(Kind.MEMORY, f"{free}: {each}, so {min(room, needs.students)} of {needs.students} fit at once")


def check_disk(disk: Disk, needs: Needs | None) -> Finding:
    if not disk.writable:
        fix = "name a folder of the device's own user with --state, or remount the disk to be written"
        return problem(Kind.DISK, f"{disk.folder} cannot be written", fix)
    if disk.free is None:
        return unknown(Kind.DISK, f"{disk.folder}: the system does not say how much is free")
    free = f"{_mb(disk.free)} are free in {disk.folder}"
    fix = "make room, or name a folder on another disk with --state"
    needed = needs.files if needs else 0
    if needs and disk.free < needed // needs.students:
        return problem(Kind.DISK, f"{free}: too little for one student of {needs.of}", fix)
    if disk.free < 2 * needed or disk.free < 1_000_000:
        return warning(Kind.DISK, f"{free}, and students take {_mb(needed)}", fix)
    return ok(Kind.DISK, f"{free}" + (f"; all students of {needs.of} take {_mb(needed)}" if needs else ""))


def check_power(power: Power) -> Finding:
    heat = "" if power.celsius is None else f"{power.celsius:.0f} °C"
    bits = power.throttled or 0
    now = [text for bit, text in _BITS.items() if bits >> bit & 1]
    before = [text for bit, text in _BITS.items() if bits >> (bit + _SINCE) & 1]
    if now or (power.celsius or 0) >= HOT:
        return problem(Kind.POWER, ", ".join(filter(None, (heat, *now))), _POWER_FIX)
    if before:
        past = f"since it was started: {', '.join(before)}"
        return warning(Kind.POWER, "; ".join(filter(None, (heat, past))), _POWER_FIX)
    if (power.celsius or 0) >= WARM:
        return warning(Kind.POWER, f"{heat}, near where boards slow down", "cool the board")
    if power.throttled is None:
        told = f"{heat}; whether it is throttled is not told" if heat else "temperature and throttling"
        return ok(Kind.POWER, told) if heat else unknown(Kind.POWER, f"{told}: the board does not say")
    return ok(Kind.POWER, ", ".join(filter(None, (heat, "not throttled since it was started"))))


def _cure(trial: Trial) -> str:
    if trial.child.signal == signal.SIGILL:
        another = f"pip install 'onnxruntime!={trial.version}'"
        return f"this version uses an instruction that the processor lacks, take another: {another}"
    if trial.child.signal == signal.SIGKILL:
        return "most likely the memory was used up: end other programs, or raise the container's limit"
    return f"install it anew, or another version: pip install 'onnxruntime!={trial.version}'"


def _signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
    return f"{name} ({(signal.strsignal(number) or '').lower()})"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())


def _mb(size: int) -> str:
    if size >= 10**10:
        return f"{size / 1e9:.0f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 10**7 else f"{size / 1e6:.2g} MB"

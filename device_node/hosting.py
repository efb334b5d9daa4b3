"""What the device serves: the students of its assignment, kept loaded for as long as one names them."""

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from bundle.errors import StorageError
from bundle.footprint import RUNTIME_BYTES, student_bytes
from device_node.cache import StudentCache, is_digest
from device_node.choice import File, Wish, choose, files_of, int8_pays
from device_node.errors import NoRoom, StudentUnusable, one_line
from device_node.fetch import fetch_student
from device_node.figures import Figure, Figures, current_conditions
from device_node.machine import available_memory, trim_memory
from device_node.state import StateFolder
from device_node.students import Student
from protos import MOST_STUDENTS, nonn_pb2

log = logging.getLogger(__name__)


class Hosting:
    """Outlives connections: a device that was cut off serves again without loading anything anew.

    serving: by bundle id and student number. A file that several of them share is loaded once.
    figures: what was measured here, now or earlier.
    Belongs to one event loop; only the disk, loading and the self-test run in threads.
    """

    def __init__(
        self,
        state: StateFolder,
        cache: StudentCache,
        threads: int,
        memory_bytes: int,
        precision: Wish = "auto",
    ) -> None:
        """memory_bytes: what students may use; 0 when unknown."""
        self.serving: dict[str, dict[int, Student]] = {}
        self.figures = Figures(state.path, current_conditions())
        self._state = state
        self._cache = cache
        self._threads = threads
        self._precision = precision
        self._memory_bytes = memory_bytes
        self._loaded: dict[tuple[str, ...], Student] = {}  # by the digests of all its files
        self._runtime_loaded = False  # with the first student, and for good
        self._due: list[nonn_pb2.AssignedStudent] = []
        self._making: nonn_pb2.AssignedStudent | None = None
        self._assignment = 0  # number of the latest

    def assign(self, assignment: nonn_pb2.Assignment) -> bool:
        """Drop what is not named; `next_due` gives what is.

        Returns whether a student is being made ready at this moment that is not wanted any longer.
        """
        self._assignment = assignment.number
        named = {(each.bundle_id, each.student): each for each in assignment.students}
        kept: dict[str, dict[int, Student]] = {}
        for (bundle_id, index), each in named.items():
            if (student := self._served(each)) is not None:
                kept.setdefault(bundle_id, {})[index] = student
        self._note_dropped(kept)
        self.serving = kept
        wished = {_digests(each) for each in named.values()}
        self._loaded = {digests: student for digests, student in self._loaded.items() if digests in wished}
        trim_memory()
        self._cache.touch(chain.from_iterable(wished))
        making = self._making
        wanted = making is not None and named.get((making.bundle_id, making.student)) == making
        due = [each for each in named.values() if not wanted or each != making]
        self._due = sorted(
            due, key=lambda each: (self._served(each) is None, _digests(each) not in self._loaded)
        )
        return making is not None and not wanted

    def next_due(self) -> nonn_pb2.AssignedStudent | None:
        """The next student to make ready: those that are served already first, then those that are loaded."""
        return self._due.pop(0) if self._due else None

    async def make_ready(self, assigned: nonn_pb2.AssignedStudent, stub: Any) -> nonn_pb2.Ready:
        """Fetch, load and test one student, and serve it if it passes; nothing of that if it is served."""
        started = time.monotonic()
        ready = nonn_pb2.Ready(bundle_id=assigned.bundle_id, student=assigned.student)
        self._making = assigned
        try:
            student = self._served(assigned) or await self._prove(assigned, stub)
        except StudentUnusable as error:
            ready.error, ready.assignment = one_line(str(error)), self._assignment
            log.warning("student %d is not served: %s", assigned.student, ready.error)
            return ready
        finally:
            if self._making is assigned:  # and not the one after an assignment that overtook this one
                self._making = None
        self.serving.setdefault(assigned.bundle_id, {})[assigned.student] = student
        ready.self_test_passed, ready.assignment = True, self._assignment
        ready.load_seconds = time.monotonic() - started
        ready.speed = student.speed(assigned.multiply_adds)
        ready.milliseconds = 1000 * student.image_seconds
        ready.precision = nonn_pb2.INT8 if student.precision == "int8" else nonn_pb2.FP32
        return ready

    def measured(self, digests: Iterable[str]) -> list[nonn_pb2.Measured]:
        """How long these students take here, as far as that is known."""
        found = ((digest, self._milliseconds(digest)) for digest in digests)
        return [nonn_pb2.Measured(sha256=digest, milliseconds=ms) for digest, ms in found if ms]

    def _served(self, assigned: nonn_pb2.AssignedStudent) -> Student | None:
        """The student, if it is served under this bundle and number and is of these very files."""
        student = self.serving.get(assigned.bundle_id, {}).get(assigned.student)
        return student if student is self._loaded.get(_digests(assigned)) else None

    async def _prove(self, assigned: nonn_pb2.AssignedStudent, stub: Any) -> Student:
        """Raises StudentUnusable."""
        names = sum(map(len, self.serving.values()))
        if names >= MOST_STUDENTS:
            raise StudentUnusable(f"this device serves {names} students already, and takes no more")
        student = self._loaded.get(_digests(assigned))
        if student is None:
            student = await self._choose(assigned, stub)
        else:  # known under another name: there it has passed another self-test
            await asyncio.to_thread(self._examine, student, _file_of(assigned, student), assigned)
        self._loaded[_digests(assigned)] = student
        await asyncio.to_thread(trim_memory)
        name = f"student {assigned.student} of bundle {one_line(assigned.bundle_id[:12])}"
        log.info("serving %s in %s, %.3g ms an image", name, student.precision, 1000 * student.image_seconds)
        return student

    async def _choose(self, assigned: nonn_pb2.AssignedStudent, stub: Any) -> Student:
        """The first file of it that fits and is sound, or the fastest. Raises StudentUnusable."""
        choice = choose(files_of(assigned), self._precision, self._milliseconds)
        sound: list[Student] = []
        for file in choice.files:
            try:
                sound.append(await self._try(file, assigned, stub, sound))
            except StudentUnusable as error:
                broken = file.precision == "fp32" and not isinstance(error, NoRoom)
                if broken or (file is choice.files[-1] and not sound):
                    raise
                log.warning("student %d is not served in %s: %s", assigned.student, file.precision, error)
                continue
            if not choice.compare:
                break
        first, last = sound[0], sound[-1]
        return last if int8_pays(first.image_seconds, last.image_seconds) else first

    async def _try(
        self, file: File, assigned: nonn_pb2.AssignedStudent, stub: Any, beside: Sequence[Student]
    ) -> Student:
        """Loaded and tested. beside: what is not to be dropped meanwhile. Raises StudentUnusable."""
        self._check_room(student_bytes(file.bytes, assigned.self_test_images.shape[1:]), beside)
        student = await self._load(file, stub)
        await asyncio.to_thread(self._examine, student, file, assigned)
        return student

    def _check_room(self, needed: int, beside: Sequence[Student]) -> None:
        """Refuse what does not fit before anything of it is fetched or loaded. Raises NoRoom."""
        taken = sum(student.footprint for student in chain(self._loaded.values(), beside))
        if 0 < self._memory_bytes < taken + needed:
            raise NoRoom(
                f"it needs about {_megabytes(needed)}, and with the {_megabytes(taken)} of the students here "
                f"that is more than the {_megabytes(self._memory_bytes)} that students may use (--memory)"
            )
        needed += 0 if self._runtime_loaded else RUNTIME_BYTES
        free = available_memory()
        if 0 < free < needed:
            raise NoRoom(f"it needs about {_megabytes(needed)}, and {_megabytes(free)} are free here")

    async def _load(self, file: File, stub: Any) -> Student:
        digest = file.sha256
        model = await asyncio.to_thread(self._cache.read, digest) if is_digest(digest) else None
        if model is None or len(model) != file.bytes:
            model = await fetch_student(stub, digest, file.bytes)
            try:
                await asyncio.to_thread(self._cache.write, digest, model)
            except StorageError as error:  # a full disk keeps no one from serving what is in memory
                log.warning("a student is not kept on disk: %s", error)
        student = await asyncio.to_thread(Student, model, self._threads, file.precision)
        self._runtime_loaded = True
        return student

    def _examine(self, student: Student, file: File, assigned: nonn_pb2.AssignedStudent) -> None:
        """Whether it answers rightly, and how fast. Raises StudentUnusable."""
        images, expected = file.read_self_test(assigned.self_test_images)
        student.self_test(images, expected, file.tolerance)
        known = self._milliseconds(file.sha256)
        if known is not None:
            student.image_seconds = known / 1000
            return
        student.measure(images)
        try:
            self.figures.keep({(file.sha256, self._threads): Figure(1000 * student.image_seconds)})
            self._state.keep_speed(student.speed(assigned.multiply_adds))
        except StorageError as error:
            log.warning("what was measured is not kept on disk: %s", error)

    def _milliseconds(self, digest: str) -> float | None:
        figure = self.figures.find(digest, self._threads)
        return None if figure is None else figure.milliseconds

    def _note_dropped(self, kept: dict[str, dict[int, Student]]) -> None:
        for bundle_id, students in self.serving.items():
            if dropped := sorted(students.keys() - kept.get(bundle_id, {}).keys()):
                numbers = ", ".join(map(str, dropped))
                log.info("dropped students %s of bundle %s", numbers, one_line(bundle_id[:12]))


def _digests(assigned: nonn_pb2.AssignedStudent) -> tuple[str, ...]:
    return tuple(file.sha256 for file in files_of(assigned))


def _file_of(assigned: nonn_pb2.AssignedStudent, student: Student) -> File:
    return next(file for file in files_of(assigned) if file.precision == student.precision)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3g} MB"

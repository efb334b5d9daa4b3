"""What the device serves: the students of its assignment, kept loaded for as long as one names them."""

import asyncio
import logging
import time
from typing import Any, Final

from bundle.errors import StorageError
from bundle.footprint import RUNTIME_BYTES, student_bytes
from device_node.cache import StudentCache, is_digest
from device_node.errors import StudentUnusable, one_line
from device_node.fetch import fetch_student
from device_node.machine import available_memory, trim_memory
from device_node.state import StateFolder
from device_node.students import Student
from protos import nonn_pb2, tensors

log = logging.getLogger(__name__)

MOST_STUDENTS: Final = 256  # served at once
MOST_TEST_IMAGES: Final = 256


class Hosting:
    """Outlives connections: a device that was cut off serves again without loading anything anew.

    serving: by bundle id and student number. A file that several of them share is loaded once.
    Belongs to one event loop; only the disk, loading and the self-test run in threads.
    """

    def __init__(self, state: StateFolder, cache: StudentCache, threads: int, memory_bytes: int) -> None:
        """memory_bytes: what students may use; 0 when unknown."""
        self.serving: dict[str, dict[int, Student]] = {}
        self._state = state
        self._cache = cache
        self._threads = threads
        self._memory_bytes = memory_bytes
        self._loaded: dict[str, Student] = {}  # by digest
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
        digests = {each.sha256 for each in named.values()}
        self._loaded = {digest: student for digest, student in self._loaded.items() if digest in digests}
        trim_memory()
        self._cache.touch(digests)
        making = self._making
        wanted = making is not None and named.get((making.bundle_id, making.student)) == making
        due = [each for each in named.values() if not wanted or each != making]
        self._due = sorted(
            due, key=lambda each: (self._served(each) is None, each.sha256 not in self._loaded)
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
        return ready

    def _served(self, assigned: nonn_pb2.AssignedStudent) -> Student | None:
        """The student, if it is served under this bundle and number and is of this very file."""
        student = self.serving.get(assigned.bundle_id, {}).get(assigned.student)
        return student if student is self._loaded.get(assigned.sha256) else None

    async def _prove(self, assigned: nonn_pb2.AssignedStudent, stub: Any) -> Student:
        """Raises StudentUnusable."""
        self._check_room(assigned)
        student = self._loaded.get(assigned.sha256) or await self._load(assigned, stub)
        await asyncio.to_thread(_self_test, student, assigned)
        self._loaded[assigned.sha256] = student
        await asyncio.to_thread(self._keep_speed, student.speed(assigned.multiply_adds))
        await asyncio.to_thread(trim_memory)
        log.info("serving student %d of bundle %s", assigned.student, one_line(assigned.bundle_id[:12]))
        return student

    def _check_room(self, assigned: nonn_pb2.AssignedStudent) -> None:
        """Refuse what does not fit before anything of it is fetched or loaded."""
        names = sum(map(len, self.serving.values()))
        if names >= MOST_STUDENTS:
            raise StudentUnusable(f"this device serves {names} students already, and takes no more")
        if assigned.sha256 in self._loaded:
            return
        needed = student_bytes(assigned.bytes, assigned.self_test_images.shape[1:])
        taken = sum(student.footprint for student in self._loaded.values())
        if 0 < self._memory_bytes < taken + needed:
            raise StudentUnusable(
                f"it needs about {_megabytes(needed)}, and with the {_megabytes(taken)} of the students here "
                f"that is more than the {_megabytes(self._memory_bytes)} that students may use (--memory)"
            )
        needed += 0 if self._runtime_loaded else RUNTIME_BYTES
        free = available_memory()
        if 0 < free < needed:
            raise StudentUnusable(
                f"it needs about {_megabytes(needed)}, and {_megabytes(free)} are free here"
            )

    async def _load(self, assigned: nonn_pb2.AssignedStudent, stub: Any) -> Student:
        digest = assigned.sha256
        model = await asyncio.to_thread(self._cache.read, digest) if is_digest(digest) else None
        if model is None or len(model) != assigned.bytes:
            model = await fetch_student(stub, digest, assigned.bytes)
            try:
                await asyncio.to_thread(self._cache.write, digest, model)
            except StorageError as error:  # a full disk keeps no one from serving what is in memory
                log.warning("a student is not kept on disk: %s", error)
        student = await asyncio.to_thread(Student, model, self._threads)
        self._runtime_loaded = True
        return student

    def _keep_speed(self, speed: float) -> None:
        try:
            self._state.keep_speed(speed)
        except StorageError as error:
            log.warning("the speed is not kept on disk: %s", error)

    def _note_dropped(self, kept: dict[str, dict[int, Student]]) -> None:
        for bundle_id, students in self.serving.items():
            if dropped := sorted(students.keys() - kept.get(bundle_id, {}).keys()):
                numbers = ", ".join(map(str, dropped))
                log.info("dropped students %s of bundle %s", numbers, one_line(bundle_id[:12]))


def _self_test(student: Student, assigned: nonn_pb2.AssignedStudent) -> None:
    try:
        images = tensors.decode(assigned.self_test_images, nonn_pb2.UINT8, 4)
        expected = tensors.decode(assigned.self_test_logits, nonn_pb2.FLOAT32, 2)
    except ValueError as error:
        raise StudentUnusable(f"its self-test is malformed: {error}") from error
    if len(images) > MOST_TEST_IMAGES:
        raise StudentUnusable(f"its self-test has {len(images)} images, more than {MOST_TEST_IMAGES}")
    student.self_test(images, expected)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.3g} MB"

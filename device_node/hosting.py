"""What the device serves: the students of its assignment, kept loaded for as long as one names them."""

import asyncio
import logging
import time
from typing import Any

from bundle.errors import StorageError
from device_node.cache import StudentCache, is_digest
from device_node.errors import StudentUnusable
from device_node.fetch import fetch_student
from device_node.students import Student
from protos import nonn_pb2, tensors

log = logging.getLogger(__name__)


class Hosting:
    """Outlives connections: a device that was cut off serves again without loading anything anew.

    Belongs to one event loop; only loading and the self-test run in threads.
    """

    def __init__(self, cache: StudentCache, threads: int) -> None:
        self.cache = cache
        self.bundle_id = ""
        self.serving: dict[int, Student] = {}
        self._threads = threads
        self._loaded: dict[str, Student] = {}
        self._digests: dict[int, str] = {}

    def begin(self, assignment: nonn_pb2.Assignment) -> list[nonn_pb2.AssignedStudent]:
        """Drop what is not named. Returns the students to make ready, those that are loaded already first."""
        digests = {assigned.student: assigned.sha256 for assigned in assignment.students}
        same_bundle = assignment.bundle_id == self.bundle_id
        self.serving = {
            index: student
            for index, student in self.serving.items()
            if same_bundle and digests.get(index) == self._digests[index]
        }
        self.bundle_id, self._digests = assignment.bundle_id, digests
        self._loaded = {
            digest: student for digest, student in self._loaded.items() if digest in digests.values()
        }
        return sorted(assignment.students, key=lambda assigned: assigned.sha256 not in self._loaded)

    async def make_ready(self, assigned: nonn_pb2.AssignedStudent, stub: Any) -> nonn_pb2.Ready:
        """Fetch, load and test one student, and serve it if it passes."""
        started = time.monotonic()
        ready = nonn_pb2.Ready(bundle_id=self.bundle_id, student=assigned.student)
        try:
            student = self._loaded.get(assigned.sha256) or await self._load(assigned, stub)
            await asyncio.to_thread(_self_test, student, assigned)
        except StudentUnusable as error:
            self.serving.pop(assigned.student, None)
            self._loaded.pop(assigned.sha256, None)
            log.warning("student %d is not served: %s", assigned.student, error)
            ready.error = str(error)
            return ready
        if assigned.student not in self.serving:
            log.info("serving student %d of bundle %s", assigned.student, self.bundle_id[:12])
        self._loaded[assigned.sha256] = self.serving[assigned.student] = student
        ready.self_test_passed = True
        ready.load_seconds = time.monotonic() - started
        return ready

    async def _load(self, assigned: nonn_pb2.AssignedStudent, stub: Any) -> Student:
        digest = assigned.sha256
        model = await asyncio.to_thread(self.cache.read, digest) if is_digest(digest) else None
        if model is None:
            model = await fetch_student(stub, digest, assigned.bytes)
            try:
                await asyncio.to_thread(self.cache.write, digest, model)
            except StorageError as error:  # a full disk keeps no one from serving what is in memory
                log.warning("a student is not kept on disk: %s", error)
        return await asyncio.to_thread(Student, model, self._threads)


def _self_test(student: Student, assigned: nonn_pb2.AssignedStudent) -> None:
    try:
        images = tensors.decode(assigned.self_test_images, nonn_pb2.UINT8, 4)
        expected = tensors.decode(assigned.self_test_logits, nonn_pb2.FLOAT32, 2)
    except ValueError as error:
        raise StudentUnusable(f"its self-test is malformed: {error}") from error
    student.self_test(images, expected)

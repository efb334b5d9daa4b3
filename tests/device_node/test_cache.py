import errno
import hashlib
import os
from pathlib import Path

import pytest

from bundle import StorageError
from device_node.cache import StudentCache, is_digest
from device_node.state import write_atomically

ROOMY = 10_000


def put(cache: StudentCache, data: bytes) -> str:
    digest = hashlib.sha256(data).hexdigest()
    cache.write(digest, data)
    return digest


def test_reads_what_was_written(tmp_path: Path) -> None:
    digest = put(StudentCache(tmp_path / "students", ROOMY), b"student")
    again = StudentCache(tmp_path / "students", ROOMY)
    assert again.digests() == (digest,)
    assert again.read(digest) == b"student"
    assert again.read("0" * 64) is None


@pytest.mark.parametrize("damage", [b"", b"studen", b"Student", b"student and more"])
def test_a_damaged_file_is_removed(tmp_path: Path, damage: bytes) -> None:
    cache = StudentCache(tmp_path, ROOMY)
    digest = put(cache, b"student")
    (tmp_path / f"{digest}.onnx").write_bytes(damage)
    assert cache.read(digest) is None
    assert cache.digests() == ()


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = StudentCache(tmp_path, limit=250)
    first, second = put(cache, b"1" * 100), put(cache, b"2" * 100)
    for age, digest in ((20, second), (30, first)):
        path = tmp_path / f"{digest}.onnx"
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    cache.touch([first, "../not a digest"])
    third = put(cache, b"3" * 100)
    assert set(cache.digests()) == {first, third}


def test_the_last_used_are_named_first(tmp_path: Path) -> None:
    cache = StudentCache(tmp_path, ROOMY)
    digests = [put(cache, bytes([value])) for value in range(5)]
    for age, digest in enumerate(digests):
        os.utime(tmp_path / f"{digest}.onnx", (1e9 - age, 1e9 - age))
    assert cache.digests(most=3) == tuple(digests[:3])


def test_the_newest_stays_even_when_it_is_over_the_limit(tmp_path: Path) -> None:
    cache = StudentCache(tmp_path, limit=10)
    put(cache, b"small")
    large = put(cache, b"large" * 100)
    assert cache.digests() == (large,)


def test_leftovers_of_a_cut_write_are_swept(tmp_path: Path) -> None:
    (tmp_path / ".abc.onnx.123.tmp").write_bytes(b"half")
    (tmp_path / "README").write_bytes(b"not ours to remove")
    assert StudentCache(tmp_path, ROOMY).digests() == ()
    assert [path.name for path in tmp_path.iterdir()] == ["README"]


@pytest.mark.parametrize("text", ["", "../x", "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "\n", "/" + "a" * 63])
def test_only_digests_become_paths(tmp_path: Path, text: str) -> None:
    assert not is_digest(text)
    cache = StudentCache(tmp_path, ROOMY)
    with pytest.raises(ValueError, match="no sha256"):
        cache.read(text)
    with pytest.raises(ValueError, match="no sha256"):
        cache.write(text, b"")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "students").touch()
    with pytest.raises(StorageError, match="students"):
        StudentCache(tmp_path / "students", ROOMY)


def test_a_full_disk_costs_the_students_that_nobody_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = StudentCache(tmp_path, ROOMY)
    old = put(cache, b"old")

    def write(path: Path, data: bytes) -> None:
        if (tmp_path / f"{old}.onnx").exists():
            raise StorageError("cannot write") from OSError(errno.ENOSPC, "No space left on device")
        write_atomically(path, data)

    monkeypatch.setattr("device_node.cache.write_atomically", write)
    assert cache.digests() == (old,)
    new = put(cache, b"new")
    assert cache.digests() == (new,)


def test_a_disk_that_takes_nothing_costs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = StudentCache(tmp_path, ROOMY)
    old = put(cache, b"old")

    def write(path: Path, data: bytes) -> None:
        raise StorageError("cannot write") from OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("device_node.cache.write_atomically", write)
    with pytest.raises(StorageError):
        put(cache, b"new")
    assert cache.digests() == (old,)

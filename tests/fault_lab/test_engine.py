"""What is said when there is no engine or no image."""

import shutil
from pathlib import Path

import pytest

from fault_lab.containers import engine, image
from fault_lab.containers.engine import ContainersUnavailable


def test_no_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ContainersUnavailable, match="docker is not installed on this machine: docs/") as info:
        engine.check_engine()
    assert info.value.exit_code == 16


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A `docker` that is this shell script."""
    program = folder / "docker"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(tmp_path, monkeypatch, "echo 'Cannot connect to the Docker daemon' >&2; exit 1")
    with pytest.raises(ContainersUnavailable, match=r"no Docker engine answers .*Cannot connect"):
        engine.check_engine()


def test_no_compose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(tmp_path, monkeypatch, '[ "$1" = version ] && exit 0; echo "no such command" >&2; exit 1')
    with pytest.raises(ContainersUnavailable, match="Compose v2 is missing"):
        engine.check_engine()


def test_a_call_ends_within_its_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(tmp_path, monkeypatch, "exec sleep 30")
    with pytest.raises(ContainersUnavailable, match=r"was not done within 0\.2 s"):
        engine.docker("ps", seconds=0.2)


def test_an_image_that_is_named_has_to_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(tmp_path, monkeypatch, "exit 0")
    monkeypatch.setenv(image.VARIABLE, "elsewhere")
    with pytest.raises(ContainersUnavailable, match="no image 'elsewhere'"):
        image.find_image()


def test_without_a_checkout_an_image_has_to_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(image.VARIABLE, raising=False)
    with pytest.raises(ContainersUnavailable, match="NONN_IMAGE=NAME"):
        image.find_image(root=tmp_path)


def test_a_build_that_fails_says_the_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(image.VARIABLE, raising=False)
    stand_in(tmp_path, monkeypatch, '[ "$1" = compose ] || exit 0; echo "no space left" >&2; exit 1')
    with pytest.raises(ContainersUnavailable, match=r"cannot be built \(.*no space left\).*NONN_IMAGE"):
        image.find_image()


def test_the_content_is_that_of_what_goes_into_the_image(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / ".dockerignore").write_text("*\n!package\n")
    package = tmp_path / "package"
    package.mkdir()
    (package / "module.py").write_text("x = 1\n")
    before = image.content(tmp_path)
    (tmp_path / "notes.md").write_text("not part of it")
    (package / "__pycache__").mkdir()
    (package / "__pycache__/module.pyc").write_text("nor is this")
    assert image.content(tmp_path) == before
    shutil.move(package / "module.py", package / "other.py")
    assert image.content(tmp_path) != before

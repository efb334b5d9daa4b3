"""The wheel that boards install, and the name of the environment that it goes into."""

import zipfile
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

from nonn.deploy.inventory import Host
from nonn.deploy.wheel import Wheel, fitting, make_wheel, pack, read_wheel
from nonn.errors import UsageError

HOST = Host("kitchen", "kitchen.local")


@pytest.mark.slow
def test_the_same_source_is_the_same_wheel(wheel: Wheel, tmp_path: Path) -> None:
    again = make_wheel(tmp_path)
    assert (again.version, again.digest) == (wheel.version, wheel.digest)
    assert again.environment(HOST, "3.11.2", "aarch64") == wheel.environment(HOST, "3.11.2", "aarch64")


def test_it_holds_what_deploying_from_an_installation_needs(wheel: Wheel) -> None:
    with zipfile.ZipFile(wheel.path) as archive:
        names = set(archive.namelist())
    assert {"nonn/deploy/device.service", "nonn/deploy/scripts/install.sh", "device_node/node.py"} <= names
    assert not any(name.startswith("tests/") for name in names)


def test_what_goes_into_an_environment_is_in_its_name(wheel: Wheel, tmp_path: Path) -> None:
    first, second, empty, wheels = (tmp_path / name for name in ("a.txt", "b.txt", "empty", "wheels"))
    first.write_text("numpy==2.0\n")
    second.write_text("numpy==2.1\n")
    empty.mkdir()
    wheels.mkdir()
    (wheels / "numpy-2.1-cp311-cp311-manylinux_2_28_aarch64.whl").touch()
    different = [
        (HOST, "3.11.2", "aarch64"),
        (HOST, "3.13.1", "aarch64"),  # the board's system was upgraded
        (replace(HOST, python="/opt/python/bin/python3"), "3.11.2", "aarch64"),
        (replace(HOST, constraints=first), "3.11.2", "aarch64"),
        (replace(HOST, constraints=second), "3.11.2", "aarch64"),
        (replace(HOST, wheelhouse=wheels), "3.11.2", "aarch64"),
    ]
    assert len({wheel.environment(*each) for each in different}) == len(different)
    name = wheel.environment(HOST, "3.11.2", "aarch64")
    assert wheel.environment(HOST, "3.11.9", "aarch64") == name
    assert wheel.environment(replace(HOST, index="https://another/simple"), "3.11.2", "aarch64") == name
    assert wheel.environment(replace(HOST, wheelhouse=wheels), "3.11.2", "x86_64") == wheel.environment(
        replace(HOST, wheelhouse=empty), "3.11.2", "aarch64"
    )


@pytest.mark.parametrize("name", ["nonn-0.1.0-py3-none-any.whl", "nothing.whl"])
def test_what_is_no_wheel_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK")
    with pytest.raises(UsageError, match="is no wheel"):
        read_wheel(tmp_path / name)


def test_another_package_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "packaging-1.0-py3-none-any.whl"
    pack(path, metadata.distribution("packaging"))
    with pytest.raises(UsageError, match="is no wheel of nonn"):
        read_wheel(path)


def test_a_board_gets_the_wheels_of_its_kind(tmp_path: Path) -> None:
    kinds = ("py3-none-any", "cp311-cp311-manylinux_2_28_x86_64", "cp311-cp311-manylinux_2_28_aarch64")
    for kind in kinds:
        (tmp_path / f"x-1-{kind}.whl").touch()
    assert [path.name for path in fitting(tmp_path, "aarch64")] == [
        f"x-1-{kinds[2]}.whl",
        f"x-1-{kinds[0]}.whl",
    ]

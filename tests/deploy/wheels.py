"""Wheels for boards that must not download anything: what the tests run with, packed again."""

import zipfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from nonn.deploy.wheel import pack

OTHERS = ("grpcio", "typing_extensions", "numpy", "onnxruntime", "flatbuffers", "packaging", "protobuf")


def make_wheelhouse(folder: Path) -> Path:
    """Wheels of all that a device needs."""
    folder.mkdir()
    for name in OTHERS:
        installed = metadata.distribution(name)
        pack(folder / f"{name}-{installed.version}-{_tag(installed)}.whl", installed)
    return folder


def _tag(installed: metadata.Distribution) -> str:
    """As in a wheel's name, such as py2.py3-none-any."""
    lines = (installed.read_text("WHEEL") or "").splitlines()
    tags = [line.removeprefix("Tag: ").split("-") for line in lines if line.startswith("Tag: ")]
    return "-".join(".".join(dict.fromkeys(column)) for column in zip(*tags, strict=True))


def other_version(wheel: Path, version: str, changes: Mapping[str, tuple[bytes, bytes]]) -> Path:
    """The same wheel as another version, with one text replaced in each of some files."""
    old = wheel.name.split("-")[1]
    path = wheel.with_name(wheel.name.replace(f"-{old}-", f"-{version}-"))
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            if name in changes:
                before, after = changes[name]
                assert before in data, name
                data = data.replace(before, after)
            if name.endswith(".dist-info/METADATA"):
                data = data.replace(f"Version: {old}".encode(), f"Version: {version}".encode())
            if name.endswith(".dist-info/RECORD"):
                lines = data.decode().replace(f"nonn-{old}.", f"nonn-{version}.").splitlines()
                data = "\n".join(",".join([line.split(",")[0], "", ""]) for line in lines).encode() + b"\n"
            target.writestr(name.replace(f"nonn-{old}.", f"nonn-{version}."), data)
    return path

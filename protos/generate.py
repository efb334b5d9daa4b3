"""Generate protos/nonn_pb2*.py from protos/nonn.proto; `--check` only proves that they are current.

The generator's version is pinned (pyproject.toml, `dev`): its code runs with every protobuf runtime of the
same major version that is not older.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = "protos/nonn.proto"
OUTPUTS = ("protos/nonn_pb2.py", "protos/nonn_pb2.pyi", "protos/nonn_pb2_grpc.py")


def generate(target: Path) -> None:
    """Write the generated files below `target`; CalledProcessError when protoc refuses the source."""
    flags = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    command = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={ROOT}", *flags, SOURCE]
    subprocess.run(command, check=True)


def outdated() -> list[str]:
    """The checked-in files that differ from what the generator makes of the source today."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        return [name for name in OUTPUTS if _content(Path(folder) / name) != _content(ROOT / name)]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when a file is not current"
    )
    if not parser.parse_args().check:
        generate(ROOT)
        return 0
    stale = outdated()
    for name in stale:
        print(f"{name} is not what {SOURCE} generates: run `make protos`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())

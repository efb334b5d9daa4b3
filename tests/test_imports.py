"""Imports run one way, and the serving side lives without the packages of the building side."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {
    "aggregator": {"bundle", "protos"},
    "bundle": set(),
    "device_node": {"bundle", "protos"},
    "fault_lab": {"aggregator", "bundle", "device_node", "protos"},
    "nonn": {
        "aggregator",
        "bundle",
        "device_node",
        "fault_lab",
        "partitioner",
        "protos",
        "student_builder",
    },
    "partitioner": set(),
    "protos": set(),
    "student_builder": {"bundle", "partitioner"},
}
OTHERS = {
    "aggregator": {"google", "grpc", "numpy", "uvloop"},
    "bundle": {"numpy"},
    "device_node": {"google", "grpc", "numpy", "onnxruntime", "uvloop"},
    "fault_lab": {"google", "grpc", "jinja2", "matplotlib", "numpy", "pydantic", "rich"},
    "partitioner": {"matplotlib", "networkx", "numpy", "scipy"},
    "protos": {"google", "grpc", "grpc_tools", "numpy"},
}
HEAVY = [
    "torch",
    "onnx",
    "onnxscript",
    "scipy",
    "sklearn",
    "matplotlib",
    "networkx",
    "safetensors",
    "rich",
    "PIL",
    "torchvision",
]

# Names of the command line that must start without the building side's packages.
LIGHT_MODULES = [
    "nonn.cli",
    "nonn.client",
    "nonn.commands.aggregator",
    "nonn.commands.benchmark_device",
    "nonn.commands.device",
    "nonn.commands.doctor",
]


def sources(package: str) -> list[Path]:
    return [path for path in sorted((ROOT / package).rglob("*.py")) if "_pb2" not in path.name]


def imported(path: Path) -> Iterator[str]:
    """The top-level names of every import in the file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield path.relative_to(ROOT).parts[0] if node.level else (node.module or "").partition(".")[0]


def test_the_rules_name_every_package() -> None:
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(OURS)
    assert all(sources(package) for package in packages)


@pytest.mark.parametrize("package", OURS)
def test_imports_of_ours_run_one_way(package: str) -> None:
    allowed = OURS[package] | {package}
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(package)
        for name in imported(path)
        if name in OURS and name not in allowed
    }
    assert not wrong


@pytest.mark.parametrize("package", OTHERS)
def test_a_package_uses_only_its_own_third_parties(package: str) -> None:
    allowed = OTHERS[package] | set(OURS) | sys.stdlib_module_names
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(package)
        for name in imported(path)
        if name not in allowed
    }
    assert not wrong


def modules(package: str) -> list[str]:
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sources(package)
        if path.name != "__main__.py"
    ]


def run_without(blocked: list[str], statement: str) -> subprocess.CompletedProcess[str]:
    """Run Python in which importing any of `blocked` fails as if it were not installed."""
    program = f"""
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocker())
{statement}
"""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=ROOT, check=False
    )


def test_the_blocker_blocks() -> None:
    result = run_without(["numpy"], "import numpy")
    assert "No module named 'numpy'" in result.stderr


@pytest.mark.parametrize(
    ("blocked", "names"),
    [
        (HEAVY, modules("device_node")),
        ([*HEAVY, "onnxruntime"], [*modules("aggregator"), *modules("bundle")]),
        (HEAVY, LIGHT_MODULES),
    ],
    ids=["device_node", "aggregator", "nonn"],
)
def test_the_serving_side_imports_without_the_building_side(blocked: list[str], names: list[str]) -> None:
    result = run_without(blocked, "\n".join(f"import {name}" for name in names))
    assert result.returncode == 0, result.stderr


def test_help_needs_no_heavy_package() -> None:
    result = run_without([*HEAVY, "onnxruntime"], "from nonn.cli import main; sys.exit(main(['--help']))")
    assert result.returncode == 0, result.stderr
    assert "aggregator" in result.stdout


def test_a_board_is_measured_without_any_of_them() -> None:
    command = ["benchmark-device", "samples/digits", "--students", "0", "--seconds", "0.01", "--no-save"]
    result = run_without(HEAVY, f"from nonn.cli import main; sys.exit(main({command}))")
    assert result.returncode == 0, result.stderr
    assert result.stderr == "1 of 1: student 0 in fp32\n"
    assert "0 fp32" in result.stdout


def test_a_missing_package_is_named_with_its_extra() -> None:
    statement = """
import types
import nonn.cli
def run(args):
    import torch
command = types.SimpleNamespace(HELP="x", add_arguments=lambda parser: None, run=run)
nonn.cli.load_command = lambda name: command
sys.exit(nonn.cli.main(["build"]))
"""
    result = run_without(["torch"], statement)
    assert result.returncode == 13
    assert result.stderr.count("\n") == 1
    assert "torch" in result.stderr
    assert ".[build]" in result.stderr

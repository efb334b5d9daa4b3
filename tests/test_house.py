"""What the documentation says is what the code does."""

import importlib
import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from nonn import cli
from nonn.doctor.findings import Kind

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PACKAGES = [
    "aggregator",
    "bundle",
    "device_node",
    "fault_lab",
    "nonn",
    "partitioner",
    "protos",
    "student_builder",
]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def slug(heading: str) -> str:
    """The anchor that a heading gets when Markdown is shown."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def leads_somewhere(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = page.parent / path if path else page
    if not anchor:
        return file.exists()
    return file.is_file() and anchor in {
        slug(line) for line in re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    }


def documented_codes() -> dict[int, str]:
    page = (ROOT / "docs/reference/exit-codes.md").read_text()
    sections = re.split(r"^## (\d+): ", page, flags=re.MULTILINE)[1:]
    return {int(code): text for code, text in zip(sections[::2], sections[1::2], strict=True)}


def error_classes() -> dict[str, int]:
    """Every exception of ours that carries an exit code of its own."""
    pattern = re.compile(r"^class (\w+)\(.*\):", re.MULTILINE)
    found = {}
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        source = path.read_text()
        if "exit_code" not in source or path.name == "cli.py":
            continue
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for name in pattern.findall(source):
            code = getattr(module, name).__dict__.get("exit_code")
            if code is not None and name != "NonnError":
                found[f"{module.__name__}.{name}"] = code
    return found


def test_every_exit_code_is_documented_and_none_besides() -> None:
    codes = set(error_classes().values()) | {0, cli.UNEXPECTED, cli.USAGE, cli.INTERRUPTED, cli.READER_GONE}
    codes |= {kind.value for kind in Kind}
    assert set(documented_codes()) == codes


def test_every_error_is_named_with_its_code() -> None:
    sections = documented_codes()
    classes = error_classes()
    assert len(classes) > 8
    wrong = {
        name: code for name, code in classes.items() if f"`{name.rpartition('.')[2]}`" not in sections[code]
    }
    assert not wrong


def commands(page: Path) -> list[str]:
    """`$ nonn ...` and `$ NAME=value nonn ...` lines of a page's console blocks."""
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(), flags=re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line[2:] for line in lines if re.match(r"\$ nonn ", line)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_documentation_parse(page: Path) -> None:
    for command in commands(page):
        words = shlex.split(command, comments=True)[1:]
        words = list(itertools.takewhile(lambda word: word not in {"|", ">", "&"}, words))
        cli.build_parser().parse_args(words)


def test_there_are_commands_in_the_documentation() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 5


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        target
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        if "://" not in target and not leads_somewhere(page, target)
    ]
    assert not broken


def test_every_key_of_an_experiment_is_documented_with_its_default() -> None:
    from student_builder import experiment

    page = (ROOT / "docs/reference/experiment.md").read_text()
    rows = {
        key: default.strip()
        for keys, default in re.findall(r"^\| (`.*?`) \| (.*?) ?\|", page, re.MULTILINE)
        for key in re.findall(r"`(\w+)`", keys)
    }
    sections = [value for value in vars(experiment).values() if isinstance(value, type)]
    fields = {
        name: field.default
        for section in sections
        if issubclass(section, experiment.Section)
        for name, field in section.model_fields.items()
    }
    tables = {"base", "data", "teacher", "partition", "trunk", "students", "merge"}
    assert set(rows) == set(fields) - tables
    for name, default in fields.items():
        if isinstance(default, int | float | str) and name not in tables:
            said = rows[name].strip("`")
            shown = f"{default:g}" if type(default) is float else str(default).lower()
            assert shown in said.replace(",", "").split(), f"{name}: {shown} or {said}?"


def test_generated_protocol_code_is_current() -> None:
    result = subprocess.run(
        [sys.executable, "protos/generate.py", "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")

"""`nonn plan` as a user calls it."""

import json
from pathlib import Path

import pytest

from nonn.cli import main
from tests.end_to_end.small_bundle import write_small_bundle

TASK = ["--filters", "128", "--classes", "10", "--image", "32x32x3", "--budget", "10"]
BENCHMARK = {
    "name": "attic",
    "memory_bytes": 500_000_000,
    "students": [
        {
            "precision": precision,
            "multiply_adds": 20_000_000,
            "measurements": [{"threads": 1, "batch": 1, "milliseconds": {"median": median}}],
        }
        for precision, median in (("fp32", 4.0), ("fp32", 6.0), ("int8", 1.0))
    ],
}


def test_devices_from_everywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "boards.toml").write_text(
        '[[device]]\nname = "shed"\nms = 12.5\nmemory = 900\n[[device]]\nname = "barn"\nboard = "pi5"\n'
    )
    (tmp_path / "attic.json").write_text(json.dumps(BENCHMARK))
    options = ["--devices", str(tmp_path / "boards.toml"), "--measured", str(tmp_path / "attic.json")]
    options += ["--device", "loft:20:300", "--boards", "zero2:1"]
    assert main(["plan", *TASK, *options, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    sources = {one["name"]: one["source"] for one in document["plan"]["devices"]}
    assert sources == {
        "shed": "typed in",
        "barn": "estimate",
        "attic": "measured",
        "loft": "typed in",
        "zero2-1": "estimate",
    }
    assert max(one["milliseconds"] for one in document["plan"]["devices"]) <= 10
    assert "   attic: 4 billion multiply-adds a second" in "\n".join(document["reasoning"])
    assert sum(document["plan"]["sizes"]) == 128


@pytest.mark.parametrize(("overlap", "filters"), [(1, 16), (2, 8)])
def test_filters_that_are_in_several_parts_count_once(
    overlap: int, filters: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_small_bundle(tmp_path / "small", experiment={"partition": {"overlap": overlap}})
    options = ["--bundle", str(bundle.path), "--budget", "10", "--boards", "pi4:2", "--json"]
    assert main(["plan", *options]) == 0
    assert sum(json.loads(capsys.readouterr().out)["plan"]["sizes"]) == filters


@pytest.mark.parametrize("overlap", [0, -1, 5, 1.5, "two", None, True])
def test_a_provenance_that_makes_no_sense(
    overlap: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = write_small_bundle(tmp_path / "small", experiment={"partition": {"overlap": overlap}})
    assert main(["plan", "--bundle", str(bundle.path), "--budget", "10", "--boards", "pi4:2"]) == 2
    error = capsys.readouterr().err
    assert "say so with --filters" in error
    assert error.count("\n") == 1


def test_the_network_is_part_of_the_budget(capsys: pytest.CaptureFixture[str]) -> None:
    slowest = []
    for network in ("0", "6"):
        assert main(["plan", *TASK, "--boards", "pi4:2", "--network", network, "--json"]) == 0
        devices = json.loads(capsys.readouterr().out)["plan"]["devices"]
        slowest.append(max(one["milliseconds"] for one in devices))
    assert slowest[0] > 4 >= slowest[1]


def test_no_plan_is_said_with_a_code_and_what_would_help(capsys: pytest.CaptureFixture[str]) -> None:
    impossible = [*TASK[:-1], "0.001", "--boards", "zero2:1"]
    assert main(["plan", *impossible]) == 1
    assert "What would help: " in capsys.readouterr().out
    assert main(["plan", *impossible, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["plan"] is None
    assert main(["plan", *TASK[:-1], str(document["enough_budget"]), "--boards", "zero2:1"]) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--budget", "10", "--boards", "pi4:1"], "--filters, --classes and --image"),
        ([*TASK, "--bundle", "samples/digits", "--boards", "pi4:1"], "says already"),
        (TASK, "no devices"),
        ([*TASK, "--boards", "pi9:1"], "none of the boards"),
        ([*TASK, "--device", "a:1:2", "--device", "a:1:2"], "two devices are named a"),
        ([*TASK, "--device", "a"], "neither NAME:MS:MEMORY"),
        ([*TASK, "--boards", "pi4:1", "--network", "10"], "below the budget"),
        ([*TASK, "--boards", "pi4:1", "--network", "nan"], "below the budget"),
        ([*TASK, "--boards", "pi4:1", "--reference", "resnet"], "--reference"),
        ([*TASK, "--boards", "pi4:20", "--replicas", "17"], "16 students at the most"),
        ([*TASK, "--measured", "nowhere.json"], "cannot read nowhere.json"),
        ([*TASK, "--devices", "pyproject.toml"], r"no [[device]] tables"),
        ([*TASK, "--devices", "README.md"], "is not TOML"),
        (["--budget", "10", "--image", "32x32"], "HxWxC"),
        (["--budget", "10", "--image", "axbxc"], "HxWxC"),
        (["--budget", "-1"], "positive"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert main(["plan", *options]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "table",
    [
        'board = "pi4"',
        'name = "a"',
        'name = "a"\nms = 1',
        'name = "a"\nms = "1"\nmemory = 1',
        "name = 1\nboard = 1",
    ],
)
def test_tables_that_make_no_sense(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "boards.toml").write_text(f"[[device]]\n{table}\n")
    assert main(["plan", *TASK, "--devices", str(tmp_path / "boards.toml")]) == 2
    assert "each [[device]] has a name" in capsys.readouterr().err

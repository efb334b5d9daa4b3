"""`nonn faults`: what people see of scenarios, and that nothing stays behind."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from fault_lab.scenario import library
from nonn.cli import main

SHORT = """\
summary = "a device is lost, and is back"
seconds = 4

[cluster]
devices = 3

[load]
rate = 30

[[fault]]
type = "kill"
target = "random 1"
at = 1
duration = 1
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "short.toml").write_text(SHORT)
    return tmp_path


def run_json(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, object]:
    assert main(["faults", *words, "--json"]) == code
    return json.loads(capsys.readouterr().out)


@pytest.mark.usefixtures("here")
def test_a_run_tells_its_counts_and_leaves_its_folder(capsys: pytest.CaptureFixture[str]) -> None:
    result = run_json(capsys, "run", "short.toml", "--on", "simulation", "--seed", "4")
    assert result["requests"] == result["answered"] + result["refused"] > 50
    assert (result["lost"], result["violations"], result["seed"]) == (0, 0, 4)
    folder = Path(str(result["folder"]))
    assert folder.name.startswith("short-simulation-4-")
    assert {path.name for path in folder.iterdir()} >= {
        "scenario.toml", "result.json", "requests.jsonl", "report.html",
    }  # fmt: skip
    assert (folder / "scenario.toml").read_text() == SHORT
    rows = [json.loads(line) for line in (folder / "requests.jsonl").read_text().splitlines()]
    assert len(rows) == result["requests"]
    assert len({row["number"] for row in rows}) == len(rows)


@pytest.mark.usefixtures("here")
def test_a_replay_on_simulation_is_the_same_request_by_request(capsys: pytest.CaptureFixture[str]) -> None:
    first = Path(str(run_json(capsys, "run", "short.toml", "--on", "simulation", "--seed", "7")["folder"]))
    assert main(["faults", "replay", str(first), "--output", "again", "--quiet"]) == 0
    assert capsys.readouterr().out.startswith("as before")
    assert Path("again/requests.jsonl").read_bytes() == (first / "requests.jsonl").read_bytes()


@pytest.mark.usefixtures("here")
def test_many_seeds_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    total = run_json(capsys, "run", "short.toml", "--on", "simulation", "--seeds", "0:5")
    each = [
        run_json(capsys, "run", "short.toml", "--on", "simulation", "--seed", str(seed)) for seed in range(5)
    ]
    for name in ("requests", "answered", "degraded", "refused"):
        assert total[name] == sum(int(str(one[name])) for one in each)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "no_such"], 3, r"no scenario 'no_such'.*half_lost"),
        (["run", "bad.toml"], 3, r"bad\.toml:11: .*'kil' is no fault"),
        (["run", "part.toml"], 3, r"part\.toml:10: .*parts 0 to 3"),
        (["run", "short.toml", "--seeds", "1:3"], 2, "simulation"),
        (["run", "short.toml", "--seed", "-1"], 2, "-1"),
        (["run", "short.toml", "--on", "moon"], 2, "moon"),
        (["run", "short.toml", "--bundle", "nowhere"], 6, "nowhere"),
        (["run", "short.toml", "--output", "taken"], 8, "taken is not empty"),
        (["sweep", "--output", "taken"], 8, "taken is not empty"),
        (["replay", "nowhere"], 3, "not the folder of a finished run"),
        (["sweep", "--devices", "9"], 2, "8 students"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_before_anything_starts(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    (here / "taken/already").mkdir(parents=True)
    (here / "bad.toml").write_text(SHORT.replace('"kill"', '"kil"'))
    (here / "part.toml").write_text(SHORT.replace('"random 1"', '"part 4"'))
    assert main(["faults", *words]) == code
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(said, last)
    assert not (here / "runs").exists()


def test_the_list_has_every_scenario_and_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["faults", "list"]) == 0
    shown = capsys.readouterr().out
    for name in library():
        assert name in shown
    scenarios = run_json(capsys, "list")
    assert scenarios == {name: scenario.summary for name, scenario in library().items()}
    assert "aggregator_restart" in run_json(capsys, "list", "--faults")


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_run_on_processes_and_its_report(capsys: pytest.CaptureFixture[str]) -> None:
    long = SHORT.replace("seconds = 4", "seconds = 15")  # in which a device starts on a busy machine
    Path("short.toml").write_text(long)
    assert main(["faults", "run", "short.toml", "--output", "out"]) == 0
    out, err = capsys.readouterr()
    assert "every promise was kept" in out
    assert "accuracy" in out
    assert "kill begins: device-" in err
    result = json.loads(Path("out/result.json").read_text())
    assert result["faults"][0]["recovered"] > 0
    assert "Every promise was kept" in Path("out/report.html").read_text()
    assert (Path("out/logs") / "device-0.log").stat().st_size > 0


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_broken_off_leaves_nothing_running(here: Path, number: signal.Signals) -> None:
    (here / "short.toml").write_text(
        SHORT.replace('"kill"', '"pause"')
        .replace("duration = 1", "duration = 50")
        .replace("seconds = 4", "seconds = 60")
    )
    command = [sys.executable, "-m", "nonn", "faults", "run", "short.toml", "--output", "out"]
    with subprocess.Popen(command, cwd=here, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("pause begins" in line for line in process.stderr)
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 4
        process.send_signal(number)
        code = process.wait(30)
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]
    if number != signal.SIGKILL:
        assert (here / "out/requests.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("here")
def test_a_sweep_measures_every_set_of_lost_devices(capsys: pytest.CaptureFixture[str]) -> None:
    result = run_json(capsys, "sweep", "--devices", "3", "--output", "out")
    assert [len(one["lost"]) for one in result["sets"]].count(1) == 3  # type: ignore[index,attr-defined]
    cells = {cell["lost"]: cell for cell in result["cells"]}  # type: ignore[attr-defined]
    assert [cells[lost]["subsets_measured"] for lost in range(3)] == [1, 3, 3]
    assert all(one["observed"] == pytest.approx(one["merged"], abs=0.01) for one in result["sets"])  # type: ignore[attr-defined]
    assert cells[0]["observed_mean"] > cells[2]["observed_worst"] > 0.5
    assert Path("out/sweep.svg").read_text().lstrip().startswith("<?xml")

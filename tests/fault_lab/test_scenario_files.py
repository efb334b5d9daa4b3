"""Scenario files: what is understood, and what is refused, with the line and the choices."""

import re
from pathlib import Path

import pytest

from fault_lab.scenario import (
    FAULTS,
    check_faults,
    find_scenario,
    library,
    load_scenario,
    located,
    make_plan,
)
from fault_lab.scenario.errors import ScenarioError

HEAD = """\
summary = "for a test"
seconds = 10

[load]
rate = 4
"""


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "mine.toml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def refusal(path: Path) -> str:
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_short_file_is_enough(write) -> None:
    scenario = load_scenario(write(HEAD))
    assert (scenario.name, scenario.cluster.devices, scenario.load.rate) == ("mine", 8, 4)
    assert scenario.fault == ()


@pytest.mark.parametrize(
    ("fault", "line", "words"),
    [
        ('type = "kil"\ntarget = "all"\nat = 1', 8, ["'kil'", "kill", "pause", "aggregator_restart"]),
        ('target = "all"\nat = 1', 7, ["no type", "kill"]),
        ('type = "kill"\ntarget = "device-9"\nat = 1', 7, ["device-9", "device-0 to device-7", "random N"]),
        ('type = "kill"\ntarget = "nobody*"\nat = 1', 7, ["nobody*", "device-0 to device-7"]),
        ('type = "kill"\ntarget = "all"\nat = -1', 10, ["at", "greater than or equal to 0"]),
        ('type = "kill"\ntarget = "all"\nat = 1\nduration = -2', 11, ["duration", "greater than 0"]),
        ('type = "kill"\ntarget = "all"\nat = inf', 10, ["at", "finite"]),
        ('type = "kill"\ntarget = "all"\nat = 1\nduraton = 2', 11, ["duraton", "unknown key", "duration"]),
        ('type = "kill"\ntarget = "all"\nat = 1\nduration = 20', 7, ["not over when the load ends", "10 s"]),
        ('type = "kill"\ntarget = "all"\nat = 10', 7, ["not over when the load ends"]),
        ('type = "kill"\nat = 1', 7, ["target", "name one", "random N"]),
        ('type = "latency"\ntarget = "all"\nat = 1', 7, ["latency", "is missing"]),
        ('type = "restart"\ntarget = "all"\nat = 1\nduration = 2', 7, ["duration", "at once"]),
        ('type = "kill"\ntarget = "random 9"\nat = 1', 7, ["random 9", "8 devices"]),
        ('type = "kill"\ntarget = "random 0"\nat = 1', 7, ["random 0"]),
        (f'type = "kill"\ntarget = "random {"9" * 5000}"\nat = 1', 7, ["99...99", "matches none"]),
        (f'type = "kill"\ntarget = "part {"9" * 5000}"\nat = 1', 7, ["99...99", "matches none"]),
        ('type = "kill"\ntarget = "part 16"\nat = 1', 7, ["a bundle has parts 0 to 15 at the most"]),
        ('type = "kill"\ntarget = ["all", 3]\nat = 1', 9, ["target", "quotation marks"]),
        (f'type = "kill"\ntarget = "all"\nat = {"9" * 4000}', 10, ["fault.0.at"]),
        ('type = "kill"\ntarget = "part 77"\nat = 1', 7, ["part 77"]),
        ('type = "aggregator_restart"\ntarget = "all"\nat = 1', 7, ["takes no target"]),
        ('type = "pause"\ntarget = "all"\nat = 1\nevery = 2\ntimes = 2', 7, ["duration", "again"]),
        ('type = "pause"\ntarget = "all"\nat = 1\nduration = 1\nevery = 2', 7, ["every and times"]),
        ('type = "slow"\ntarget = "all"\nat = 1\nfactor = 0.5', 11, ["factor", "greater than 1"]),
        (
            'type = "corrupt"\ntarget = "all"\nat = 1\ntoxicity = 2',
            11,
            ["toxicity", "less than or equal to 1"],
        ),
        ('type = "timeout"\ntarget = "all"\nat = 1\nstream = "up"', 11, ["stream", "upstream", "downstream"]),
    ],
)
def test_a_bad_fault_is_refused_with_its_line(write, fault: str, line: int, words: list[str]) -> None:
    path = write(f"{HEAD}\n[[fault]]\n{fault}\n")
    said = refusal(path)
    assert said.startswith(f"{path}:{line}: ")
    for word in words:
        assert word in said


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (HEAD.replace("rate = 4", "rate = true"), 5, ["load.rate", "must be a valid number"]),
        (HEAD.replace("rate = 4", 'rate = "4"'), 5, ["load.rate", "must be a valid number"]),
        (HEAD.replace("rate = 4", "rate = 4\nstrict = 1"), 6, ["load.strict", "boolean"]),
        (HEAD.replace("rate = 4", 'rate = 4\ndata = "npz:a\\u0000b"'), 6, ["load.data", "NUL"]),
        (HEAD + '[cluster]\nbundle = "a\\u0000b"\n', 7, ["cluster.bundle", "NUL"]),
        (HEAD + "[cluster]\ndevices = true\n", 7, ["cluster.devices", "integer"]),
        (HEAD + '[cluster]\nheal_after = "x"\n', 7, ["cluster.heal_after: ", "number", "'never'"]),
        ("fault = 3\n" + HEAD, 1, ["fault: write each fault", "[[fault]]"]),
        ("fault = [3]\n" + HEAD, 1, ["[[fault]]"]),
        ('fault = {type = "kill"}\n' + HEAD, 1, ["[[fault]]"]),
        (
            'fault = [{type="kill", target="all", at=1},\n {type="kill", target="device-9", at=1}]\n' + HEAD,
            2,
            ["device-9"],
        ),
        (HEAD.replace("[load]\nrate = 4", "load = 3"), 4, ["load: must be a table: [load]"]),
        ("x = '''\n[load]\nrate = 7\n'''\n" + HEAD.replace("rate = 4", "rate = -5"), 9, ["load.rate"]),
        (HEAD.replace("rate = 4", "rate = 4\nclients = 2"), 4, ["either rate", "clients"]),
        (HEAD.replace("rate = 4", "strict = true"), 4, ["either rate", "clients"]),
        (HEAD.replace("rate = 4", "rate = 0"), 5, ["rate", "greater than 0"]),
        (HEAD.replace("rate = 4", 'rate = "many"'), 5, ["rate", "number"]),
        (HEAD.replace("seconds = 10\n", ""), 1, ["seconds", "is missing"]),
        (HEAD + '[cluster]\nlink = "wify"\n', 7, ["'wify'", "ethernet", "wifi", "slow"]),
        (HEAD + "[cluster]\ndevices = 100\n", 7, ["devices", "64"]),
        (HEAD + "[cluster]\ndevice = 3\n", 7, ["cluster.device", "unknown key", "devices"]),
        ("name = 'x'\n" + HEAD, 1, ["name", "unknown key"]),
        ("sumary = 'x'\n" + HEAD, 1, ["sumary", "unknown key", "summary"]),
    ],
)
def test_a_bad_key_is_refused_with_its_line(write, text: str, line: int, words: list[str]) -> None:
    path = write(text)
    said = refusal(path)
    assert said.startswith(f"{path}:{line}: ")
    for word in words:
        assert word in said


def test_of_many_faults_the_right_one_is_named(write) -> None:
    sound = '\n[[fault]]\ntype = "kill"\ntarget = "device-0"\nat = 1\nduration = 1\n'
    path = write(
        HEAD + sound + sound.replace("device-0", "device-1") + sound.replace("device-0", "device-77")
    )
    assert refusal(path).startswith(f"{path}:19: ")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (
            'type = "kill"\ntarget = "device-1"\nduration = 3',
            'type = "pause"\ntarget = "device-[0-3]"\nduration = 3',
        ),
        (
            'type = "latency"\ntarget = "all"\nlatency = 0.1',
            'type = "latency"\ntarget = "all"\nlatency = 0.2',
        ),
        ('type = "nan"\ntarget = "device-1"', 'type = "late"\ndelay = 1\ntarget = "device-1"'),
        (
            'type = "kill"\ntarget = "part 1"\nduration = 3',
            'type = "pause"\ntarget = "device-3"\nduration = 3',
        ),
        ('type = "aggregator_restart"\nduration = 2', 'type = "aggregator_pause"\nduration = 2'),
        ('type = "restart"\ntarget = "device-1"', 'type = "kill"\ntarget = "device-1"\nduration = 1'),
    ],
)
def test_contradictions_are_refused(write, first: str, second: str) -> None:
    path = write(f"{HEAD}\n[[fault]]\n{first}\nat = 2\n\n[[fault]]\n{second}\nat = 2\n")
    said = refusal(path)
    assert "contradicts" in said
    assert int(re.match(rf"{re.escape(str(path))}:(\d+): ", said)[1]) > 10


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('type = "latency"\ntarget = "all"\nlatency = 0.1', 'type = "kill"\ntarget = "all"\nduration = 1'),
        ('type = "kill"\ntarget = "part 0"\nduration = 3', 'type = "kill"\ntarget = "part 1"\nduration = 3'),
        (
            'type = "kill"\ntarget = "device-1"\nduration = 3',
            'type = "kill"\ntarget = "random 7"\nduration = 3',
        ),
        ('type = "aggregator_restart"\nduration = 2', 'type = "kill"\ntarget = "all"\nduration = 2'),
    ],
)
def test_what_does_not_contradict_may_overlap(write, first: str, second: str) -> None:
    load_scenario(write(f"{HEAD}\n[[fault]]\n{first}\nat = 2\n\n[[fault]]\n{second}\nat = 2\n"))


def test_what_is_no_file_or_no_toml_is_said(write, tmp_path: Path) -> None:
    assert "no scenario file" in refusal(tmp_path / "none.toml")
    assert "not valid TOML" in refusal(write("seconds = = 3"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    assert "cannot be read" in refusal(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("value", "words"), [("9" * 5000, "too many digits"), ("[" * 5000 + "]" * 5000, "nested too deeply")]
)
def test_what_tomllib_breaks_on_is_refused(write, value: str, words: str) -> None:
    assert words in refusal(write(f"x = {value}\n{HEAD}"))


def test_a_mark_of_the_encoding_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "marked.toml"
    path.write_text(HEAD, encoding="utf-8-sig")
    assert load_scenario(path).seconds == 10


def test_with_a_known_bundle_its_parts_are_named(write) -> None:
    path = write(f'{HEAD}\n[[fault]]\ntype = "kill"\ntarget = "part 4"\nat = 1\n')
    scenario = load_scenario(path)
    for parts in (4, [2, 2, 2, 2]):
        with pytest.raises(ScenarioError, match=r":7: target: 'part 4': the bundle has parts 0 to 3$"):
            check_faults(path, scenario, parts)


def test_what_only_the_cluster_shows_is_said_with_its_line(write) -> None:
    kill = '\n[[fault]]\ntype = "kill"\ntarget = "part {part}"\nat = 1\n'
    path = write(HEAD + kill.format(part=0) + kill.format(part=1))
    with pytest.raises(ScenarioError) as caught:
        make_plan(load_scenario(path), 0, {0: [3], 1: [3]})
    error = located(path, caught.value)
    assert str(error) == f"{path}:12: {caught.value}"
    assert error.fault == 1
    assert located(path, error) is error
    path.unlink()
    assert str(located(path, caught.value)) == f"{path}: {caught.value}"
    elsewhere = ScenarioError("there is no scenario")
    assert located(path, elsewhere) is elsewhere


def test_scenarios_of_the_library_are_found_by_name() -> None:
    assert find_scenario("half_lost") == find_scenario("half-lost")
    with pytest.raises(ScenarioError, match="half_lost"):
        find_scenario("half_los")


def test_every_scenario_of_the_library_loads_and_says_what_it_shows() -> None:
    found = library()
    assert len(found) >= 12
    for scenario in found.values():
        assert scenario.summary.endswith(".")
        assert scenario.fault


def test_every_key_and_fault_is_documented() -> None:
    from fault_lab.scenario import model
    from fault_lab.scenario.fault import AnyFault

    page = (Path(__file__).parents[2] / "docs/reference/scenario.md").read_text()
    rows = re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE)
    named = {word for row in rows for word in re.findall(r"`(\w+)`", row)}
    sections = (model.Scenario, model.Cluster, model.Load, AnyFault)
    keys = {key for section in sections for key in section.model_fields} - {
        "name",
        "base",
        "cluster",
        "load",
        "fault",
    }
    assert keys | set(FAULTS) <= named
    for name, kind in FAULTS.items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        own = set(kind.model_fields) - set(AnyFault.model_fields)
        assert own == set(re.findall(r"`(\w+)`", row.split("|")[3]))

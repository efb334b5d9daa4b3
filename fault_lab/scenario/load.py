"""Scenario files, read and checked; what is wrong is said with its line."""

import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from fault_lab.scenario.check import Parts, check_plan
from fault_lab.scenario.errors import ScenarioError
from fault_lab.scenario.faults import FAULTS
from fault_lab.scenario.lines import Lines, Place
from fault_lab.scenario.model import Scenario

LIBRARY: Final = Path(__file__).parent.parent / "library"


def library() -> dict[str, Scenario]:
    """By name, the scenarios that come with NoNN."""
    return {path.stem: load_scenario(path) for path in sorted(LIBRARY.glob("*.toml"))}


def find_scenario(text: str) -> Path:
    """A file, or the name of a scenario of the library. Raises ScenarioError."""
    path = Path(text)
    if path.suffix == ".toml" or path.is_file():
        return path
    known = LIBRARY / f"{text.replace('-', '_')}.toml"
    if known.is_file():
        return known
    names = ", ".join(sorted(path.stem for path in LIBRARY.glob("*.toml")))
    raise ScenarioError(f"there is no scenario {text!r}: name a .toml file or one of {names}")


def load_scenario(path: Path, base: Path | None = None) -> Scenario:
    """base: what paths in it count from, if not its own folder.

    Raises ScenarioError: the file, the line, what is wrong there and what is allowed.
    """
    text, table = _read(path)
    for key in ("name", "base"):
        if key in table:
            line = Lines(text).line((key,))
            raise ScenarioError(f"{path}:{line}: {key}: unknown key; the file's name is its name")
    try:
        scenario = Scenario.model_validate(
            {**table, "name": path.stem, "base": base or path.resolve().parent}
        )
    except ValidationError as error:
        raise ScenarioError(f"{path}:{_first_problem(Lines(text), table, error)}") from error
    check_faults(path, scenario)
    return scenario


def check_faults(path: Path, scenario: Scenario, parts: Parts = None) -> None:
    """parts: of the bundle, when that is known: how many, or better, how many students each of them has.

    Raises ScenarioError with the line of the fault.
    """
    try:
        check_plan(scenario, parts)
    except ScenarioError as error:
        raise located(path, error) from None


def located(path: Path, error: ScenarioError) -> ScenarioError:
    """The same, with the file and the line of the fault that it names: `make_plan` knows of neither."""
    if error.fault is None or str(error).startswith(f"{path}:"):
        return error
    try:
        text, _ = _read(path)
    except ScenarioError:  # somebody has taken the file away, or writes to it
        return ScenarioError(f"{path}: {error}", fault=error.fault)
    line = Lines(text).line(("fault", error.fault))
    return ScenarioError(f"{path}:{line}: {error}", fault=error.fault)


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        text = path.read_text(
            encoding="utf-8-sig"
        )  # some editors begin every file with a mark of its encoding
        return text, tomllib.loads(text)
    except FileNotFoundError:
        raise ScenarioError(f"there is no scenario file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path} is not valid TOML: {error}") from error
    except ValueError as error:
        raise ScenarioError(f"{path} is not valid TOML: a number in it has too many digits") from error
    except RecursionError as error:
        raise ScenarioError(f"{path} is not valid TOML: its values are nested too deeply") from error


def _first_problem(lines: Lines, table: dict[str, Any], error: ValidationError) -> str:
    """Its line, its key and what is wrong."""
    problems = error.errors()
    problem, place = problems[0], _place(problems[0]["loc"], lines)
    if problem["type"] == "extra_forbidden":
        what = f"unknown key; there are {', '.join(_keys(table, place))}"
    elif problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        what = f"{problem['input'].get('type', 'no type')!r} is no fault; there are {', '.join(FAULTS)}"
        place = (*place, "type")
    elif problem["type"] == "missing":
        what, place = "is missing", (*place, problem["loc"][-1])
    elif problem["type"] == "model_type":
        what = f"must be a table: [{place[-1]}]"
    else:
        said = [each["msg"] for each in problems if _place(each["loc"], lines) == place]
        what = " or ".join(dict.fromkeys(map(_in_our_words, said)))
    shown = ".".join(map(str, place))
    return f"{lines.line(place)}: {shown}: {what}" if shown else f"{lines.line(place)}: {what}"


def _in_our_words(message: str) -> str:
    return message.removeprefix("Value error, ").replace("Input should be", "must be")


def _place(loc: Place, lines: Lines) -> Place:
    """Without the names of types, which are no keys of the file."""
    if loc[:1] == ("fault",) and len(loc) > 2:
        loc = (*loc[:2], *loc[3:])
    return next(loc[:end] for end in range(len(loc), -1, -1) if loc[:end] in lines)


def _keys(table: dict[str, Any], place: Place) -> list[str]:
    """That are allowed where an unknown one was found."""
    if place[0] == "fault" and len(place) > 1:
        model: Any = FAULTS[table["fault"][place[1]]["type"]]
    elif len(place) > 1:
        model = Scenario.model_fields[str(place[0])].annotation
    else:
        model = Scenario
    return [key for key in model.model_fields if key not in ("name", "base")]

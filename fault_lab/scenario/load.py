"""Scenario files, read and checked; what is wrong is said with its line."""

import re
import tomllib
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from fault_lab.scenario.check import Parts, check_plan
from fault_lab.scenario.errors import ScenarioError
from fault_lab.scenario.faults import FAULTS
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
    try:
        text = path.read_text(encoding="utf-8")
        table = tomllib.loads(text)
    except FileNotFoundError:
        raise ScenarioError(f"there is no scenario file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ScenarioError(f"{path} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path} is not valid TOML: {error}") from error
    for key in ("name", "base"):
        if key in table:
            raise ScenarioError(
                f"{path}:{_line(text, (key,))}: {key}: unknown key; the file's name is its name"
            )
    try:
        scenario = Scenario.model_validate(
            {**table, "name": path.stem, "base": base or path.resolve().parent}
        )
    except ValidationError as error:
        raise ScenarioError(_first_problem(path, text, table, error)) from error
    check_faults(path, scenario)
    return scenario


def check_faults(path: Path, scenario: Scenario, parts: Parts = None) -> None:
    """parts: of the bundle, when that is known. Raises ScenarioError with the line of the fault."""
    try:
        check_plan(scenario, parts)
    except ScenarioError as error:
        place = () if error.fault is None else ("fault", error.fault)
        line = _line(path.read_text(encoding="utf-8"), place)
        raise ScenarioError(f"{path}:{line}: {error}", fault=error.fault) from None


def _first_problem(path: Path, text: str, table: dict[str, Any], error: ValidationError) -> str:
    problem = error.errors()[0]
    place = tuple(problem["loc"])
    if place[:1] == ("fault",) and len(place) > 2:
        place = (*place[:2], *place[3:])  # the name of the type of fault is no key of the file
    what = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        what = f"unknown key; there are {', '.join(_keys(table, place))}"
    elif problem["type"] in ("union_tag_invalid", "union_tag_not_found"):
        given = problem.get("input") or {}
        what = f"{given.get('type', 'no type')!r} is no fault; there are {', '.join(FAULTS)}"
        place = (*place, "type")
    elif problem["type"] == "missing":
        what = "is missing"
    shown = ".".join(str(key) for key in place)
    return f"{path}:{_line(text, place)}: {shown}: {what}" if shown else f"{path}: {what}"


def _keys(table: dict[str, Any], place: tuple[Any, ...]) -> list[str]:
    """That are allowed where an unknown one was found."""
    if place[0] == "fault" and len(place) > 1:
        model: Any = FAULTS[table["fault"][place[1]]["type"]]
    elif len(place) > 1:
        model = Scenario.model_fields[place[0]].annotation
    else:
        model = Scenario
    return [key for key in model.model_fields if key not in ("name", "base")]


def _line(text: str, place: tuple[Any, ...]) -> int:
    """Number of the line of a key, or else of the table that it is missing from; 1 for the whole file.

    place: such as ("load", "rate") or ("fault", 2, "at"). tomllib tells no positions.
    """
    table, index, key = _split(place)
    seen, here, found = -1, table is None, 1
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\[?\s*([\w.-]+)\s*\]\]?", line):
            here = header[1] == table
            seen += here
            here = here and (index is None or seen == index)
            if here:
                found = number
        elif here and key is not None and re.match(rf'\s*"?{re.escape(key)}"?\s*[=.]', line):
            return number
    return found


def _split(place: tuple[Any, ...]) -> tuple[str | None, int | None, str | None]:
    """Table, which of them, and key."""
    names = [part for part in place if isinstance(part, str)]
    index = next((part for part in place if isinstance(part, int)), None)
    if len(names) == 1 and index is None and names[0] not in ("cluster", "load", "fault"):
        return None, None, names[0]
    return (names[0] if names else None), index, (names[1] if len(names) > 1 else None)

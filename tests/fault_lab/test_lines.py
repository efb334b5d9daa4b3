"""The lines of a TOML text are those of tomllib's keys and values, however it is written."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from fault_lab.scenario.lines import Lines, Place
from fault_lab.scenario.load import LIBRARY

TRICKY = '''\
# [load]
"quoted" = 'a # in it, = and ]'
a.b . "c.d" = 1979-05-27 07:32:00  # a date and a time
text = """
[load]
rate = 7 \\""" still
it ends in two quotes"""""
literal = \'\'\'
[[fault]]
C:\\\'\'\'
empty = ["", \'\', """""", []]
inline = {x = 1, y.z = [{deep = [1,
  2,  # two
]}, 3.5e1], w = {}}
faults = [{type="kill"},
 {type="kill", at=1}
 ,
]

[ load . "more" ]
rate=1
[load]
rate = -5
[[fault]]
type = "kill"
[fault.sub]
x = 1
[[fault.many]]
y = 1
[[fault.many]]
y = 2
[[fault]]
"type" = "pause"
'''


def places(value: Any, place: Place = ()) -> Iterator[Place]:
    yield place
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in pairs:
        yield from places(each, (*place, key))


@pytest.mark.parametrize(
    "text",
    [
        TRICKY,
        TRICKY.replace("\n", "\r\n"),
        "",
        "\n\n",
        *(path.read_text() for path in LIBRARY.glob("*.toml")),
    ],
)
def test_every_key_and_value_has_a_line_and_nothing_else_has(text: str) -> None:
    assert set(Lines(text)._found) == set(places(tomllib.loads(text)))


@pytest.mark.parametrize(
    ("place", "begins"),
    [
        (("quoted",), '"quoted"'),
        (("a", "b", "c.d"), "a.b"),
        (("text",), "text"),
        (("empty", 3), "empty"),
        (("inline", "y", "z", 0, "deep", 1), "  2"),
        (("inline", "y", "z", 1), "]}, 3.5e1"),
        (("faults", 0, "type"), "faults"),
        (("faults", 1), ' {type="kill", at=1}'),
        (("load",), "[load]"),
        (("load", "rate"), "rate = -5"),
        (("load", "more", "rate"), "rate=1"),
        (("fault", 0, "sub"), "[fault.sub]"),
        (("fault", 0, "many", 1), "[[fault.many]]"),
        (("fault", 0, "many", 1, "y"), "y = 2"),
        (("fault", 1, "type"), '"type" = "pause"'),
    ],
)
def test_the_line_is_the_one_where_it_stands(place: Place, begins: str) -> None:
    expected = [number for number, line in enumerate(TRICKY.splitlines(), 1) if line.startswith(begins)]
    assert Lines(TRICKY).line(place) == expected[-1]


def test_what_is_missing_belongs_to_the_closest_that_is_there() -> None:
    lines, count = Lines(TRICKY), len(TRICKY.splitlines())
    assert lines.line(("fault", 1, "at")) == count - 1
    assert lines.line(("seconds",)) == 1

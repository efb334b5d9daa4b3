"""A compose file as text: the few forms of YAML that it needs, with room for comments."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeAlias, TypeGuard

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = "Scalar | Sequence[Value] | Mapping[str, Value]"

# What is a string without quotes, to every version of YAML and inside `[...]` too.
_PLAIN: Final = re.compile(
    r"(?!(?:true|false|yes|no|on|off|null|y|n)$)[a-z/](?:[\w./@+=-]|[: ](?=[\w./-]))*", re.I | re.A
)


class Verbatim(str):
    """Goes into the file as it is, such as `<<: *confined`."""

    __slots__ = ()


def literal(text: str) -> str:
    """For Compose, which takes `$` for a variable."""
    return text.replace("$", "$$")


def comment(*lines: str, indent: int = 0) -> str:
    return "".join(f"{' ' * indent}# {line}".rstrip() + "\n" for line in lines)


def block(entries: Mapping[str, Value], indent: int = 0) -> str:
    """A line for each entry; mappings below their key, and lists in one line unless they are of mappings."""
    return "".join(f"{line}\n" for line in _lines(entries, " " * indent))


def _lines(entries: Mapping[str, Value], margin: str) -> Iterator[str]:
    for key, value in entries.items():
        if isinstance(value, Mapping) and value:
            yield f"{margin}{_scalar(key)}:"
            yield from _lines(value, margin + "  ")
        elif _is_list(value) and any(isinstance(each, Mapping) or _is_long(each) for each in value):
            yield f"{margin}{_scalar(key)}:"
            for each in value:
                yield from _item(each, margin + "  ")
        else:
            yield f"{margin}{_scalar(key)}: {_flow(value)}"


def _item(value: Value, margin: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        first, *others = _lines(value, margin + "  ")
        yield f"{margin}- {first.lstrip()}"
        yield from others
    elif _is_long(value):
        yield f"{margin}- |"
        yield from (f"{margin}  {line}" for line in str(value).splitlines())
    else:
        yield f"{margin}- {_flow(value)}"


def _is_list(value: Value) -> TypeGuard[Sequence[Value]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_long(value: Value) -> bool:
    return isinstance(value, str) and "\n" in value


def _flow(value: Value) -> str:
    if isinstance(value, str | int | float):
        return _scalar(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(key)}: {_flow(each)}" for key, each in value.items()) + "}"
    return "[" + ", ".join(map(_flow, value)) + "]"


def _scalar(value: Scalar) -> str:
    """JSON's strings are YAML's."""
    if isinstance(value, str):
        plain = isinstance(value, Verbatim) or _PLAIN.fullmatch(value)
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)

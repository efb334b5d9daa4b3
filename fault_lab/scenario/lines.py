"""At which lines the keys and values of a TOML text stand: tomllib does not say, and no dependency does."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

Place = tuple[str | int, ...]  # such as ("load", "rate") or ("fault", 2, "at")

_STRINGS: Final = (  # the longest quotes first; such a string may end in two quotes of its own
    r'"""(?:\\.|[^\\])*?"{3,5}',
    r"'''.*?'{3,5}",
    r'"(?:\\.|[^"\\])*"',
    r"'[^']*'",
)
_TOKEN: Final = re.compile(
    rf"(?P<skip>[ \t\r]+|#[^\n]*)|(?P<text>{'|'.join(_STRINGS)})"
    r"""|(?P<mark>[\n\[\]{},=])|(?P<word>[^\s#\[\]{},="']+)""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


class Lines:
    """Of a text that tomllib takes; of another one it makes no sense."""

    def __init__(self, text: str) -> None:
        self._found: dict[Place, int] = {(): 1}
        self._tables: dict[Place, int] = {}  # how many there are so far of an array of tables
        self._tokens = list(_tokens(text))
        self._next = 0
        self._read()

    def __contains__(self, place: Place) -> bool:
        return place in self._found

    def line(self, place: Place) -> int:
        """Of a key or a value, or else of the closest table or key that it should be in; 1 is the first."""
        return next(self._found[place[:end]] for end in range(len(place), -1, -1) if place[:end] in self)

    # ---- reading

    def _read(self) -> None:
        table: Place = ()
        while self._next < len(self._tokens):
            if self._skip("\n"):
                continue
            if self._skip("["):
                table = self._header(several=self._skip("["))
            else:
                self._value(self._key(table))

    def _header(self, *, several: bool) -> Place:
        line = self._tokens[self._next].line
        place: Place = ()
        names = self._names("]")
        for number, name in enumerate(names, 1):
            place = (*place, name)
            if several and number == len(names):
                self._found.setdefault(place, line)
                self._tables[place] = self._tables.get(place, 0) + 1
            elif number < len(names):
                self._found.setdefault(place, line)
            if place in self._tables:
                place = (*place, self._tables[place] - 1)
        self._found[place] = line
        if several:
            self._skip("]")
        return place

    def _key(self, place: Place) -> Place:
        line = self._tokens[self._next].line
        for name in self._names("="):
            place = (*place, name)
            self._found.setdefault(place, line)
        return place

    def _names(self, end: str) -> list[str]:
        """Of a dotted key."""
        names: list[str] = []
        while not self._skip(end):
            token = self._take()
            if token.kind == "text":
                names.append(tomllib.loads(f"key = {token.text}")["key"])
            else:
                names += [name for name in token.text.split(".") if name]
        return names

    def _value(self, place: Place) -> None:
        if self._skip("["):
            index = 0
            while not self._skip("]"):
                if not self._skip("\n") and not self._skip(","):
                    self._found[*place, index] = self._tokens[self._next].line
                    self._value((*place, index))
                    index += 1
        elif self._skip("{"):
            while not self._skip("}"):
                if not self._skip("\n") and not self._skip(","):
                    self._value(self._key(place))
        else:
            self._take()
            while self._next < len(self._tokens) and self._tokens[self._next].kind == "word":
                self._take()  # the time of day after a date

    def _skip(self, mark: str) -> bool:
        """Whether it comes next; if so, go on."""
        token = self._tokens[self._next] if self._next < len(self._tokens) else None
        found = token is not None and (token.kind, token.text) == ("mark", mark)
        self._next += found
        return found

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind != "skip":
            yield _Token(kind, match[0], line)
        line += match[0].count("\n")

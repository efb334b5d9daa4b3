"""An HTML page as a test sees it: its elements, its text, and whether it is well formed."""

from html.parser import HTMLParser

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """elements: name and attributes, in order. texts: each with the elements that it stands in."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((tuple(self._open), data.strip()))

    @property
    def names(self) -> set[str]:
        return {name for name, _ in self.elements}

    def text(self, inside: str = "body") -> str:
        """All that is shown inside elements of that name, a line each."""
        return "\n".join(text for path, text in self.texts if inside in path and "style" not in path)

    def pairs(self) -> dict[str, str]:
        """<dt> and the <dd> that follows it."""
        found: dict[str, str] = {}
        name = ""
        for path, text in self.texts:
            if path[-1] == "dt":
                name = text
            elif path[-1] == "dd":
                found.setdefault(name, text)
        return found

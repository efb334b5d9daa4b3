"""How the panels of a picture are labelled, and the colours that the page decides."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, LINE = "#010101", "#020202"
BLUE, ORANGE, GREEN, RED, YELLOW = "#030303", "#040404", "#050505", "#060606", "#070707"
PURPLE, TEAL, PINK, GREY, BROWN = "#080808", "#090909", "#0a0a0a", "#0b0b0b", "#0c0c0c"
COLOURS: Final = {
    INK: "var(--ink)",
    LINE: "var(--line)",
    BLUE: "var(--blue)",
    ORANGE: "var(--orange)",
    GREEN: "var(--green)",
    RED: "var(--red)",
    YELLOW: "var(--yellow)",
    PURPLE: "var(--purple)",
    TEAL: "var(--teal)",
    PINK: "var(--pink)",
    GREY: "var(--grey)",
    BROWN: "var(--brown)",
}
"""Stand-ins that matplotlib takes, and what the page has in their place."""


def title(axes: "Axes", text: str) -> None:
    axes.set_title(text, loc="left", fontsize=9, fontweight="bold", color=INK)


def say(axes: "Axes", text: str) -> None:
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=GREY)
    axes.set_yticks([])


def legend(axes: "Axes") -> None:
    """Above the panel, where it hides nothing."""
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=6,
        frameon=False,
        fontsize=8,
        labelcolor=INK,
        borderpad=0.1,
        handlelength=1.4,
        columnspacing=1.2,
    )

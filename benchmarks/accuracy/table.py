"""From the figures of every row and seed to one table, one plot and the claim."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.accuracy.cells import Cell

Result = dict[str, Any]
LOST = range(8)
HALF = "4"
SHOWN = ("0", HALF, "7")
OURS = ("ours", "longer")
# What ours is held to: docs/explanation/accuracy.md.
GOALS = {"mean": 0.72, "of_full": 0.97, "of_nonn": 1.53, "worst_of_full": 0.93}


def row(cell: Cell, results: Mapping[int, Result]) -> dict[str, Any]:
    """One row from its seeds' results: test accuracies with its own fill, and half lost with every fill.

    mean: over seeds and subsets; deviation: of the seeds' means (none for one seed); worst, best: of all.
    """
    seeds = list(results.values())
    own = [result["test"][cell.own_fill] for result in seeds]
    return {
        "label": cell.label,
        "own_fill": cell.own_fill,
        "seeds": list(results),
        "by_lost": {str(lost): _over_seeds([judged[str(lost)] for judged in own]) for lost in LOST},
        "half_lost": {
            fill: _over_seeds([result["test"][fill][HALF] for result in seeds]) for fill in seeds[0]["test"]
        },
        "validation_by_lost": {
            fill: {lost: _over_seeds([r["validation"][fill][lost] for r in seeds]) for lost in SHOWN}
            for fill in seeds[0]["validation"]
        },
        "parameters": max(result["parameters"] for result in seeds),
        "multiply_adds": max(result["multiply_adds"] for result in seeds),
        "part_sizes": [result["part_sizes"] for result in seeds],
        "training_seconds": [result["training_seconds"] for result in seeds],
    }


def _over_seeds(judged: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    means = [one["mean"] for one in judged]
    return {
        "mean": statistics.fmean(means),
        "deviation": statistics.stdev(means) if len(means) > 1 else None,
        "worst": min(one["worst"] for one in judged),
        "best": max(one["best"] for one in judged),
        "subsets": judged[0]["subsets"],
    }


def idea_row(idea: Cell, result: Result, against: Result) -> dict[str, Any]:
    """One idea on validation images, one seed: all answering, half lost, and what it is compared to."""
    half = result["validation"][idea.own_fill][HALF]["mean"]
    before = against["validation"][idea.own_fill][HALF]["mean"]
    return {
        "label": idea.label,
        "fill": idea.own_fill,
        "against": idea.against,
        "full": result["validation"][idea.own_fill]["0"]["mean"],
        "half": half,
        "one_left": result["validation"][idea.own_fill]["7"]["mean"],
        "against_half": before,
        "kept": idea.kept,
    }


def claim(rows: Mapping[str, Mapping[str, Any]], baseline: str = "nonn") -> dict[str, dict[str, float]]:
    """What each row of ours reached of each goal; empty while the baseline is missing."""
    if baseline not in rows:
        return {}
    return {name: _reached(rows[name], rows[baseline]) for name in OURS if name in rows}


def _reached(ours: Mapping[str, Any], baseline: Mapping[str, Any]) -> dict[str, float]:
    full, half = ours["by_lost"]["0"], ours["by_lost"][HALF]
    reached = {
        "mean": half["mean"],
        "of_full": half["mean"] / full["mean"],
        "of_nonn": half["mean"] / baseline["by_lost"][HALF]["mean"],
        "worst_of_full": half["worst"] / full["mean"],
    }
    return {name: round(value, 4) for name, value in reached.items()}


def markdown(found: Mapping[str, Any]) -> list[str]:
    """The table of test accuracies, in percent."""
    lines = [
        f"| students lost of 8 | seeds | fill | {' | '.join(map(str, LOST))} | worst of 4 |",
        f"|---|---|---|{'---|' * len(LOST)}---|",
    ]
    for one in found["rows"].values():
        cells = [_cell(one["by_lost"][str(lost)]) for lost in LOST]
        worst = f"{100 * one['by_lost'][HALF]['worst']:.1f}"
        seeds = len(one["seeds"])
        lines.append(f"| {one['label']} | {seeds} | {one['own_fill']} | {' | '.join(cells)} | {worst} |")
    if (alone := found["rows"].get("whole")) is not None:
        cell = _cell(alone["by_lost"]["7"])
        lines.append(f"| one student of the whole teacher, alone | 1 | | {cell} |{' |' * len(LOST)}")
    teacher = 100 * found["teacher"]["test"]
    lines.append(f"| the teacher, undivided | 1 | | {teacher:.1f} |{' |' * len(LOST)}")
    state = found["state"]
    hours, trunk = found["wall_seconds"] / 3600, found["trunk_seconds"] / 3600
    return [
        *lines,
        "",
        f"Test accuracy in %, mean over all subsets (and seeds, ± their deviation). {state['trained']} of "
        f"{state['of']} trainings of rows and ideas are done. Wall time {hours:.1f} hours, "
        f"{trunk:.1f} of them the trunk's. Trained at {', '.join(state['commits'])}; others took "
        f"{100 * state['others'][0]:.0f} to {100 * state['others'][1]:.0f} % of the processors meanwhile. "
        "The worst is that of all seeds. What follows is the run that summed up:",
    ]


def markdown_short(found: Mapping[str, Any]) -> list[str]:
    """A few rows and columns, for those who only want to know."""
    lost = ("0", "2", "4", "6", "7")
    lines = [
        f"| students lost of 8 | {' | '.join(lost)} | worst of 4 |",
        f"|---|{'---|' * len(lost)}---|",
    ]
    for name in ("nonn", "paper-4", "whole", *OURS):
        if (one := found["rows"].get(name)) is not None:
            means = " | ".join(_cell(one["by_lost"][number]) for number in lost)
            worst = f"{100 * one['by_lost'][HALF]['worst']:.1f}"
            lines.append(f"| {one['label']} | {means} | {worst} |")
    return lines


def markdown_claim(found: Mapping[str, Any]) -> list[str]:
    names = {
        "mean": "mean accuracy, 4 of 8 lost",
        "of_full": "of its own with all eight",
        "of_nonn": "times NoNN's",
        "worst_of_full": "worst 4 of 8 lost, of its mean with all eight",
    }
    claims = found["claim"]
    labels = [found["rows"][name]["label"].partition(":")[0] for name in claims]
    lines = [f"| what | goal | {' | '.join(labels)} |", f"|---|---|{'---|' * len(labels)}"]
    for name, goal in GOALS.items():
        reached = [f"{figures[name]:.3f} ({figures[name] - goal:+.3f})" for figures in claims.values()]
        lines.append(f"| {names[name]} | {goal:g} | {' | '.join(reached)} |")
    return lines if claims else ["Not trained yet."]


def markdown_fills(found: Mapping[str, Any]) -> list[str]:
    """Every row with half of the students lost, by what stands in for the lost parts."""
    lines = ["| 4 of 8 lost | zero | mean | ridge |", "|---|---|---|---|"]
    for one in found["rows"].values():
        fills = [_cell(one["half_lost"][fill]) for fill in ("zero", "mean", "ridge")]
        lines.append(f"| {one['label']} | {' | '.join(fills)} |")
    return lines


def markdown_steps(found: Mapping[str, Any]) -> list[str]:
    """From no partition to ours at its best, on validation images."""
    rows = {name: one["validation_by_lost"]["zero"] for name, one in found["rows"].items()}
    steps = {name: [_cell(rows[name][lost]) for lost in SHOWN] for name in rows}
    if (mirror := found["ideas"].get("mirror")) is not None:
        steps["mirror"] = [f"{100 * mirror[key]:.1f}" for key in ("full", "half", "one_left")]
    labels = {
        "whole": "eight imitate the whole teacher, each for itself",
        "ours": "trained together while half of them are lost",
        "mirror": "and looking at mirror images",
        "longer": "and for 30 epochs instead of 3",
    }
    lines = ["| | all 8 | 4 of 8 lost | 7 of 8 lost |", "|---|---|---|---|"]
    return lines + [
        f"| {label} | {' | '.join(steps[name])} |" for name, label in labels.items() if name in steps
    ]


def markdown_ideas(found: Mapping[str, Any]) -> list[str]:
    lines = [
        "| idea | fill | all 8 | 4 of 8 lost | instead of | change, points | |",
        "|---|---|---|---|---|---|---|",
    ]
    for idea in found["ideas"].values():
        full, half, against = (100 * idea[key] for key in ("full", "half", "against_half"))
        compared = f"{against:.1f} | {half - against:+.1f} | {'kept' if idea['kept'] else 'not kept'}"
        if idea["against"] is None:
            compared = " | | "
        lines.append(f"| {idea['label']} | {idea['fill']} | {full:.1f} | {half:.1f} | {compared} |")
    return lines


def _cell(value: Mapping[str, Any]) -> str:
    deviation = value["deviation"]
    spread = "" if deviation is None else f" ± {100 * deviation:.1f}"
    return f"{100 * value['mean']:.1f}{spread}"


def plot(found: Mapping[str, Any], path: Path) -> None:
    """Mean accuracy against lost students, one line a row; for ours at its best, worst to best as a band."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    from matplotlib import pyplot

    matplotlib.rcParams["svg.hashsalt"] = "nonn"  # the same file from the same figures
    figure, axes = pyplot.subplots(figsize=(8, 4.8), layout="constrained")
    best_of_ours = [name for name in OURS if name in found["rows"]][-1:]
    for name, one in found["rows"].items():
        mean, worst, best = (
            [100 * one["by_lost"][str(lost)][key] for lost in LOST] for key in ("mean", "worst", "best")
        )
        strong = name in best_of_ours
        width, size = (2.5, 6) if strong else (1.2, 3)
        colour = "black" if strong else None
        (line,) = axes.plot(
            LOST, mean, "o-", label=one["label"], linewidth=width, markersize=size, color=colour
        )
        if strong:
            axes.fill_between(LOST, worst, best, alpha=0.15, color=line.get_color())
    teacher = 100 * found["teacher"]["test"]
    axes.axhline(teacher, color="gray", linestyle="--", linewidth=1, label=f"the teacher, {teacher:.1f} %")
    axes.set(
        xlabel="students lost of 8",
        ylabel="test accuracy, %, mean over all subsets",
        xticks=list(LOST),
        ylim=(0, 80),
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", fontsize=8, frameon=False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)

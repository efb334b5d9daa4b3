"""Tables of what was tried beside the rows: recipes, partitions and merges."""

from collections.abc import Mapping
from typing import Any


def recipes(found: Mapping[str, Any]) -> list[str]:
    """Single networks, one change at a time."""
    variants = found["variants"]
    base = variants["base"]
    lines = ["| what | accuracy | change, points | seconds | |", "|---|---|---|---|---|"]
    for variant in variants.values():
        change = "" if variant is base else f"{100 * (variant['accuracy'] - base['accuracy']):+.1f}"
        kept = "kept" if variant["kept"] else "not kept"
        figures = f"{100 * variant['accuracy']:.1f} | {change} | {variant['seconds']:.0f}"
        lines.append(f"| {variant['label']} | {figures} | {kept} |")
    steps = found["steps"]
    return [
        *lines,
        "",
        f"Validation accuracy in %, {steps['epochs']} epochs, the first {steps['small_epochs']} of them on "
        f"small images; the first line is the mean of {base['seeds']} seeds, with a deviation of "
        f"{100 * found['deviation_over_seeds']:.1f} points.",
    ]


def partitions(found: Mapping[str, Any]) -> list[str]:
    """The teacher's own filters, half of the parts lost."""
    lines = [
        "| parts | method | graph | filters | all parts | zero | mean | ridge |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found["rows"]:
        sizes = sorted(set(one["sizes"]))
        width = f"{sizes[0]}" if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
        fills = " | ".join(f"{100 * one['half'][fill]['mean']:.1f}" for fill in ("zero", "mean", "ridge"))
        split = f"{one['parts']} | {one['method']} | {one['weights']} | {width}"
        lines.append(f"| {split} | {100 * one['full']:.1f} | {fills} |")
    return lines


def merging(found: Mapping[str, Any]) -> list[str]:
    """Ways of merging, one column a row of the table."""
    rows = list(found["rows"].values())
    labels = [row["label"].partition(":")[0] for row in rows]
    lines = [f"| {found['lost']} of 8 lost | {' | '.join(labels)} |", f"|---|{'---|' * len(rows)}"]
    for way in dict.fromkeys(name for row in rows for name in row["ways"]):
        cells = [f"{100 * row['ways'][way]:.1f}" if way in row["ways"] else "" for row in rows]
        lines.append(f"| {way} | {' | '.join(cells)} |")
    return lines

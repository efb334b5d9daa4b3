"""`python -m benchmarks.report`: the tables of the documents from what is in benchmarks/results."""

import json
import re
from collections.abc import Callable
from typing import Any

from benchmarks.accuracy import table, tried
from benchmarks.common import RESULTS, ROOT

_EXPLANATION = ROOT / "docs" / "explanation"
PAGES = (
    ROOT / "README.md",
    RESULTS.parent / "README.md",
    _EXPLANATION / "traffic.md",
    _EXPLANATION / "accuracy.md",
)
Figures = dict[str, Any]


def fanout(found: Figures) -> list[str]:
    lines = [
        "| devices | in flight | CPU, bare | CPU, nonn | ratio | p50, bare | p50, nonn |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in found["fan_outs"]:
        for in_flight in (1, 4):
            figures = row[f"in_flight_{in_flight}"]
            cells = [f"{figures[f'cpu_ms_{side}']['median']:.2f} ms" for side in ("bare", "nonn")]
            cells += [_spread(figures["cpu_ratio"])]
            cells += [f"{figures[f'p50_ms_{side}']['median']:.2f} ms" for side in ("bare", "nonn")]
            lines.append(f"| {row['fan_out']} | {in_flight} | {' | '.join(cells)} |")
    lines.append("")
    for name, line in found["growth"].items():
        growth = f"{line['fixed_ms']:.2f} ms + {line['each_ms']:.3f} ms a device"
        in_flight, side = name.removeprefix("in_flight_").split("_")
        lines.append(
            f"- {side}, {in_flight} in flight: {growth}; "
            f"no point is farther than {100 * line['worst']:.0f} % from that line"
        )
    return lines


def idle(found: Figures) -> list[str]:
    lines = [
        "| bundle | devices | p50, bare | p50, bare fan-out that computes nothing | p50, cluster | added |",
        "|---|---|---|---|---|---|",
    ]
    for name in ("digits", "cifar100"):
        for row in found[name]["devices"]:
            medians = [found[name]["bare_p50_ms"], row["fan_out_p50_ms"], row["cluster_p50_ms"]]
            cells = [name, str(row["devices"]), *(f"{each['median']:.2f} ms" for each in medians)]
            lines.append(f"| {' | '.join(cells)} | {_spread(row['added_ms'], ' ms')} |")
    return lines


def throughput(found: Figures) -> list[str]:
    lines = [
        "| images a request | requests in flight | images/s, bare | images/s, cluster | ratio |",
        "|---|---|---|---|---|",
    ]
    for row in found["batches"]:
        rates = [f"{row[key]['median']:.0f}" for key in ("bare_images_s", "cluster_images_s")]
        lines.append(
            f"| {row['batch']} | {row['in_flight']} | {' | '.join(rates)} | {_spread(row['ratio'])} |"
        )
    return lines


def recovery(found: Figures) -> list[str]:
    kills, freeze, start = found["kills"], found["freeze"], found["start"]
    small, large = (found[f"aggregator_{name}"]["resident_mb"] for name in ("digits", "cifar100"))
    return [
        "| what | figure |",
        "|---|---|",
        f"| devices killed under load | {kills['kills']:,} in {kills['seconds']:.0f} s |",
        f"| requests in flight at a kill | {kills['requests_in_flight_at_a_kill']:.1f} |",
        f"| requests in all | {_outcomes(kills)} |",
        f"| slowest of them, with a deadline of 5 s | {kills['slowest_s']:.2f} s |",
        f"| p50 before one of 8 devices is frozen | {_spread(freeze['p50_before_ms'], ' ms')} |",
        f"| it is no longer waited for after | {_spread(freeze['suspected_after_s'], ' s')} |",
        f"| slowest answer until then | {freeze['slowest_until_then_s']:.2f} s |",
        f"| p50 from then on, to before | {_spread(freeze['suspected_to_before'])} |",
        f"| it serves again after it goes on | {_spread(freeze['serving_after_continue_s'], ' s')} |",
        f"| a restarted device serves after | {_spread(start['serving_after_restart_s'], ' s')} |",
        f"| with its student to be fetched | {_spread(start['serving_after_fresh_start_s'], ' s')} |",
        f"| resident, a device with a WRN-16-1 student | {_spread(start['device_resident_mb'], ' MB')} |",
        f"| resident, an aggregator with 64 devices | {small:.0f} MB (digits), {large:.0f} MB (cifar100) |",
    ]


def soak(found: Figures) -> list[str]:
    lines = [f"Faults: {', '.join(f'{count} x {name}' for name, count in sorted(found['faults'].items()))}."]
    lines += [
        "",
        f"- steady load: {_outcomes(found['steady_load'])}",
        f"- floods: {_outcomes(found['bursts'])}",
    ]
    lines += ["", "| process | figure | mean | rise over the last two thirds |", "|---|---|---|---|"]
    for name, trend in found["trends"].items():
        process, figure = name.split(" ")
        lines.append(f"| {process} | {figure} | {trend['mean']:g} | {trend['rise']:+g} |")
    return [*lines, "", f"Leaks: {', '.join(found['leaks']) or 'none'}."]


def memory(found: Figures) -> list[str]:
    lines = [
        "| bundle | students | ready | after requests of one image | after batches of 64 | estimate |",
        "|---|---|---|---|---|---|",
    ]
    for name in ("digits", "cifar100"):
        for row in found[name]:
            cells = [f"{row[when]['peak']:.0f} MB" for when in ("ready", "one_image")]
            cells += [f"**{row['batches']['peak']:.0f} MB**", f"{row['estimate']:.0f} MB"]
            lines.append(f"| {name} | {row['students']} | {' | '.join(cells)} |")
    return lines


def traffic(found: Figures) -> list[str]:
    split, ours = found.get("layers_split", {}), found["ours"]
    rows = {
        "ours: partial logits": ours["batch_1"],
        "NoNN: features of 8 equal parts": found["nonn"]["batch_1"],
        "NoNN: features of its own 8 parts": found.get("nonn_louvain", {}).get("batch_1"),
        "features of the 4 parts that ours has, each on two devices": found["nonn_same_parts"]["batch_1"],
        "layers split, rows exchanged (computed)": split.get("exchanged"),
        "layers split, gathered and scattered (computed)": split.get("gathered"),
        "ours, 8 images a request": ours["batch_8"],
        "NoNN, 8 equal parts, 8 images a request": found["nonn"]["batch_8"],
    }
    lines = [
        "| bytes per inference and device | to it | from it | both | busiest device | to ours |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        if row is not None:
            cells = [f"{row[key]['median']:,.0f}" for key in ("down", "up", "both", "largest")]
            ratio = row["both"]["median"] / ours["batch_1"]["both"]["median"]
            lines.append(f"| {name} | {' | '.join(cells)} | **{ratio:.3g}** |")
    size, stand_in, pings = found["messages"], found["ours_stand_in"]["batch_1"], ours["idle_bytes_s"]
    widths = found.get("nonn_louvain", {}).get("widths")
    return [
        *lines,
        "",
        f"- to a device: {size['image']:,} bytes of pixels in a message of {size['work']:,}",
        f"- from it: {size['logits']} bytes of partial logits in a message of {size['partial']}; of features "
        f"{size['features']} in {size['feature_reply']}",
        *([f"- NoNN's own parts have {', '.join(map(str, widths))} filters"] if widths else []),
        f"- the exchange that stands for NoNN's, at the sizes of ours: {stand_in['down']['median']:,.0f} and "
        f"{stand_in['up']['median']:,.0f} bytes",
        f"- pings, not counted above: {pings['down']['median']:.0f} bytes a second to a device, "
        f"{pings['up']['median']:.0f} from it",
    ]


def distillation(found: Figures) -> list[str]:
    asking, views = found["ratio"], found["ratio_views"]
    names = ("bound", "ours", "bound_views", "ours_views")
    bound, ours, bound_views, ours_views = (f"{found[f'{name}_images_s']['median']:.0f}" for name in names)
    return [
        f"Eight students `{found['architecture']}` and the teacher, batches of {found['batch_size']}:",
        "",
        "| images/s | bare passes | the training loop | ratio |",
        "|---|---|---|---|",
        f"| the teacher asked for every batch | {bound} | {ours} | {_spread(asking)} |",
        f"| on views, without the teacher | {bound_views} | {ours_views} | {_spread(views)} |",
    ]


TABLES: dict[str, Callable[[Figures], list[str]]] = {
    "fanout": fanout,
    "fanout-same-engine": fanout,
    "idle": idle,
    "throughput": throughput,
    "recovery": recovery,
    "soak": soak,
    "memory": memory,
    "traffic": traffic,
    "accuracy": table.markdown,
    "accuracy:short": table.markdown_short,
    "accuracy:fills": table.markdown_fills,
    "accuracy:claim": table.markdown_claim,
    "accuracy:steps": table.markdown_steps,
    "accuracy:ideas": table.markdown_ideas,
    "accuracy-recipes": tried.recipes,
    "accuracy-partitions": tried.partitions,
    "accuracy-merging": tried.merging,
    "distillation": distillation,
}


def section(name: str) -> str:
    """The table and where it is from; says so when there is no result yet."""
    path = RESULTS / f"{name.partition(':')[0]}.json"
    if not path.exists():
        return "Not measured yet.\n"
    found = json.loads(path.read_text())
    if ":" in name:  # one of several tables of one result, the first of which says where it is from
        return "\n".join([*TABLES[name](found), ""])
    machine = found["machine"]
    origin = (
        f"`{found['command']}`, {machine['time'][:10]}, commit {machine['commit']}, "
        f"{machine['cores']} cores of {machine['processor']}, Python {machine['python']}, "
        f"grpcio {machine['packages']['grpcio']}. "
        f"Others took {machine['others']:.0%} of the processors."
    )
    return "\n".join([*TABLES[name](found), "", origin, ""])


def _spread(value: dict[str, float], unit: str = "") -> str:
    digits = 0 if value["median"] >= 20 else 2
    median, low, high = (f"{value[key]:.{digits}f}" for key in ("median", "low", "high"))
    return f"**{median}{unit}** ({low} to {high})"


def _outcomes(tally: Figures) -> str:
    refused = sum(tally["refused"].values())
    return (
        f"{tally['offered']:,}: {tally['answered']:,} answered ({tally['answered_wrongly']:,} wrongly), "
        f"{refused:,} refused, **{tally['lost']:,} lost**"
    )


def main() -> None:
    placed: set[str] = set()
    for page in PAGES:
        text, names = fill(page.read_text())
        page.write_text(text)
        placed.update(names)
    if missing := ", ".join(TABLES.keys() - placed):
        raise SystemExit(f"no page has a place for {missing}")


def fill(text: str) -> tuple[str, list[str]]:
    """A page with every table that it has a place for, and their names."""
    placed = []
    for name in TABLES:
        block = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if block.search(text):
            text = block.sub(lambda match, name=name: match[1] + section(name) + match[2], text)  # type: ignore[misc]
            placed.append(name)
    return text, placed


if __name__ == "__main__":
    main()

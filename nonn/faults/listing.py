"""`nonn faults list`: the scenarios that come with nonn."""

import argparse
import json

HELP = "show the scenarios that come with nonn, or every fault that a scenario may have"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--faults", action="store_true", help="the faults, and what they take")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    rows = _faults() if args.faults else _scenarios()
    if args.json:
        print(json.dumps(rows))
        return 0
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(
        "fault" if args.faults else "scenario",
        "what it does" if args.faults else "what it shows",
        box=SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    for name, text in rows.items():
        table.add_row(name, text)
    Console(highlight=False).print(table)
    if not args.faults:
        print("nonn faults run SCENARIO --on simulation | processes | compose")
    return 0


def _scenarios() -> dict[str, str]:
    from fault_lab.scenario import library

    return {name: scenario.summary for name, scenario in library().items()}


def _faults() -> dict[str, str]:
    from fault_lab.scenario import FAULTS
    from fault_lab.scenario.faults import AnyFault

    rows = {}
    for name, kind in FAULTS.items():
        own = [key for key in kind.model_fields if key not in AnyFault.model_fields]
        takes = f" ({', '.join(own)})" if own else ""
        rows[name] = f"{(kind.__doc__ or '').strip()}{takes}"
    return rows

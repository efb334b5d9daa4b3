"""`nonn doctor`: whether this machine can be a device, and what to do where it cannot."""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from nonn.commands import arguments

if TYPE_CHECKING:
    from nonn.doctor.findings import Finding

HELP = "examine this machine as a device, and say how to mend what is wrong"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Examine this machine as a device: system, Python, processor, ONNX Runtime, memory, disk, heat, "
        "clock, certificate and network, each with a fix. Ends with the code of the first problem (30 to "
        "39), or 0."
    )
    arguments.add_address(
        parser, None, "to compare clocks with, and to measure the way to; default: none is asked"
    )
    parser.add_argument(
        "--bundle", metavar="DIR", type=Path, help="whose self-test is to run here; default: none is run"
    )
    parser.add_argument(
        "--state", metavar="DIR", type=Path, help="as the device will be told; default: as the device's"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    from nonn.doctor.examination import Refused, examine, judge
    from nonn.doctor.findings import exit_code
    from protos import endpoints

    try:
        if args.aggregator is not None:
            endpoints.check_dialled(args.aggregator, insecure=args.insecure, tls=args.tls is not None)
    except ValueError as error:
        raise Refused(str(error), 2) from None
    findings = judge(examine(args.aggregator, args.tls, args.bundle, args.state))
    code = exit_code(findings)
    if args.json:
        print(json.dumps({"exit_code": code, "findings": list(map(_as_json, findings))}, indent=2))
    else:
        for finding in findings:
            _show(finding)
    return code


def _as_json(finding: "Finding") -> dict[str, object]:
    return {
        "kind": finding.kind.label,
        "code": finding.kind.value,
        "verdict": str(finding.verdict),
        "text": finding.text,
        "fix": finding.fix,
    }


def _show(finding: "Finding") -> None:
    print(f"{finding.verdict:9} {finding.kind.label:12} {finding.text}")
    if finding.fix:
        print(f"{'':22} -> {finding.fix}")

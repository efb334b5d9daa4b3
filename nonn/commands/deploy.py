"""`nonn deploy`: devices on boards, over ssh."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nonn.commands.arguments import positive_int, positive_seconds

if TYPE_CHECKING:
    from nonn.deploy.inventory import Host, Inventory
    from nonn.deploy.wheel import Wheel

HELP = "install, update or remove devices on boards over ssh, as an inventory file says"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "For each host of the inventory: see what is there, say what is missing, install this nonn into a "
        "virtual environment, hand out the device's certificate, run it as a systemd service, and wait until "
        "the aggregator sees it ready. What is as it should be stays untouched, so a second run changes "
        "nothing. A version that does not become ready is taken back. One bad host stops no other."
    )
    parser.epilog = (
        "Needs ssh without a password, and root or sudo without a password on the hosts. "
        "docs/how-to/deploy.md is the guide, docs/reference/inventory.md lists the inventory's keys."
    )
    parser.add_argument(
        "inventory", metavar="INVENTORY.toml", type=Path, help="the hosts, and how to reach them"
    )
    parser.add_argument("--check", action="store_true", help="say what would be done, and change nothing")
    parser.add_argument(
        "--remove",
        action="store_true",
        help="take away all that deploy made: service, programs, user, state, certificates",
    )
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="this host alone; may be repeated; default: all"
    )
    parser.add_argument(
        "--wheel", metavar="PATH", type=Path, help="install this one; default: the nonn that is running"
    )
    parser.add_argument(
        "--parallel", metavar="N", type=positive_int, default=8, help="hosts at a time; default: %(default)s"
    )
    waiting = parser.add_mutually_exclusive_group()
    waiting.add_argument(
        "--wait",
        metavar="SECONDS",
        type=positive_seconds,
        default=90.0,
        help="until a started device has to be ready; default: %(default)g",
    )
    waiting.add_argument(
        "--no-wait",
        action="store_true",
        help="start it and go: neither the aggregator nor a way back is needed",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON list and nothing else")


def run(args: argparse.Namespace) -> int:
    import asyncio
    import tempfile

    from nonn.deploy import report
    from nonn.deploy.errors import DeployFailed
    from nonn.deploy.read_inventory import load_inventory
    from nonn.deploy.rollout import Options, roll_out

    inventory = load_inventory(args.inventory)
    if inventory.certificates is not None and (inventory.certificates / "authority").exists():
        import cryptography  # noqa: F401  (what issues certificates; better missed now than half way)
    hosts = _chosen(inventory, args.only)
    options = Options(
        check=args.check,
        remove=args.remove,
        wait=None if args.no_wait else args.wait,
        parallel=args.parallel,
        say=_say,
    )
    with tempfile.TemporaryDirectory(prefix="nonn-deploy-") as folder:
        wheel = None if args.remove else _wheel(args.wheel, Path(folder))
        outcomes = asyncio.run(roll_out(inventory, hosts, wheel, options))
    if args.json:
        print(json.dumps(report.as_json(outcomes), indent=2))
    else:
        print("\n".join(report.lines(outcomes, check=args.check)))
    failed = [outcome.host for outcome in outcomes if not outcome.good]
    if failed:
        raise DeployFailed(f"{len(failed)} of {len(outcomes)} hosts failed: {', '.join(failed)}")
    return 0


def _chosen(inventory: "Inventory", names: list[str] | None) -> "tuple[Host, ...]":
    from nonn.errors import UsageError

    known = {host.name: host for host in inventory.hosts}
    for name in names or ():
        if name not in known:
            raise UsageError(f"--only {name}: the inventory's hosts are {', '.join(known)}")
    return inventory.hosts if names is None else tuple(known[name] for name in dict.fromkeys(names))


def _wheel(path: Path | None, folder: Path) -> "Wheel":
    from nonn.deploy.wheel import make_wheel, read_wheel

    return make_wheel(folder) if path is None else read_wheel(path)


def _say(host: str, what: str) -> None:
    print(f"{host}: {what}", file=sys.stderr, flush=True)

"""`nonn certs`: the certificates of a cluster, from an authority of its own."""

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nonn.authority import Authority
    from nonn.register import Entry

HELP = "issue, revoke and list the certificates of a cluster"

_DIR = Path("certs")
_DAYS = 730


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(
        title="actions", metavar="ACTION", dest="action", required=True, help="see `nonn certs ACTION --help`"
    )
    init = actions.add_parser(
        "init", help="make an authority, and the aggregator's certificate", allow_abbrev=False
    )
    init.add_argument("dir", metavar="DIR", type=Path, nargs="?", default=_DIR, help="default: %(default)s")
    _add_issue(init, hosts=True)
    again = actions.add_parser(
        "aggregator",
        help="issue the aggregator's certificate again, for more names or a longer time",
        allow_abbrev=False,
    )
    _add_dir(again)
    _add_issue(again, hosts=True)
    for role, may in (
        ("device", "join and serve"),
        ("client", "ask for predictions and the status"),
        ("operator", "do what a client may, and load another bundle"),
    ):
        child = actions.add_parser(role, help=f"issue a certificate to {may}", allow_abbrev=False)
        child.add_argument("name", metavar="NAME", help="letters, digits, '.', '_' and '-', 63 at the most")
        _add_dir(child)
        _add_issue(child, hosts=False)
        child.add_argument(
            "--renew", action="store_true", help="though the name has one, which goes on to work"
        )
    revoke = actions.add_parser(
        "revoke", help="let the certificates of a name connect no more", allow_abbrev=False
    )
    revoke.add_argument("name", metavar="NAME", help="as it was issued to")
    _add_dir(revoke)
    listing = actions.add_parser("list", help="show all that were issued", allow_abbrev=False)
    _add_dir(listing)
    listing.add_argument("--json", action="store_true", help="print one JSON list")


def run(args: argparse.Namespace) -> int:
    # Before anything of ours loads, so that a missing package is what is said to be wrong.
    import cryptography  # noqa: F401

    from nonn.authority import Authority
    from nonn.issuing import check_days, check_host

    if "days" in args:
        check_days(args.days)
    for host in getattr(args, "host", None) or ():
        check_host(host)
    now = datetime.now(UTC).replace(microsecond=0)
    authority = Authority.create(args.dir, now) if args.action == "init" else Authority(args.dir)
    with authority.held():
        if args.action == "list":
            _list(authority.entries().entries, now, as_json=args.json)
        elif args.action == "revoke":
            _revoke(authority, args.name, now)
        else:
            _issue(authority, args, now)
    return 0


def _issue(authority: "Authority", args: argparse.Namespace, now: datetime) -> None:
    from nonn.authority import AGGREGATOR
    from protos.certificate import Role

    if args.action in ("init", AGGREGATOR):
        folder, entry = authority.issue(
            AGGREGATOR, Role.AGGREGATOR, now, days=args.days, hosts=args.host or []
        )
        print(f"{folder}: for `nonn aggregator --tls`, which can be dialled as {', '.join(entry.hosts)}")
    else:
        role = Role(args.action)
        folder, entry = authority.issue(args.name, role, now, days=args.days, renew=args.renew)
        print(f"{folder}: hand this folder to the {role}, over a way that you trust, for its --tls")
        print(f"the aggregator knows it from {authority.folder / AGGREGATOR / 'allowed.json'}")
    print(f"valid until {entry.valid_until:%Y-%m-%d}")


def _revoke(authority: "Authority", name: str, now: datetime) -> None:
    revoked = authority.revoke(name, now)
    for entry in revoked:
        print(f"revoked the {entry.role} {name}, serial {entry.serial}")
    if not revoked:
        print(f"{name} had been revoked before")
    print(f"an aggregator that uses {authority.folder / 'aggregator'} cuts it off within seconds")


def _list(entries: "tuple[Entry, ...]", now: datetime, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([_as_json(entry, now) for entry in entries], indent=2))
        return
    rows = [("NAME", "ROLE", "VALID UNTIL", "STATE", "SERIAL")]
    rows += [
        (entry.name, str(entry.role), f"{entry.valid_until:%Y-%m-%d}", _state(entry, now), entry.serial)
        for entry in entries
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _as_json(entry: "Entry", now: datetime) -> dict[str, Any]:
    return {
        "name": entry.name,
        "role": str(entry.role),
        "serial": entry.serial,
        "fingerprint": entry.fingerprint,
        "issued": entry.issued.isoformat(),
        "valid_until": entry.valid_until.isoformat(),
        "revoked": None if entry.revoked is None else entry.revoked.isoformat(),
        "state": _state(entry, now),
    }


def _state(entry: "Entry", now: datetime) -> str:
    if entry.revoked is not None:
        return f"revoked {entry.revoked:%Y-%m-%d}"
    return "good" if entry.good(now) else "expired"


def _add_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dir", metavar="DIR", type=Path, default=_DIR, help="the authority's folder; default: %(default)s"
    )


def _add_issue(parser: argparse.ArgumentParser, *, hosts: bool) -> None:
    from nonn.commands.arguments import positive_int

    parser.add_argument(
        "--days", metavar="N", type=positive_int, default=_DAYS, help="of validity; default: %(default)s"
    )
    if hosts:
        parser.add_argument(
            "--host",
            metavar="NAME_OR_IP",
            action="append",
            help="what devices and clients dial, besides localhost and this machine's name; may be repeated",
        )

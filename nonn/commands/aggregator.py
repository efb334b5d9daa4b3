"""`nonn aggregator`: the cluster's front, until told to stop."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aggregator import Settings

HELP = "serve a bundle: devices join it, clients ask it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bundle", metavar="DIR", type=Path, required=True, help="what `nonn build` made")
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default="127.0.0.1:7560",
        help="port 0: any that is free; default: %(default)s",
    )
    parser.add_argument(
        "--tls",
        metavar="DIR",
        type=Path,
        help="let in only who has a certificate: the folder `aggregator` that `nonn certs init` made",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="listen for other machines in plain text: for networks that you trust",
    )
    parser.add_argument(
        "--heal-after",
        metavar="SECONDS",
        type=_seconds_or_never,
        default=30.0,
        help="how long a lost device's students wait for it before others take them over, or `never`; "
        "default: 30",
    )
    parser.add_argument(
        "--window", metavar="N", type=int, default=2, help="works in flight to a device; default: %(default)s"
    )
    parser.add_argument(
        "--max-batch", metavar="N", type=int, default=64, help="images in a work; default: %(default)s"
    )
    parser.add_argument(
        "--queue", metavar="N", type=int, default=256, help="requests that may wait; default: %(default)s"
    )
    parser.add_argument(
        "--deadline",
        metavar="SECONDS",
        type=float,
        default=2.0,
        help="for requests that name none; default: %(default)s",
    )
    parser.add_argument(
        "--ping",
        metavar="SECONDS",
        type=float,
        default=1.0,
        help="between pings; after three without a sign of life a device is suspect; default: %(default)s",
    )
    parser.add_argument(
        "--policy",
        metavar="POLICY",
        default="all",
        help="when to answer: `all` (students that are served), `covered` (one student of each part), or "
        "`quorum=N` (so many students); default: %(default)s",
    )


def run(args: argparse.Namespace) -> int:
    import logging
    import os

    # Before numpy loads. More threads make the systems that ridge solves slower: 20 to 340 ms instead of 10.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from aggregator import Aggregator, serve
    from bundle import Bundle

    # One line on stderr for each change of state.
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    aggregator = Aggregator(
        Bundle.load(args.bundle), settings(args), listen=args.listen, insecure=args.insecure, tls=args.tls
    )
    serve(aggregator, lambda address: print(f"listening on {address}", flush=True))
    return 0


def settings(args: argparse.Namespace) -> "Settings":
    from aggregator import Policy, Settings

    return Settings(
        window=args.window,
        max_batch=args.max_batch,
        queue=args.queue,
        default_deadline=args.deadline,
        ping=args.ping,
        heal=args.heal_after,
        policy=Policy.parse(args.policy),
    )


def _seconds_or_never(text: str) -> float | None:
    if text == "never":
        return None
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is neither a number of seconds nor `never`") from None

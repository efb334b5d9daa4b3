"""Arguments that several commands share."""

import argparse
import math
from pathlib import Path


def add_address(
    parser: argparse.ArgumentParser,
    default: str | None = "127.0.0.1:7560",
    explained: str = "default: %(default)s",
) -> None:
    """--aggregator, --tls and --insecure, of everything that dials."""
    parser.add_argument("--aggregator", metavar="HOST:PORT", default=default, help=explained)
    parser.add_argument(
        "--tls",
        metavar="DIR",
        type=Path,
        help="ca.pem, cert.pem and key.pem, as `nonn certs` hands them out; default: plain text",
    )
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="talk in plain text to an aggregator on another machine: for networks that you trust",
    )


def add_deadline(parser: argparse.ArgumentParser) -> None:
    """--deadline, of the commands that ask a cluster."""
    parser.add_argument(
        "--deadline",
        type=positive_seconds,
        default=2.0,
        metavar="SECONDS",
        help="for each answer; default: %(default)s",
    )


def positive_int(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no positive whole number")
    return int(text)


def positive_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no positive number of seconds")
    return seconds

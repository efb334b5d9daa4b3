"""The command line's frame: finds the sub-command, runs it, turns any failure into one line and an exit code.

A sub-command is a module nonn/commands/<name>.py (- as _) with `HELP: str`, `add_arguments(parser)` and
`run(args) -> int`. Only the module that was asked for is imported (all of them for `nonn --help`), so that a
device starts fast and needs no package of the other commands. Exit codes: docs/reference/exit-codes.md.
"""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, Protocol, cast

from protos import engine

COMMANDS = (
    "demo",
    "build",
    "partition",
    "distill",
    "export",
    "evaluate",
    "quantize",
    "plan",
    "aggregator",
    "device",
    "predict",
    "status",
    "reload",
    "doctor",
    "benchmark-device",
    "certs",
    "deploy",
    "cluster",
    "faults",
)
UNEXPECTED, USAGE, INTERRUPTED, READER_GONE = 1, 2, 130, 141

# Which extra brings which importable package.
_EXTRAS = {
    "PIL": "client",
    "cryptography": "certs",
    "pydantic": "build",
    "rich": "client",
    "matplotlib": "build",
    "networkx": "build",
    "onnx": "build",
    "onnxscript": "build",
    "safetensors": "build",
    "scipy": "build",
    "sklearn": "build",
    "torch": "build",
}


class Command(Protocol):
    """What a module in nonn/commands offers."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


class _Parser(argparse.ArgumentParser):
    """Says usage errors in one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog.replace(' ', ': ')}: {message} (see `{self.prog} --help`)\n")


def load_command(name: str) -> Command:
    return cast(Command, importlib.import_module(f"nonn.commands.{name.replace('-', '_')}"))


def build_parser(names: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser with these sub-commands; imports their modules."""
    from nonn import __version__

    parser = _Parser(
        prog="nonn",
        description="One neural network run by many small devices that may fail at any time.",
        epilog="`nonn COMMAND --help` describes a command. NONN_DEBUG=1 shows tracebacks.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"nonn {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for name in names:
        command = load_command(name)
        child = commands.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        command.add_arguments(child)
        child.set_defaults(run=command.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Used by the `nonn` script and `python -m nonn`."""
    # ONNX Runtime would report its use to its makers, and complain where it cannot.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    engine.configure()
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output (`| head`) has seen enough; the interpreter must not flush it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_GONE
    except Exception as error:
        return _report(error)


def _run(arguments: list[str]) -> int:
    named = arguments[:1] if arguments and arguments[0] in COMMANDS else COMMANDS
    try:
        args = build_parser(named).parse_args(arguments)
    except SystemExit as stop:  # argparse has answered --help or --version, or has said what is wrong
        return stop.code if isinstance(stop.code, int) else 0
    code: int = args.run(args)
    return code


def _report(error: Exception) -> int:
    if isinstance(error, ModuleNotFoundError):
        error = _missing_extra(error)
    if os.environ.get("NONN_DEBUG"):
        traceback.print_exception(error)
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        print(f"nonn: {_one_line(str(error))}", file=sys.stderr)
        return code
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(frame.filename).name}:{frame.lineno}"
    print(
        f"nonn: unexpected {type(error).__name__} at {where}: {_one_line(str(error))} "
        "(this is a fault of nonn; NONN_DEBUG=1 shows the traceback)",
        file=sys.stderr,
    )
    return UNEXPECTED


def _missing_extra(error: ModuleNotFoundError) -> Exception:
    from nonn.errors import MissingExtra

    package = (error.name or "").partition(".")[0]
    return MissingExtra("this command", package, _EXTRAS[package]) if package in _EXTRAS else error


def _one_line(text: str) -> str:
    return " ".join(text.split())

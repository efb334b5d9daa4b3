"""The frame of the command line: exit codes, one line for each failure, quiet ends."""

import argparse
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

import nonn.cli
from bundle.errors import StorageError
from nonn.cli import COMMANDS, build_parser, load_command, main


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A command in place of all others; tests set its `run`."""
    fake = SimpleNamespace(HELP="for tests", add_arguments=lambda parser: None, run=lambda args: 0)
    monkeypatch.setattr(nonn.cli, "load_command", lambda name: fake)
    monkeypatch.delenv("NONN_DEBUG", raising=False)
    return fake


def raising(error: BaseException) -> object:
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


def test_the_code_of_the_command_is_the_code_of_the_program(command: SimpleNamespace) -> None:
    command.run = lambda args: 5
    assert main(["demo"]) == 5


def test_a_known_error_is_one_line_and_its_code(
    command: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    command.run = raising(StorageError("cannot write /nowhere:\n  no such folder"))
    assert main(["demo"]) == 8
    assert capsys.readouterr() == ("", "nonn: cannot write /nowhere: no such folder\n")


def test_an_unexpected_error_shows_its_place_and_no_traceback(
    command: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    command.run = raising(KeyError("surprise"))
    assert main(["demo"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "unexpected KeyError at test_cli.py" in error
    assert "NONN_DEBUG=1" in error


def test_debug_shows_the_traceback(
    command: SimpleNamespace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NONN_DEBUG", "1")
    command.run = raising(StorageError("full disk"))
    assert main(["demo"]) == 8
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_an_interrupt_is_130_and_quiet(command: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> None:
    command.run = raising(KeyboardInterrupt())
    assert main(["demo"]) == 130
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("arguments", [["--wrong"], ["nothing"], [], ["predict", "--wrong"]])
def test_wrong_usage_is_one_line_and_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.count("\n") == 1
    assert "--help" in error


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"nonn {nonn.__version__}\n"


def test_a_reader_that_leaves_early_is_no_failure_to_speak_of() -> None:
    # Unbuffered, argparse itself would swallow the error.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(
        [sys.executable, "-m", "nonn", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=buffered
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process:
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    help_line = load_command(name).HELP
    assert help_line
    assert "\n" not in help_line
    assert len(help_line) <= 100, "the root's help shows it beside those of all others"
    assert main([name, "--help"]) == 0
    assert f"usage: nonn {name}" in capsys.readouterr().out
    parser = argparse.ArgumentParser()
    load_command(name).add_arguments(parser)
    assert [action.dest for action in parser._actions if not action.help] == []


def test_the_root_help_lists_every_command() -> None:
    listed = re.findall(r"^    ([\w-]+)(?: |$)", build_parser().format_help(), re.MULTILINE)
    assert tuple(listed) == COMMANDS

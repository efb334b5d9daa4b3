"""`nonn export`: one step of a build."""

import argparse

from nonn.commands import build

HELP = "export the students to ONNX and write the bundle: the last step of a build"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "One step of `nonn build`; it leaves the bundle in the work folder."
    build.add_experiment(parser)
    build.add_output(parser)


def run(args: argparse.Namespace) -> int:
    from student_builder import RichProgress, run_step

    run_step("export", build.read(args), args.work, args.output, RichProgress())
    return 0

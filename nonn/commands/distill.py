"""`nonn distill`: one step of a build."""

import argparse

from nonn.commands import build

HELP = "train one student for each part and replica: the second step of a build"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = "One step of `nonn build`; it leaves the students' weights in the work folder."
    build.add_experiment(parser)


def run(args: argparse.Namespace) -> int:
    from student_builder import RichProgress, run_step

    run_step("distill", build.read(args), args.work, progress=RichProgress())
    return 0

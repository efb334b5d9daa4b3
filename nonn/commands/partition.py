"""`nonn partition`: one step of a build."""

import argparse

from nonn.commands import build

HELP = "split the teacher's filters into parts: the first step of a build"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "One step of `nonn build`; it leaves the filter graph, the parts and a picture in the work folder."
    )
    build.add_experiment(parser)


def run(args: argparse.Namespace) -> int:
    from student_builder import RichProgress, run_step

    run_step("partition", build.read(args), args.work, progress=RichProgress())
    return 0

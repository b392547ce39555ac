"""The command line: ``fastloss compare``, ``fastloss train-embedding``, ``fastloss info``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastloss._config import show_config
from fastloss._threads import set_num_threads
from fastloss._version import __version__

EXTRAS = ("scipy", "sklearn", "matplotlib", "rich")
MISSING = (
    "fastloss {} needs scipy, scikit-learn, matplotlib and rich: "
    'pip install "fastloss[demo]"'
)
MAX_SEED = 2**32 - 1  # scikit-learn's largest random_state


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default those of the process.

    Returns
    -------
    int
        Exit status: 0, 1 if a result could not be written, 2 for arguments or an installation
        that cannot work, 130 after Ctrl-C.

    Raises
    ------
    SystemExit
        From argparse, for ``--help``, ``--version`` and invalid arguments.

    Examples
    --------
    >>> main(["--version"])
    Traceback (most recent call last):
    SystemExit: 0
    """
    parser, of_command = _parsers()
    arguments = parser.parse_args(argv)
    if arguments.command is None:
        parser.print_help()
        return 2
    if arguments.command == "info":
        show_config()
        return 0
    try:
        if arguments.threads is not None:
            set_num_threads(arguments.threads)
        return _demo(of_command[arguments.command], arguments)
    except KeyboardInterrupt:
        return 130
    finally:
        if arguments.threads is not None:
            set_num_threads(None)


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser of the program and those of its commands on real data."""
    settings: dict[str, Any] = {
        "formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False,
    }
    parser = argparse.ArgumentParser(
        prog="fastloss",
        description="Loss functions for NumPy arrays: value, gradient and curvature in one fused, "
        "parallel pass.",
        epilog="example:\n"
        "  fastloss compare --output losses.png    the losses at work on real data, as a table\n"
        "                                          and a picture\n"
        "  fastloss train-embedding                the same of losses of embeddings\n",
        **settings,
    )
    parser.add_argument("--version", action="version", version=f"fastloss {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    compare = commands.add_parser(
        "compare",
        help="fit small models to real data with fastloss and with NumPy; draw the losses",
        description="Fit small linear models to data sets that ship with scikit-learn, each with "
        "SciPy's L-BFGS once on fastloss and once on its NumPy reference. Print how well they do "
        "on held-out data, how long the losses took and how far the two fits differ; draw the "
        "losses and the outcome.",
        epilog="example:\n  fastloss compare --seed 1 --output losses.png --json losses.json\n",
        **settings,
    )
    _add_options(compare, "comparison.png", "fewer pairs and iterations: a few seconds")
    embedding = commands.add_parser(
        "train-embedding",
        help="learn embeddings of digits with four losses of pairs; draw them",
        description="Learn to map scikit-learn's digits to a few numbers each, so that images of "
        "the same digit are near each other: with the contrastive, triplet, NT-Xent and SupCon "
        "losses, by mini-batch gradient descent in NumPy. Print how often the nearest neighbour "
        "of a held-out image is the same digit, before and after, and how long it took; draw the "
        "held-out images before and after.",
        epilog="example:\n  fastloss train-embedding --seed 1 --output digits.png\n",
        **settings,
    )
    _add_options(embedding, "embedding.png", "fewer random features and epochs: a few seconds")
    commands.add_parser(
        "info", help="version, SIMD level and threads in use",
        description="Print version, SIMD level, OpenMP and thread counts.",
    )
    return parser, {"compare": compare, "train-embedding": embedding}


def _add_options(parser: argparse.ArgumentParser, picture: str, quick: str) -> None:
    parser.add_argument("--seed", type=_whole(0, MAX_SEED), default=0, metavar="N",
                        help="of the split into training and held-out data, and of all else that "
                        "is random (default: 0)")
    parser.add_argument("--threads", type=_whole(1, None), default=None, metavar="N",
                        help="largest number of threads of the losses; results do not depend on "
                        "it (default: what fastloss info says)")
    parser.add_argument("--output", type=Path, default=Path(picture), metavar="FILE",
                        help=f"where the picture goes (default: {picture})")
    parser.add_argument("--json", type=Path, default=None, metavar="FILE",
                        help="write all numbers to this file, too")
    parser.add_argument("--quick", action="store_true", help=quick)


def _whole(low: int, high: int | None) -> Callable[[str], int]:
    """Return a converter of text to integers from low to high."""
    expected = f"of at least {low}" if high is None else f"from {low} to {high}"

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"must be an integer {expected}, got {text!r}")
        return value

    return convert


def _demo(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Run a command on real data."""
    command: Any  # a module with `run`
    report: Any  # and one for what comes out of it
    try:
        from fastloss import _output

        if arguments.command == "compare":
            from fastloss import _report as report
            from fastloss import compare as command
        else:
            from fastloss import _embedding_report as report
            from fastloss import train_embedding as command
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS:
            raise
        print(MISSING.format(arguments.command), file=sys.stderr)
        return 2

    output, json = arguments.output, arguments.json
    formats = _output.picture_formats()
    if output.suffix.lower().lstrip(".") not in formats:
        parser.error(f"argument --output: the name must end in .{' or .'.join(formats)}, "
                     f"got {str(output)!r}")
    if json is not None and json.resolve() == output.resolve():
        parser.error(f"arguments --output and --json name the same file: {str(json)!r}")
    for option, path in (("--output", output), ("--json", json)):
        if path is not None:
            reason = _why_not_writable(path)
            if reason:
                parser.error(f"argument {option}: cannot write {str(path)!r}: {reason}")

    options = {"seed": arguments.seed, "quick": arguments.quick}
    with _output.progress() as advance:
        results = command.run(**options, progress=advance)
    try:
        report.write_picture(results, output)
        if json is not None:
            report.write_json(results, json, **options)
    except OSError as error:  # a full disk, say
        print(f"fastloss {arguments.command}: {error}", file=sys.stderr)
        return 1
    try:
        report.print_table(results)
        print(f"picture: {output}", *([f"numbers: {json}"] if json is not None else []), sep="\n")
        sys.stdout.flush()
    except BrokenPipeError:  # as in `fastloss compare | head -3`; the files are written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _why_not_writable(path: Path) -> str:
    """Return why a file cannot be written, or nothing; a file that was not there still is not."""
    existed = os.path.lexists(path)
    try:
        with open(path, "ab"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:  # a null character in the name
        return str(error)
    return ""

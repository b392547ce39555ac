"""The command line: ``fastloss compare``, ``fastloss info``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fastloss._config import show_config
from fastloss._version import __version__

EXTRAS = ("scipy", "sklearn", "matplotlib", "rich")
MISSING = (
    "fastloss compare needs scipy, scikit-learn, matplotlib and rich: "
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
    parser, compare_parser = _parsers()
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "info":
            show_config()
            return 0
        if arguments.command == "compare":
            return _compare(compare_parser, arguments)
    except KeyboardInterrupt:
        return 130
    parser.print_help()
    return 2


def _parsers() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """Return the parser of the program and that of compare."""
    parser = argparse.ArgumentParser(
        prog="fastloss",
        description="Loss functions for NumPy arrays: value, gradient and curvature in one fused, "
        "parallel pass.",
        epilog="example:\n"
        "  fastloss compare --output losses.png    the losses at work on real data, as a table\n"
        "                                          and a picture\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
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
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    compare.add_argument("--seed", type=_seed, default=0, metavar="N",
                         help="of the split into training and held-out data (default: 0)")
    compare.add_argument("--output", type=Path, default=Path("comparison.png"), metavar="FILE",
                         help="where the picture goes (default: comparison.png)")
    compare.add_argument("--json", type=Path, default=None, metavar="FILE",
                         help="write all numbers to this file, too")
    compare.add_argument("--quick", action="store_true",
                         help="fewer pairs and iterations: a few seconds")
    commands.add_parser(
        "info", help="version, SIMD level and threads in use",
        description="Print version, SIMD level, OpenMP and thread counts.",
    )
    return parser, compare


def _seed(text: str) -> int:
    try:
        seed = int(text)
    except ValueError:
        seed = -1
    if not 0 <= seed <= MAX_SEED:
        raise argparse.ArgumentTypeError(
            f"must be an integer from 0 to {MAX_SEED}, got {text!r}"
        )
    return seed


def _compare(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    try:
        from fastloss import _report, compare
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS:
            raise
        print(MISSING, file=sys.stderr)
        return 2

    output, json = arguments.output, arguments.json
    formats = _report.picture_formats()
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

    with _report.progress() as advance:
        results = compare.run(arguments.seed, quick=arguments.quick, progress=advance)
    try:
        _report.write_picture(results, output)
        if json is not None:
            _report.write_json(results, json, seed=arguments.seed, quick=arguments.quick)
    except OSError as error:  # a full disk, say
        print(f"fastloss compare: {error}", file=sys.stderr)
        return 1
    try:
        _report.print_table(results)
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

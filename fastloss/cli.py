"""The command line: ``fastloss compare``, ``train-embedding``, ``eval`` and ``info``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fastloss._config import show_config
from fastloss._core.threads import set_num_threads
from fastloss._version import __version__
from fastloss.commands.columns import ROWS_ARE

EXTRAS = ("scipy", "sklearn", "matplotlib", "rich")
MISSING = (
    "fastloss {} needs scipy, scikit-learn, matplotlib and rich: "
    'pip install "fastloss[demo]"'
)
EVAL_EXTRAS = ("pyarrow", "rich")
EVAL_MISSING = 'fastloss eval needs pyarrow and rich: pip install "fastloss[eval]"'
STDOUT = Path("-")  # as an object: a path "./-" is a file
MAX_SEED = 2**32 - 1  # scikit-learn's largest random_state


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments without the program's name; by default the arguments of the process.

    Returns
    -------
    int
        Exit status: 0, 1 if data could not be read or a result not written, 2 for arguments or
        an installation that cannot work, 130 after Ctrl-C.

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
        command = _eval if arguments.command == "eval" else _demo
        return command(of_command[arguments.command], arguments)
    except KeyboardInterrupt:
        return 130
    finally:
        if arguments.threads is not None:
            set_num_threads(None)


def _parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """Return the parser of the program, and the parsers of its commands on data."""
    settings: dict[str, Any] = {
        "formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False,
    }
    parser = argparse.ArgumentParser(
        prog="fastloss",
        description="Loss functions for NumPy arrays: value, gradient and curvature in fused, "
        "parallel passes.",
        epilog="example:\n"
        "  fastloss compare --output losses.png    the losses at work on real data, as a table\n"
        "                                          and a picture\n"
        "  fastloss train-embedding                the same of losses of embeddings\n"
        "  fastloss eval DATA --loss log           a loss of the predictions in a file\n",
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
        help="learn embeddings of digits with four losses; draw them",
        description="Learn to map scikit-learn's digits to a few numbers each, so that images of "
        "the same digit are near each other: with the contrastive, triplet, NT-Xent and SupCon "
        "losses, by mini-batch gradient descent in NumPy. Print how often the nearest neighbour "
        "of a held-out image is the same digit, before and after, and how long it took; draw the "
        "held-out images before and after.",
        epilog="example:\n  fastloss train-embedding --seed 1 --output digits.png\n",
        **settings,
    )
    _add_options(embedding, "embedding.png", "fewer random features and epochs: a few seconds")
    evaluate = commands.add_parser(
        "eval",
        help="compute a loss of the predictions in a file, overall and by group",
        description="Compute a loss of the predictions in a file, in batches: memory does not "
        "grow with the file. Print its value, the number of rows and the sum of their weights, "
        "overall and by group. Missing numbers are errors; missing groups form one group. Values "
        "that the loss is not meant for, such as labels 1 and 2, per cent or nan, are errors too, "
        f"unless --no-check is given. Errors name rows: {ROWS_ARE}, without a header.",
        epilog="examples:\n  fastloss eval scores.parquet --loss contrastive --param margin=0.5 "
        "--by country\n  zcat scores.csv.gz | fastloss eval - --loss log --loss squared "
        "--by country --by year --json -\n",
        **settings,
    )
    _add_eval_options(evaluate)
    commands.add_parser(
        "info", help="version, SIMD level and threads in use",
        description="Print version, SIMD level, OpenMP and thread counts.",
    )
    return parser, {"compare": compare, "train-embedding": embedding, "eval": evaluate}


def _add_options(parser: argparse.ArgumentParser, picture: str, quick: str) -> None:
    parser.add_argument("--seed", type=_whole(0, MAX_SEED), default=0, metavar="N",
                        help="seed of the split into training and held-out data, and of all other "
                        "random choices (default: 0)")
    _add_common_options(parser)
    parser.add_argument("--output", type=Path, default=Path(picture), metavar="FILE",
                        help=f"file to draw the picture to (default: {picture})")
    parser.add_argument("--quick", action="store_true", help=quick)


def _add_eval_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA",
                        help="the file: .parquet, .pq, .csv, .tsv, .csv.gz, .tsv.gz, .arrow, "
                        ".arrows, .ipc or .feather with named columns; .npy with a structured "
                        "array (its fields are the columns) or a matrix (its columns are named "
                        "0, 1, ...); or - for any of these on the standard input")
    parser.add_argument("--loss", required=True, action="append", metavar="NAME",
                        help="a pointwise loss or cross_entropy, named as log, log_loss or "
                        "LogLoss; give the option again for more: the file is read once")
    parser.add_argument("--y-true", default="y_true", metavar="COLUMN",
                        help="the targets (default: y_true)")
    parser.add_argument("--y-pred", action="append", metavar="COLUMN",
                        help="the predictions (default: y_pred); for cross_entropy a column of "
                        "lists, or this option once for the column of each class")
    parser.add_argument("--weight", metavar="COLUMN", help="weights of the rows")
    parser.add_argument("--by", action="append", metavar="COLUMN",
                        help="groups of the rows; give the option again for more columns: their "
                        "values together are the group")
    parser.add_argument("--param", action="append", default=[], metavar="NAME=VALUE",
                        help="a parameter, set in each loss that has it; give the option again for "
                        "more parameters")
    parser.add_argument("--no-check", dest="check", action="store_false",
                        help="accept values that the loss is not meant for")
    _add_common_options(parser)


def _add_common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=_whole(1, None), default=None, metavar="N",
                        help="largest number of threads of the losses; results do not depend on "
                        "it (default: the number that fastloss info prints)")
    parser.add_argument("--json", type=lambda text: STDOUT if text == "-" else Path(text),
                        default=None, metavar="FILE",
                        help="also write all numbers to this file; - writes them to the standard "
                        "output in place of the table")


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
    command: Any  # the module with `run`
    report: Any  # the module that prints and draws the results
    try:
        from fastloss.commands import output

        if arguments.command == "compare":
            from fastloss.commands import compare as command
            from fastloss.commands import compare_report as report
        else:
            from fastloss.commands import embedding_report as report
            from fastloss.commands import train_embedding as command
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRAS:
            raise
        print(MISSING.format(arguments.command), file=sys.stderr)
        return 2

    picture, json = arguments.output, arguments.json
    formats = output.picture_formats()
    if picture.suffix.lower().lstrip(".") not in formats:
        parser.error(f"argument --output: the name must end in .{' or .'.join(formats)}, "
                     f"got {str(picture)!r}")
    if json is not None and os.path.realpath(json) == os.path.realpath(picture):
        parser.error(f"arguments --output and --json name the same file: {str(json)!r}")
    for option, path in (("--output", picture), ("--json", json)):
        if path is not None and path is not STDOUT:
            reason = _why_not_writable(path)
            if reason:
                parser.error(f"argument {option}: cannot write {str(path)!r}: {reason}")

    options = {"seed": arguments.seed, "quick": arguments.quick}
    with output.progress() as advance:
        results = command.run(**options, progress=advance)
    try:
        report.write_picture(results, picture)
        if json is not None and json is not STDOUT:
            report.write_json(results, json, **options)
    except OSError as error:  # a full disk, say
        print(f"fastloss {arguments.command}: {error}", file=sys.stderr)
        return 1
    if json is STDOUT:
        return _hand_over(lambda: report.write_json(results, None, **options), None)
    return _hand_over(lambda: report.print_table(results), json, f"picture: {picture}")


def _eval(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    """Compute losses of the predictions in a file."""
    try:
        from fastloss.commands import by_name, evaluate, output
        from fastloss.commands.columns import Columns
        from fastloss.commands.datafile import DataFile
        from fastloss.commands.formats import DataError
        from fastloss.stream import DomainError
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EVAL_EXTRAS:
            raise
        print(EVAL_MISSING, file=sys.stderr)
        return 2

    path, json = arguments.data, arguments.json
    scores, by = arguments.y_pred or ["y_pred"], arguments.by
    columns = Columns(arguments.y_true, scores[0] if len(scores) == 1 else scores,
                      arguments.weight, by[0] if by and len(by) == 1 else by)
    try:
        losses = by_name.losses_of(arguments.loss, arguments.param)
        if losses[0].reduction == "none":
            raise ValueError("reduction='none' has no value")
    except (TypeError, ValueError, OverflowError) as error:
        parser.error(f"arguments --loss, --param: {error}")
    if json is not None and json is not STDOUT:
        reason = _why_not_writable(json)
        if reason:
            parser.error(f"argument --json: cannot write {str(json)!r}: {reason}")
        if os.path.realpath(json) == os.path.realpath(path):
            parser.error(f"argument --json names the data: {str(json)!r}")
    try:
        data = DataFile(path, columns)
    except DataError as error:
        parser.error(f"argument DATA: {error}")
    try:
        with data, output.progress() as advance:
            results = evaluate.run(data, losses, check=arguments.check, progress=advance)
    except (OSError, TypeError, ValueError) as error:
        more = "; --no-check leaves out this check" if isinstance(error, DomainError) else ""
        print(f"fastloss eval: {error} ({ROWS_ARE}{more})", file=sys.stderr)
        return 1
    if json is STDOUT:
        return _hand_over(lambda: evaluate.write_json(results, None, data), None)
    if json is not None:
        try:
            evaluate.write_json(results, json, data)
        except OSError as error:
            print(f"fastloss eval: {error}", file=sys.stderr)
            return 1
    return _hand_over(lambda: evaluate.print_tables(results, columns), json)


def _hand_over(print_table: Callable[[], None], json: Path | None, *lines: str) -> int:
    """Print a table and the names of the files that were written."""
    try:
        print_table()
        for line in (*lines, *([f"numbers: {json}"] if json is not None else [])):
            print(line)
        print(end="", flush=True)  # which takes a closed standard output, too
    except (OSError, UnicodeEncodeError) as error:  # a full disk; letters the terminal lacks
        # what is left in the buffer would fail once more at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):  # as in `fastloss compare | head -3`
            return 0    # the files are written
        print(f"fastloss: cannot print the table: {error}", file=sys.stderr)
        return 1
    return 0


def _why_not_writable(path: Path) -> str:
    """Return why a file cannot be written, or nothing; a file that was not there still is not."""
    existed = os.path.lexists(path)
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            return ""  # a pipe's reader would take the trial for all there is
        with open(path, "ab"):
            pass
        if not existed:
            path.unlink()
    except OSError as error:
        return error.strerror or str(error)
    except ValueError as error:  # a null character in the name
        return str(error)
    return ""

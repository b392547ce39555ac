"""``fastloss eval`` in this process, and what it must give."""

import contextlib
import io
import json

import numpy as np

from fastloss import cli

EPS = np.finfo(float).eps


def run(folder, *arguments):
    """Run ``fastloss eval`` in a folder; return status, output and errors."""
    out, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors), \
            contextlib.chdir(folder):
        try:
            status = cli.main(["eval", *map(str, arguments)])
        except SystemExit as left:
            status = left.code
    return status, out.getvalue(), errors.getvalue()


def record(folder, *arguments):
    """Return what ``fastloss eval --json -`` prints, after a success."""
    status, out, errors = run(folder, *arguments, "--json", "-")
    assert (status, errors) == (0, ""), errors
    return json.loads(out)


def refusal(folder, *arguments, status=1):
    """Return the one line that says what is wrong."""
    left, out, errors = run(folder, *arguments)
    assert (left, out) == (status, ""), (left, out, errors)
    assert "Traceback" not in errors
    assert "\x1b" not in errors
    return errors.splitlines()[-1]

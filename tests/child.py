"""Python in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import fastloss


def run_python(code, cwd, *arguments, timeout=60, **environment):
    """Run code that imports the package under test; return what it printed.

    The code runs with the CPUs of this process and the settings of threads it is given, in a
    folder where no checkout is found first.
    """
    package = str(Path(fastloss.__file__).parents[1])
    inherited = {name: value for name, value in os.environ.items()
                 if name not in ("FASTLOSS_NUM_THREADS", "OMP_NUM_THREADS")}
    path = os.pathsep.join(filter(None, [package, inherited.get("PYTHONPATH")]))
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments], cwd=cwd, timeout=timeout,
        env=inherited | {"PYTHONPATH": path} | environment, capture_output=True, text=True)
    assert result.returncode == 0, f"exit {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout.strip()

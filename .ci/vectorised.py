"""Check that the compiler made vector code of every hot loop, and float code of float loops.

Vectorisation fails silently: a helper that is not inlined, a literal that turns float
arithmetic into double, and a loop is ten times slower with the same results. This builds the
package in a temporary folder, reads the compiler's report and names what is missing.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = Path("build", "fastloss")
HELPERS = ("accumulate", "sum_logs", "multiply", "convert_number", "convert_half")
# Code that means to make doubles: sums, and what converts.
MAKES_DOUBLES = (*HELPERS, "factor_probability")


def members(text: str, name: str) -> list[str]:
    """Return the members of a fused type, in order."""
    block = re.search(rf"ctypedef fused {name}:\n((?:    \w+\n)+)", text)
    assert block, f"no fused type {name}"
    return block[1].split()


def functions(path: Path) -> dict[int, str]:
    """Return the first line of each function of a C file."""
    starts = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r"static (?:CYTHON_INLINE )?[\w ]+? \*?(__pyx_\w+)\(.*\) \{$", line)
        if match:
            starts[number] = match[1]
    return starts


def build(folder: str) -> str:
    """Return what the compiler says while building everything."""
    environment = os.environ | {"CFLAGS": "-fopt-info-vec-optimized -Wdouble-promotion"}
    command = [sys.executable, "setup.py", "build_ext", "--force"]
    command += ["--build-temp", folder, "--build-lib", folder]
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if result.returncode:
        sys.exit(result.stdout + result.stderr)
    return result.stdout + result.stderr


def main() -> int:
    """Print what is not vectorised; 1 if something is not."""
    with tempfile.TemporaryDirectory() as folder:
        report = build(folder)
    losses = members((ROOT / "fastloss/_losses.pxd").read_text(), "Loss")
    wanted = members((ROOT / "fastloss/_kernels.pyx").read_text(), "Wanted")
    failures = []
    modules = sorted(path.stem for path in (ROOT / SOURCES).glob("_kernels*.c"))
    for module in modules:
        path = SOURCES / f"{module}.c"
        starts = functions(ROOT / path)

        def function_at(line: int, starts: dict[int, str] = starts) -> str:
            return starts[max(start for start in starts if start <= line)]

        pattern = re.escape(str(path)) + r":(\d+):\d+: (optimized: loop vectorized|warning: .*)"
        vectorised, promoted = set(), set()
        for line, what in re.findall(pattern, report):
            if what.startswith("optimized"):
                vectorised.add(function_at(int(line)))
            elif "double-promotion" in what and "__pyx_fuse_" in function_at(int(line)):
                promoted.add((function_at(int(line)), line))
        for i, loss in enumerate(losses):
            for j, real in enumerate(["float", "double"]):
                for k, outputs in enumerate(wanted):
                    name = rf"__pyx_fuse_{i}_{j}_{k}__pyx_f_\w+_map_block"
                    found = any(re.fullmatch(name, function) for function in vectorised)
                    if not found:
                        failures.append(f"{module}: {loss} {real} {outputs} is not vectorised")
        for helper in HELPERS:
            if not any(function.endswith(f"_{helper}") for function in vectorised):
                failures.append(f"{module}: {helper} is not vectorised")
        for function, line in sorted(promoted):
            if not function.endswith(MAKES_DOUBLES):
                failures.append(f"{path}:{line}: float becomes double in {function}")
    for failure in failures:
        print(failure)
    loops = len(modules) * len(losses) * 2 * len(wanted)
    print(f"vectorised: {len(modules)} modules, {loops} loss loops, {len(failures)} failures")
    return 1 if failures or not modules else 0


if __name__ == "__main__":
    sys.exit(main())

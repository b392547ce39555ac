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
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCES = Path("build", "fastloss")
# Bytes of a vector.
WIDTHS = {"_kernels": 16, "_kernels_avx2": 32, "_kernels_avx512": 64}
HELPERS = ("accumulate", "sum_logs", "multiply", "convert_number", "convert_half")
# Loops over groups of rows or classes; a few are inlined where they are used.
ROWS = ("largest_panel", "exponentials", "add_rest_panel", "curves", "dense_slopes", "slopes",
        "log_slopes", "shuffle", "unshuffle", "add_squares_panel", "add_unit_squares_panel",
        "write_distance_gradient", "write_distance_triplet_gradient")
# The same of loops in float or double over numbers of either type.
MIXED = ("add_products_panel", "write_cosine_gradient", "write_cosine_triplet_gradient")
# Passes over panels of pairs, by the list of losses that they are made for.
PASSES = {"find_largest": "Exponent", "add_exponentials": "Exponent",
          "weigh_exponentials": "Exponent", "add_costs": "Direct"}
# Code that means to make doubles: sums, and what converts.
MAKES_DOUBLES = (
    *HELPERS, "mend", "map_wider", "sum_again", "lost_digits",
    "log_probability_factor", "log_logits_factor", "power_deviance", "add_rest_panel",
    "add_rest", "add_distances_panel", "add_distances", "add_logs", "settle", "settle_label",
    "label_slopes", "open_group", "make_targets", "sum_row", "sum_tile", "sum_groups",
    "run_rows_together", "survey_block", "close_group", "make_factors", *PASSES,
    "add_all", "find_extremes", "fold_columns", "add_other_side_gradient", "keep_larger",
    "add_lifted_costs", "make_tile", "mine_anchor", "mine_block", "semi_hard", "sum_weights",
    "among_ties", "gate_of", "lift_of", "difference_square", "slack_at", "square_by", "twice_of",
    "add_lifted_products", "square_distance", "careful_distance", "add_products",
    "add_unit_squares_panel", "unit_distance_square", "measure_angle", "measure",
)


def members(name: str) -> list[str]:
    """Return the members of a fused type, in order, those of its fused members among them."""
    for path in sorted((ROOT / "fastloss").rglob("*.p*x*")):
        block = re.search(rf"ctypedef fused {name}:\n((?:    \w+\n)+)", path.read_text())
        if block:
            return [part for member in block[1].split() for part in members(member) or [member]]
    return []


def functions(path: Path) -> Callable[[int], str]:
    """Return the function of a C file that a line belongs to."""
    starts = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = re.match(r"static (?:CYTHON_INLINE )?[\w ]+? \*?(__pyx_\w+)\(.*\) \{$", line)
        if match:
            starts[number] = match[1]
    return lambda line: starts[max(start for start in starts if start <= line)]


def build(folder: str) -> str:
    """Return what the compiler says while building everything."""
    environment = os.environ | {"CFLAGS": "-fopt-info-vec-optimized -Wdouble-promotion",
                                "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "setup.py", "build_ext", "--force"]
    # one after the other, so that what the compiler says is in order
    command += ["--build-temp", folder, "--build-lib", folder, "--parallel", "1"]
    result = subprocess.run(command, cwd=ROOT, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if result.returncode:
        sys.exit(result.stdout)
    return result.stdout


def lines(report: str, path: Path, pattern: str) -> dict[int, str]:
    """Return what a compiler says of a C file, by line, where it matches a pattern."""
    said = re.findall(rf"{re.escape(str(path))}:(\d+):\d+: ({pattern})", report)
    return {int(line): what for line, what in said}


def marked(path: Path) -> set[int]:
    """Return the lines of the loops whose source says "# vectorised"."""
    text = path.read_text().splitlines()
    found = set()
    for i, line in enumerate(text):
        if re.search(r"# vectorised +# <<<<<", line):
            found.add(next(n for n in range(i, i + 30) if re.match(r" +for \(", text[n])) + 1)
    return found


def not_vectorised(path: Path, vectorised: set[str], passes: set[str]) -> list[str]:
    """Return the hot loops of a kernel module that no vectorised function holds."""
    module = path.stem
    losses, wanted = members("Loss"), members("Wanted")
    assert losses, "no list of losses found"
    assert wanted, "no list of outputs found"
    failures = []
    for i, loss in enumerate(losses):
        for j, real in enumerate(["float", "double"]):
            for k, outputs in enumerate(wanted):
                name = rf"__pyx_fuse_{i}_{j}_{k}__pyx_f_\w+_map_block"
                if not any(re.fullmatch(name, function) for function in vectorised):
                    failures.append(f"{module}: {loss} {real} {outputs} is not vectorised")
    for loop in ROWS:
        for j, real in enumerate(["float", "double"]):
            name = rf"__pyx_fuse_{j}__pyx_f_\w+_{loop}"
            if not any(re.fullmatch(name, function) for function in vectorised):
                failures.append(f"{module}: {loop} {real} is not vectorised")
    for loop, family in PASSES.items():
        for i, loss in enumerate(members(family)):
            for j, real in enumerate(["float", "double"]):
                # in every place and with every shift
                name = rf"__pyx_fuse_{i}_{j}_\d_\d__pyx_f_\w+_{loop}"
                found = sum(1 for function in passes if re.fullmatch(name, function))
                if found < (2 if family == "Direct" or loop == "find_largest" else 4):
                    failures.append(f"{module}: {loop} {loss} {real} is not vectorised")
    for loop in MIXED:
        for j, k in [(0, 0), (0, 1), (1, 1)]:
            name = rf"__pyx_fuse_{j}_{k}__pyx_f_\w+_{loop}"
            if not any(re.fullmatch(name, function) for function in vectorised):
                failures.append(f"{module}: {loop} {j} {k} is not vectorised")
    for j, real in enumerate(["float", "double"]):
        for loop, kinds in (("add_lifted_costs", rf"\d_{j}_\d_0"), ("find_extremes", rf"{j}_\d")):
            name = rf"__pyx_fuse_{kinds}__pyx_f_\w+_{loop}"
            found = sum(1 for function in passes if re.fullmatch(name, function))
            # SSE2 has no choice of two numbers, and AVX2 none that mixes doubles with short labels:
            # gcc makes this one's branches, no slower than the vectors of doubles were
            branches = loop == "find_extremes" and (
                module == "_kernels" or (module, real) == ("_kernels_avx2", "double"))
            if found < 2 and not branches:
                failures.append(f"{module}: {loop} {real} is not vectorised")
    for helper in HELPERS:
        if not any(function.endswith(f"_{helper}") for function in vectorised):
            failures.append(f"{module}: {helper} is not vectorised")
    return failures


def not_vectorised_functions(report: str, path: Path) -> list[str]:
    """Return the functions of elementary.h that a module has no full vectors of, in either type."""
    table = Path("fastloss", "_core", "simd", "elementary_table.h")
    said = report.partition(f" -c {path} ")[2].partition(" -c build/")[0]
    failures = []
    for number, line in enumerate((ROOT / table).read_text().splitlines(), 1):
        full = f"{table}:{number}:1: optimized: loop vectorized using {WIDTHS[path.stem]} byte"
        if line.startswith("FL_APPLY") and said.count(full) < 2:
            failures.append(f"{path.stem}: {line} is not vectorised")
    return failures


def main() -> int:
    """Print what is not vectorised; 1 if something is not."""
    with tempfile.TemporaryDirectory() as folder:
        report = build(folder)
    failures = []
    modules = sorted(path.name for path in (ROOT / SOURCES).glob("_kernels*.c"))
    for module in modules:
        path = SOURCES / module
        function_at = functions(ROOT / path)
        optimized = lines(report, path, "optimized: (?:loop|basic block part) vectorized")
        loops = marked(ROOT / path)
        whole = set(lines(report, path, "optimized: loop vectorized"))
        passes = {function_at(line) for line in loops & whole}
        passes -= {function_at(line) for line in loops - whole}
        failures += not_vectorised(path, {function_at(line) for line in optimized}, passes)
        failures += not_vectorised_functions(report, path)
        for line in sorted(lines(report, path, "warning: .*from .float. to.*double-promotion.*")):
            function = function_at(line)
            if "__pyx_fuse_" in function and not function.endswith(MAKES_DOUBLES):
                failures.append(f"{path}:{line}: float becomes double in {function}")
    print(*failures, sep="\n", end="\n" if failures else "")
    print(f"vectorised: {len(modules)} modules, {len(failures)} failures")
    return 1 if failures or not modules else 0


if __name__ == "__main__":
    sys.exit(main())

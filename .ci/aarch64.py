"""Check that the package's C code is good for aarch64 and for clang, from any machine.

Needs `pip install ziglang`, a clang with every target. It compiles the modules without a warning
and can make vector code of every hot loop, and the header of exponentials and logarithms gives
the same bits as with the compiler at hand; the bits of aarch64 need qemu-user to see. Run it
after .ci/vectorised.py, which leaves the C files.
"""

import os
import platform
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from unittest import mock

import numpy
from vectorised import ROOT, SOURCES, functions, lines, marked, not_vectorised

TARGETS = {"aarch64": "aarch64-linux-musl", "x86_64": "x86_64-linux-musl"}
CORE = ("arrays", "batch", "batch_rows", "boosting", "bounds", "elements", "limits", "paired",
        "rows", "simd_level", "threads")
MODULES = [*(f"_core/{name}" for name in CORE), "api", "_kernels"]
WARNINGS = ["-Wall", "-Wextra", "-Wno-unused-parameter",
            # a float function on a double, in a branch that is never taken
            "-Wno-absolute-value"]


def flags() -> list[str]:
    """Return how setup.py compiles a kernel module."""
    with mock.patch("setuptools.setup"), mock.patch("Cython.Build.cythonize"):
        build = runpy.run_path(str(ROOT / "setup.py"))
    return [*build["UNIX_FLAGS"], *build["KERNEL_FLAGS"], *WARNINGS, "-fPIC",
            "-DNPY_NO_DEPRECATED_API=NPY_2_0_API_VERSION", "-Ifastloss/_core",
            f"-I{sysconfig.get_path('include')}", f"-I{numpy.get_include()}"]


FLAGS = flags()


def run(*command: str | Path) -> str:
    """Return what a command says, or stop."""
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")
    return result.stdout + result.stderr


def compile_modules(target: str, folder: str) -> list[str]:
    """Return the warnings of all modules, and the loops that are not vectorised."""
    failures = []
    for module in MODULES:
        path = SOURCES / f"{module}.c"
        report = run(sys.executable, "-m", "ziglang", "cc", "-target", target, *FLAGS,
                     "-Rpass=loop-vectorize", "-Rpass-missed=loop-vectorize", "-c", path,
                     "-o", f"{folder}/{path.stem}.o")
        failures += [line for line in report.splitlines() if " warning: " in line]
        if module == "_kernels":
            function_at = functions(ROOT / path)
            # with two or four numbers to a vector the compiler may find scalar code no slower
            optimized = lines(report, path, "remark: (?:vectorized loop|the cost-model indicates "
                                            "that vectorization is not beneficial)")
            loops = marked(ROOT / path)
            failures += not_vectorised(path, {function_at(line) for line in optimized},
                                       {function_at(line) for line in loops & set(optimized)})
    return [f"{target}: {failure}" for failure in failures]


def digests(folder: str) -> dict[str, str]:
    """Return the digest of the header's results per compiler and processor."""
    harness = ["-x", "c", ".ci/digest.c", "-o"]
    run("cc", *FLAGS, *harness, f"{folder}/native")
    found = {"cc": run(f"{folder}/native")}
    for machine, target in TARGETS.items():
        program = f"{folder}/{machine}"
        run(sys.executable, "-m", "ziglang", "cc", "-static", "-target", target, *FLAGS,
            *harness, program)
        emulator = shutil.which(f"qemu-{machine}") or shutil.which(f"qemu-{machine}-static")
        if platform.machine() == machine:
            found[f"clang {machine}"] = run(program)
        elif emulator:
            found[f"clang {machine}, emulated"] = run(emulator, program)
        else:
            print(f"aarch64: no qemu-{machine}, its results are left out")
    return found


def main() -> int:
    """Print what is wrong; 1 if something is."""
    with tempfile.TemporaryDirectory() as folder:
        # zig keeps what it compiled, and then says nothing of loops
        os.environ["ZIG_GLOBAL_CACHE_DIR"] = os.environ["ZIG_LOCAL_CACHE_DIR"] = folder
        failures = [failure for target in TARGETS.values()
                    for failure in compile_modules(target, folder)]
        found = digests(folder)
    if len(set(found.values())) > 1:
        failures.append(f"the header's results differ: {found}")
    print(*failures, sep="\n", end="\n" if failures else "")
    print(f"aarch64: results of {', '.join(found)}; {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

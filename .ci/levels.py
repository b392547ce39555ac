"""Check that no SIMD level's instructions leak into the code of another.

A processor without AVX must be able to load and run every module but those of the levels it
is not given. This disassembles the modules of the installed package, or of the folder named as an
argument, and reads the encoding of each instruction: what a level may not use, what it must use,
and which symbols a module shows to the others. Only modules that enter the default mode for the
time of a call may write the floating-point control register, and none may set the bits that
objects linked by -ffast-math set when they are loaded.
"""

import importlib.util
import platform
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

# The modules with instructions beyond x86-64, and a register that proves that they have them.
PROOFS = {"_kernels_avx2": "%ymm", "_kernels_avx512": "%zmm",
          "bounds_avx2": "%ymm", "bounds_avx512": "%zmm"}
BASELINE = {"elements", "_kernels", "simd_level", "threads"}
ENTER_DEFAULT_MODE = {"batch_rows", "elements", "_kernels", "_kernels_avx2", "_kernels_avx512"}

LINE = re.compile(r" *[0-9a-f]+:\t((?:[0-9a-f]{2} )+)[ \t]*(\S.*)")
PREFIXES = {"26", "2e", "36", "3e", "64", "65", "66", "67", "f0", "f2", "f3"}
# Beyond x86-64 in the old encoding and outside the opcode maps of SSSE3 and later.
LATER = re.compile(r"h(add|sub)p[sd]|addsubp[sd]|lddqu|mov(ddup|s[hl]dup)|fisttp|popcnt|lzcnt")
# Extensions that a processor with AVX2, or with AVX-512 F, DQ, VL and BW, may lack.
NOT_GIVEN = re.compile(
    r"vaes|vpclmul|vsha|vsm[34]|vgf2p8|vpdp|vpmadd52|vpconflict|vplzcnt|vpbroadcastm[bw]2|"
    r"vpopcnt|vpermb|vperm[it]2b|vpmultishift|vp(compress|expand)[bw]|vpsh[lr]d|vpshufbitqmb|"
    r"vp2intersect|vcvtne|vdpbf16|v\w+[ps]h$|vexp2|vrcp28|vrsqrt28|v(gather|scatter)pf")


def run(*command: str | Path) -> str:
    """Return what a command prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def encoding(code: list[str]) -> str:
    """Return "vex", "evex", "later" or "x86-64" for the bytes of an instruction."""
    at = 0
    while code[at] in PREFIXES:
        at += 1
    if code[at][0] == "4":      # REX
        at += 1
    first, second = code[at], code[at + 1] if at + 1 < len(code) else ""
    if first in ("c4", "c5"):
        return "vex"
    if first == "62":
        return "evex"
    # APX, AMD's XOP, and the opcode maps of SSSE3 and later
    apx_or_xop = first == "d5" or (first == "8f" and int(second, 16) & 0x38)
    return "later" if apx_or_xop or (first == "0f" and second in ("38", "3a")) else "x86-64"


def misplaced(module: str, code: list[str], text: str) -> bool:
    """Whether an instruction may not be in a module."""
    mnemonic = re.sub(r"^\{\w+\} ", "", text).split()[0]     # without a hint such as {evex}
    if "(bad)" in text or (mnemonic.startswith("or") and "$0x8040," in text):
        return True
    if mnemonic.endswith("ldmxcsr") and module not in ENTER_DEFAULT_MODE:
        return True
    kind = encoding(code)
    if kind == "x86-64":
        return LATER.match(mnemonic) is not None
    if kind == "later" or module not in PROOFS:
        return True
    if kind == "vex" and mnemonic.startswith(("vcvtph2ps", "vcvtps2ph")):
        return True     # F16C
    # what is encoded like vector instructions and is none, such as BMI, is not given
    vector = mnemonic[0] == "v" or (module.endswith("_avx512") and mnemonic[0] == "k")
    beyond_avx2 = kind == "evex" or "%zmm" in text
    return (not vector or NOT_GIVEN.match(mnemonic) is not None
            or (module.endswith("_avx2") and beyond_avx2))


def check(path: Path) -> list[str]:
    """Return what is wrong with a module."""
    module = path.name.partition(".")[0]
    failures, count, proofs = Counter(), 0, 0
    for line in run("objdump", "--disassemble", "--wide", path).splitlines():
        match = LINE.fullmatch(line)
        if match:
            count += 1
            proofs += module in PROOFS and PROOFS[module] in match[2]
            if misplaced(module, match[1].split(), match[2]):
                failures[match[2].split()[0]] += 1
    wrong = [f"{module}: {name}, {times} times" for name, times in failures.most_common(10)]
    if count < 1000:
        wrong.append(f"{module}: only {count} instructions found")
    if module in PROOFS and not proofs:
        wrong.append(f"{module}: no {PROOFS[module]} register")
    exported = run("nm", "--dynamic", "--defined-only", path).split("\n")
    names = sorted(line.split()[-1] for line in exported if line)
    if names != [f"PyInit_{module}"]:
        wrong.append(f"{module}: exports {', '.join(names)}")
    return wrong


def main() -> int:
    """Print what is misplaced; 1 if something is."""
    if platform.machine() != "x86_64" or sys.platform != "linux":
        print("levels: only x86-64 has them")
        return 0
    if len(sys.argv) > 1:
        folder = Path(sys.argv[1])
    else:
        spec = importlib.util.find_spec("fastloss")
        assert spec and spec.submodule_search_locations, "fastloss is not installed"
        folder = Path(spec.submodule_search_locations[0])
    modules = sorted(folder.rglob("*.so"))
    failures = [failure for module in modules for failure in check(module)]
    missing = (BASELINE | set(PROOFS)) - {path.name.partition(".")[0] for path in modules}
    failures += [f"{name} is not in {folder}" for name in sorted(missing)]
    print(*failures, sep="\n", end="\n" if failures else "")
    print(f"levels: {len(modules)} modules in {folder}, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

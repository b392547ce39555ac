"""Build of the compiled modules; everything else is in pyproject.toml."""

import os
import platform
import sys
import tempfile
from glob import glob
from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# These change errno and the floating-point exception flags, never a value; without them
# gcc leaves loops scalar. Contraction would make values depend on the instruction set. A
# module shows Python its PyInit function and other modules nothing.
UNIX_FLAGS = [
    *("-O3", "-g0", "-fvisibility=hidden"),
    *("-fno-math-errno", "-fno-trapping-math", "-ffp-contract=off"),
]
# gcc unrolls inner loops of up to 16 rounds, which our 16 lanes are, before it vectorises, and
# then makes scalar code of many.
GCC_FLAGS = ["--param=max-completely-peel-times=15"]
# An inline function that the compiler chooses to call instead makes a loop over it scalar.
KERNEL_FLAGS = ["-DCYTHON_INLINE=__inline__ __attribute__((always_inline,unused))"]
MSVC_FLAGS = ["/O2", "/fp:precise"]

# The same loops for newer processors, each in a module of its own: no code is shared
# that could carry an instruction to a processor without it.
AVX2 = ["-mavx2", "-mfma"]
AVX512 = [
    *("-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma"),
    "-mprefer-vector-width=512",
]
X86_LEVELS = {"_kernels_avx2": AVX2, "_kernels_avx512": AVX512,
              "_core.bounds_avx2": AVX2, "_core.bounds_avx512": AVX512}
HAS_LEVELS = platform.machine().lower() in ("x86_64", "amd64") and os.name != "nt"
MODULES = ["_kernels", "_core.threads", "_core.simd_level", "_core.arrays", "_core.elements",
           "_core.rows", "_core.paired", "_core.batch_rows", "_core.batch", "_core.bounds",
           "_core.boosting", "_core.limits", "api"]
MODULES += X86_LEVELS if HAS_LEVELS else []


class Build(build_ext):
    """Add the flags of the compiler at hand, and OpenMP where it works; modules side by side."""

    def finalize_options(self) -> None:
        """Compile as many modules at a time as there are CPUs, unless told otherwise."""
        super().finalize_options()
        self.parallel = self.parallel or True

    def build_extensions(self) -> None:
        """Build all modules, each with its flags."""
        if self.compiler.compiler_type == "msvc":
            flags, openmp = MSVC_FLAGS, (["/openmp"], [])
        elif sys.platform == "darwin":
            flags, openmp = UNIX_FLAGS, (["-Xpreprocessor", "-fopenmp"], ["-lomp"])
        else:
            flags, openmp = UNIX_FLAGS + GCC_FLAGS, (["-fopenmp"], ["-fopenmp", "-Wl,--strip-all"])
        if not self.links(*openmp):
            print("fastloss: no OpenMP found, building for one thread", file=sys.stderr)
            openmp = ([], [])
        for extension in self.extensions:
            name = extension.name.removeprefix("fastloss.")
            inline = KERNEL_FLAGS if name.startswith("_kernels") and flags is not MSVC_FLAGS else []
            extension.extra_compile_args = flags + inline + X86_LEVELS.get(name, []) + openmp[0]
            extension.extra_link_args = openmp[1]
            if flags is not MSVC_FLAGS:
                extension.libraries = ["m"]
        super().build_extensions()

    def links(self, compile_args: list[str], link_args: list[str]) -> bool:
        """Whether a program that uses OpenMP compiles and links."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "openmp.c")
            program = "int main(void) { return omp_get_max_threads() < 1; }"
            source.write_text(f"#include <omp.h>\n{program}\n")
            try:
                objects = self.compiler.compile(
                    [str(source)], output_dir=folder, extra_postargs=compile_args
                )
                self.compiler.link_executable(objects, "openmp", folder, extra_postargs=link_args)
            except Exception:  # whatever a compiler raises, the answer is no
                return False
        return True


setup(
    cmdclass={"build_ext": Build},
    ext_modules=cythonize(
        [
            Extension(
                f"fastloss.{name}",
                [os.path.join("fastloss", *name.split(".")) + ".pyx"],
                include_dirs=[numpy.get_include(), "fastloss/_core"],
                depends=glob("fastloss/_core/**/*.h", recursive=True),
                define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
            )
            for name in MODULES
        ],
        build_dir="build",
        compiler_directives={
            "language_level": 3,
            "cdivision": True,
            "freethreading_compatible": True,
        },
    ),
)

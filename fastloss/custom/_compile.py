"""Compiled loops, kept in memory and on disk."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numba

from fastloss._version import __version__
from fastloss.custom import _code
from fastloss.custom._formula import Formula
from fastloss.custom._vectors import functions, narrow, room

types: Any = numba.types
config: Any = numba.config
_known: dict[str, Loops] = {}
_lock = threading.Lock()


class Loops:
    """Compiled loops over a block, of float32 and then of float64, by outputs.

    Attributes
    ----------
    addresses : tuple of int
        Where their machine code is, as long as this object lives.
    """

    def __init__(self, functions: Sequence[Any]) -> None:
        self._functions = tuple(functions)
        self.addresses = tuple(int(each.address) for each in functions)


def loops(formula: Formula, values: Sequence[float]) -> Loops:
    """Return the loops of a formula, compiled now, or earlier by this or another process."""
    source = _code.source(formula, values, {"version": __version__, "numba": numba.__version__})
    with _lock:
        if source not in _known:
            _known[source] = _compiled(source)
        return _known[source]


def _compiled(source: str) -> Loops:
    digest = hashlib.sha256(source.encode()).hexdigest()[:20]
    path = _stored(source, f"custom_{digest}.py")
    if path is not None:
        try:
            return _with_numba(source, str(path), digest, cache=True)
        except Exception:  # a cache that is full, broken or not to be written: without it
            pass  # what is wrong with the source is raised below
    return _with_numba(source, f"<fastloss custom_{digest}>", digest, cache=False)


def _with_numba(source: str, file: str, digest: str, cache: bool) -> Loops:
    if config.DISABLE_JIT:
        raise RuntimeError("fastloss.custom compiles formulas with Numba, which NUMBA_DISABLE_JIT "
                           "switches off: unset it")
    # Numba wants the module to be there when it loads what it kept, and one name for one function
    names: dict[str, Any] = {"__name__": __name__, "narrow": narrow, "room": room, **functions()}
    exec(compile(source, file, "exec"), names)
    made = []
    for name in _code.NAMES:
        function = names[name]
        function.__name__ = function.__qualname__ = f"{name}_{digest}"
        real = getattr(types, name.rpartition("_")[2])
        signature = types.void(types.CPointer(types.float64), real, types.intp,
                               *[types.CPointer(real)] * 5, types.intc)
        made.append(numba.cfunc(signature, cache=cache, error_model="numpy")(function))
    return Loops(made)


# ---- on disk ----------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return where compiled formulas are kept: $FASTLOSS_CACHE_DIR, or the user's folder of caches.

    Numba keeps the machine code beside the source, for each processor.
    """
    if chosen := os.environ.get("FASTLOSS_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fastloss"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "fastloss" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastloss"


def _stored(source: str, name: str) -> Path | None:
    """Return the file of a source, written if need be; None if it cannot be."""
    try:
        folder = cache_folder()
        path = folder / name
        if path.is_file() and path.read_text() == source:
            return path
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder, suffix=".tmp")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(source)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return None
    return path

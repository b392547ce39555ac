"""Compiled loops, kept in memory and on disk."""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import threading
import warnings
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import llvmlite.binding.ffi
import numba
import numba.core.ccallback
import numba.core.compiler
import numba.core.compiler_lock
import numba.core.serialize
import numba.core.sigutils

from fastloss._version import __version__
from fastloss.custom import _code
from fastloss.custom._folder import Folder, UnsafeError
from fastloss.custom._formula import Formula
from fastloss.custom._vectors import functions, narrow, room

MOST = 128      # loops that are kept beside those of losses that are still there
PATIENCE = 5.0  # seconds for which a fork waits for a compilation

types: Any = numba.types
config: Any = numba.config
core: Any = numba.core
_known: WeakValueDictionary[str, Loops] = WeakValueDictionary()     # by their source
_recent: OrderedDict[str, Loops] = OrderedDict()
_lock = threading.RLock()
_warned: set[str] = set()


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
    found = _known.get(source)      # without waiting for what another thread compiles
    if found is None:
        with _lock:
            found = _known.get(source)
            if found is None:
                found = _known[source] = _compiled(source)
            _recent[source] = found
            _recent.move_to_end(source)
            if len(_recent) > MOST:
                _recent.popitem(last=False)
    return found


def _compiled(source: str) -> Loops:
    digest = hashlib.sha256(source.encode()).hexdigest()[:20]
    try:
        return _with_numba(source, digest, _Kept(source, f"custom_{digest}"))
    except UnsafeError as error:
        _warn(str(error))
    except (OSError, RuntimeError):     # no folder, none that can be written; no home
        pass
    return _with_numba(source, digest)


def _with_numba(source: str, digest: str, kept: _Kept | None = None) -> Loops:
    if config.DISABLE_JIT:
        raise RuntimeError("fastloss.custom compiles formulas with Numba, which NUMBA_DISABLE_JIT "
                           "switches off: unset it")
    # Numba wants the module to be there when it loads what it kept, and one name for one function
    names: dict[str, Any] = {"__name__": __name__, "narrow": narrow, "room": room, **functions()}
    exec(compile(source, f"<fastloss custom_{digest}>", "exec"), names)
    made = []
    for name in _code.NAMES:
        function = names[name]
        function.__name__ = function.__qualname__ = f"{name}_{digest}"
        real = getattr(types, name.rpartition("_")[2])
        signature = core.sigutils.normalize_signature(types.void(
            types.CPointer(types.float64), real, types.intp, *[types.CPointer(real)] * 5,
            types.intc))
        loop = core.ccallback.CFunc(
            function, signature, locals={}, options={"error_model": "numpy"})
        if kept is not None:
            loop._cache = kept.of(name)
        loop.compile()
        made.append(loop)
    return Loops(made)


# ---- forks ------------------------------------------------------------------------------


def _before_fork() -> None:
    # What LLVM has half done could not be gone on with in the child. It does not wait for ever:
    # the thread that compiles may wait for this one.
    global _waited
    _waited = _lock.acquire(timeout=PATIENCE)


def _after_fork_here() -> None:
    if _waited:
        _lock.release()


def _after_fork_there() -> None:
    """Make locks anew that threads hold which are not in this process."""
    global _lock
    if _waited:
        _lock.release()
    else:
        _lock = threading.RLock()
    for each in (core.compiler_lock.global_compiler_lock, llvmlite.binding.ffi.lib._lock):
        if each._lock.acquire(blocking=False):
            each._lock.release()
        else:
            each._lock = threading.RLock()


_waited = False
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_here,
                        after_in_child=_after_fork_there)


# ---- on disk ----------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return where compiled formulas are kept: $FASTLOSS_CACHE_DIR, or the user's folder of caches.

    The machine code is beside the source, for each processor.
    """
    if chosen := os.environ.get("FASTLOSS_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fastloss"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home()) / "fastloss" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastloss"


class _Kept:
    """The machine code of a source, in the folder of caches.

    Raises
    ------
    UnsafeError
        If somebody else may write there.
    OSError, RuntimeError
        If there is no folder.
    """

    def __init__(self, source: str, stem: str) -> None:
        self.folder, self.stem = Folder(cache_folder()), stem
        try:
            text = (self.folder.path / f"{stem}.py").read_text()
        except (OSError, UnicodeDecodeError):
            text = ""
        self.is_known = text == source
        if not self.is_known:       # what is there is of something else
            self.folder.put(f"{stem}.py", source.encode())

    def of(self, name: str) -> _KeptLoop:
        """Return what Numba takes for the cache of one loop."""
        return _KeptLoop(self, name)


class _KeptLoop:
    """The machine code of one loop, for each version of Python and each processor."""

    def __init__(self, kept: _Kept, name: str) -> None:
        self._kept, self._name = kept, name

    def _file(self, context: Any) -> str:
        key = repr((context.codegen().magic_tuple(), sys.version_info[:2],
                    getattr(sys, "abiflags", "")))
        return f"{self._kept.stem}.{self._name}.{hashlib.sha256(key.encode()).hexdigest()[:12]}.nbc"

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return what was compiled, or None: Numba compiles it then."""
        if not self._kept.is_known:
            return None
        context.refresh()
        data = self._kept.folder.read(self._file(context))
        try:
            return data and core.compiler.CompileResult._rebuild(context, *pickle.loads(data))
        except Exception:       # of another build of the same version
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        """Keep what was compiled, if it can be."""
        if not result.library.has_dynamic_globals:      # addresses of this process
            with suppress(OSError):     # a full disk
                self._kept.folder.write(self._file(result.target_context),
                                        core.serialize.dumps(result._reduce()))


def _warn(reason: str) -> None:
    if reason not in _warned:
        _warned.add(reason)
        warnings.warn(
            f"compiled formulas are neither loaded nor kept: {reason}. Machine code is loaded only "
            "from a folder that belongs to you and that nobody else may write in: chmod go-w, or "
            "set FASTLOSS_CACHE_DIR to another", RuntimeWarning, stacklevel=2)

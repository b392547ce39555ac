"""Compiled formulas on disk, in memory and in forked children."""

import os
import pickle
import stat
import subprocess
import sys
import warnings

import pytest
from child import run_python
from formulas import define

pytest.importorskip("numba", reason="Numba is not installed")

from fastloss.custom import _compile
from fastloss.custom._folder import Folder, UnsafeError
from fastloss.custom._formula import formula_of

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
ROOT = pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0,
                          reason="only the administrator gives files to others")

# says how often Numba was at work, what was warned of, and a result
COUNTED = """
import warnings
from numba.core import event
with event.install_recorder("numba:run_pass") as recorder, \\
        warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from fastloss.custom import loss
    for k in (2.5, 1.5):
        made = loss(lambda y, p, k: k * abs(p - y) ** 2 / 7 + 1e-9 * p, k=k)
        assert made.grad([0.0], [7.0]) == 2 * k + 1e-9
    assert loss(lambda y, p: 3 * (p - y)).grad([0.0], [1.0]) == 3
about = [str(each.message) for each in caught if "compiled formulas" in str(each.message)]
print(len(recorder.buffer), len(about), *about)
"""


def run_counted(folder, cache):
    """Return how much was compiled by a new process, and its warnings."""
    script = folder / "counted.py"
    script.write_text(COUNTED)
    code = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"
    printed = run_python(code, folder, str(script), FASTLOSS_CACHE_DIR=str(cache))
    passes, n, *text = printed.split(" ")
    return int(passes), int(n), " ".join(text)


def damage_cut(data):
    return data[:-7]


def damage_byte(data):
    return data[:len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1:]


@pytest.mark.parametrize("damage", [damage_cut, damage_byte, lambda data: b"", lambda data: b"no"],
                         ids=["cut", "one bit", "empty", "other"])
def test_damaged_files_are_written_anew(tmp_path, damage):
    cache = tmp_path / "cache"
    assert run_counted(tmp_path, cache)[0] > 0
    files = sorted(cache.glob("*.nbc"))
    assert len(files) == 16
    for path in files[::3]:
        path.write_bytes(damage(path.read_bytes()))
    passes, warned, _ = run_counted(tmp_path, cache)
    assert passes > 0 and warned == 0
    assert run_counted(tmp_path, cache)[:2] == (0, 0)
    assert sorted(cache.glob("*.nbc")) == files


class Marker:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@POSIX
def test_what_others_may_have_written_is_not_loaded(tmp_path):
    cache = tmp_path / "cache"
    run_counted(tmp_path, cache)
    safe = Folder(cache)
    for path in cache.glob("*.nbc"):
        safe.write(path.name, pickle.dumps(Marker(tmp_path / "executed")))
    cache.chmod(0o777)
    passes, warned, text = run_counted(tmp_path, cache)
    assert passes > 0 and warned == 1 and "may be written by other users" in text
    assert "FASTLOSS_CACHE_DIR" in text and not (tmp_path / "executed").exists()
    cache.chmod(0o700)      # the forgery is one that would have been executed
    run_counted(tmp_path, cache)
    assert (tmp_path / "executed").exists()


@POSIX
def test_a_file_or_a_folder_above_that_others_may_write(tmp_path):
    cache = tmp_path / "above" / "cache"
    run_counted(tmp_path, cache)
    some = next(cache.glob("*.nbc"))
    some.chmod(0o666)
    passes, warned, text = run_counted(tmp_path, cache)
    assert passes > 0 and warned == 1 and some.name in text
    some.chmod(0o600)
    cache.parent.chmod(0o777)
    passes, warned, text = run_counted(tmp_path, cache)
    assert passes > 0 and warned == 1 and "above may be written" in text
    cache.parent.chmod(0o1777)      # as /tmp
    assert run_counted(tmp_path, cache)[:2] == (0, 0)


@POSIX
def test_links_are_not_followed(tmp_path):
    folder = Folder(tmp_path / "cache")
    folder.write("a", b"data")
    (folder.path / "b").symlink_to("a")
    assert folder.read("a") == b"data" and folder.read("c") is None
    with pytest.raises(UnsafeError, match="b is a link"):
        folder.read("b")
    (tmp_path / "link").symlink_to(folder.path)     # the user's own: where it leads to is looked at
    assert Folder(tmp_path / "link").read("a") == b"data"
    folder.path.chmod(0o720)
    with pytest.raises(UnsafeError, match="cache may be written by other users"):
        Folder(tmp_path / "link")


@ROOT
def test_what_belongs_to_another_user(tmp_path):
    folder = Folder(tmp_path / "cache")
    folder.write("a", b"data")
    os.chown(folder.path / "a", 12345, -1)
    with pytest.raises(UnsafeError, match=r"a belongs to another user \(12345\)"):
        folder.read("a")
    os.chown(folder.path, 12345, -1)
    with pytest.raises(UnsafeError, match="cache belongs to another user"):
        Folder(folder.path)


@POSIX
def test_folders_are_for_this_user_alone_whatever_the_umask(tmp_path):
    old = os.umask(0)
    try:
        folder = Folder(tmp_path / "a" / "b" / "cache")
        folder.write("x", b"1")
    finally:
        os.umask(old)
    for path in (folder.path, folder.path.parent, folder.path.parent.parent, folder.path / "x"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_one_warning_for_one_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(_compile, "_warned", set())
    with pytest.warns(RuntimeWarning, match="neither loaded nor kept: it is so"):
        _compile._warn("it is so")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _compile._warn("it is so")


# ---- in memory --------------------------------------------------------------------------


def test_what_is_known_is_bounded(monkeypatch):
    monkeypatch.setattr(_compile, "_compiled", lambda source: _compile.Loops(()))
    monkeypatch.setattr(_compile, "_recent", type(_compile._recent)())
    before = len(_compile._known)
    formulas = [formula_of(define(f"lambda y, p: p * {k + 2.5}"), frozenset())
                for k in range(2 * _compile.MOST)]
    kept = _compile.loops(formulas[0], ())
    for formula in formulas[1:]:
        _compile.loops(formula, ())
    assert len(_compile._recent) == _compile.MOST
    assert len(_compile._known) <= before + _compile.MOST + 1
    assert _compile.loops(formulas[0], ()) is kept      # it is held by somebody


FORKED = """
import os, signal, sys, threading, time
from fastloss.custom import _compile, loss
known = loss(lambda y, p: (p - y) ** 2)
assert known.value([0.0], [3.0]) == 9
_compile.PATIENCE = 0.2
started, done = threading.Event(), threading.Event()
real = _compile._compiled

def slow(source):
    with _compile.core.compiler_lock.global_compiler_lock:
        started.set()
        done.wait()
    return real(source)

_compile._compiled = slow
new = []
thread = threading.Thread(target=lambda: new.append(loss(lambda y, p: 3 * (p - y) ** 2)))
thread.start()
started.wait()
child = os.fork()
if child == 0:
    signal.alarm(60)
    _compile._compiled = real
    ok = known.value([0.0], [3.0]) == 9 and loss(lambda y, p: (p - y) ** 2).value([0.0], [2.0]) == 4
    ok = ok and loss(lambda y, p: 5 * (p - y) ** 2).value([0.0], [1.0]) == 5
    os._exit(0 if ok else 1)
status = os.waitpid(child, 0)[1]
done.set()
thread.join()
assert new[0].value([0.0], [1.0]) == 3
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_forked_while_a_thread_compiles(tmp_path):
    script = tmp_path / "forked.py"
    script.write_text(FORKED)
    run = subprocess.run([sys.executable, "-W", "ignore", str(script)], capture_output=True,
                         text=True, timeout=120,
                         env={**os.environ, "FASTLOSS_CACHE_DIR": str(tmp_path),
                              "PYTHONPATH": os.pathsep.join(sys.path)})
    assert run.stdout.strip() == "0", run.stderr


def test_a_fork_waits_for_a_compilation(monkeypatch):
    monkeypatch.setattr(_compile, "_waited", None)
    _compile._before_fork()
    assert _compile._waited
    _compile._after_fork_here()
    assert _compile._lock.acquire(blocking=False)
    _compile._lock.release()

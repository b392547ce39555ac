"""The mathematics of elementary.h, and the same bits at every SIMD level."""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
from cases import CASES

import fastloss as fl
from fastloss._core import simd_level

ROOT = Path(__file__).resolve().parents[1]

# -log(p) and -log1p(-p), element by element, as the kernels compute them
LOSS = fl.LogLoss(eps=0, reduction="none")


def ulps(actual, expected):
    """Distance in units of the last place of the expected value, rounded to actual's dtype."""
    unit = np.spacing(np.abs(expected).astype(actual.dtype)).astype(expected.dtype)
    return np.abs(actual.astype(expected.dtype) - expected) / unit


def check_float(p):
    p64 = p.astype(np.float64)
    with np.errstate(divide="ignore"):
        for label, expected in ((1, -np.log(p64)), (0, -np.log1p(-p64))):
            finite = np.isfinite(expected) & (expected != 0)
            actual = LOSS(np.broadcast_to(np.uint8(label), p.shape), p)
            assert np.array_equal(actual[~finite], expected[~finite])
            distance = ulps(actual[finite], expected[finite])
            worst = int(np.argmax(distance))
            assert distance[worst] <= 2, (label, p[finite][worst], actual[finite][worst])


def test_logarithms_of_every_97th_float32_probability():
    ones = int(np.float32(1).view(np.uint32))
    check_float(np.arange(0, ones + 1, 97, dtype=np.uint32).view(np.float32))


@pytest.mark.slow
def test_logarithms_of_every_float32_probability():
    ones = int(np.float32(1).view(np.uint32))
    for start in range(0, ones + 1, 1 << 24):
        stop = min(start + (1 << 24), ones + 1)
        check_float(np.arange(start, stop, dtype=np.uint32).view(np.float32))


def hard_doubles(count):
    rng = np.random.default_rng(8)
    near = rng.random(count) * 2.0 ** -rng.integers(1, 60, count)
    small = np.exp(-rng.random(count) * 744)
    edges = np.array([5e-324, 2.2250738585072014e-308, np.sqrt(0.5), np.nextafter(1, 0), 0.5])
    p = np.concatenate([rng.random(count), near, 1 - near, small, edges])
    return p[(p > 0) & (p < 1)]


def test_logarithms_of_float64_against_mpmath():
    p = hard_doubles(1000)
    with mpmath.workdps(40):
        for label, function in ((1, mpmath.log), (0, mpmath.log1p)):
            actual = LOSS(np.full(p.shape, label), p)
            for value, result in zip(p, actual, strict=True):
                expected = -function(mpmath.mpf(value) * (1 if label else -1))
                error = abs(mpmath.mpf(result) - expected) / np.spacing(float(expected))
                assert error <= 2, (label, value, result)


@pytest.mark.slow
def test_logarithms_of_ten_million_float64_against_long_double():
    longer = np.finfo(np.longdouble).nmant >= 63
    if not longer:
        pytest.skip("long double is no wider than double here")
    for chunk in np.array_split(hard_doubles(2_500_000), 20):
        wide = chunk.astype(np.longdouble)
        for label, expected in ((1, -np.log(wide)), (0, -np.log1p(-wide))):
            actual = LOSS(np.full(chunk.shape, label), chunk)
            assert ulps(actual, expected).max() <= 2


def test_coefficients_are_those_of_the_derivation(capsys):
    script = ROOT / "tools" / "derive_polynomials.py"
    header = ROOT / "fastloss/_core/simd/elementary.h"
    if not (script.exists() and header.exists()):
        pytest.skip("tests run without the checkout's sources")
    runpy.run_path(str(script), run_name="__main__")
    derived = re.findall(r"#define (\w+) (\S+)", capsys.readouterr().out)
    assert len(derived) == 30
    assert derived == re.findall(r"#define ((?:LOG|EXP)F?_\d) (\S+)", header.read_text())


ALGEBRAIC = [name for name, case in CASES.items() if case.algebraic]

PRINT_BITS = """
import hashlib, sys, numpy as np, fastloss as fl
digest = {True: hashlib.sha256(), False: hashlib.sha256()}
algebraic = sys.argv[1].split(",")
rng = np.random.default_rng(3)
for dtype in (np.float32, np.float64):
    y, p, w = rng.integers(0, 2, 20001), rng.random(20001).astype(dtype), rng.random(20001)
    for name in sorted(fl.__all__):
        if not name.endswith("Loss") or name == "Loss":
            continue
        loss = getattr(fl, name)()
        if loss.sample != "element":
            continue
        for soft in (y, w):
            for weight in (None, w):
                value, grad = loss.value_and_grad(soft, p, weight)
                grad, hess = loss.grad_and_hess(soft, p, weight)
                element = loss.replace(reduction="none").value(soft, p, weight)
                for part in (np.float64(value), grad, hess, element):
                    digest[name in algebraic].update(part.tobytes())
    for classes in (3, 100, 600):
        z = rng.normal(size=(50, classes)).astype(dtype)
        for soft in (y[:50], rng.random((50, classes))):
            for part in fl.CrossEntropyLoss(reduction="none").value_and_grad(soft, z):
                digest[False].update(part.tobytes())
print(digest[True].hexdigest(), digest[False].hexdigest())
"""


def test_every_level_gives_the_same_bits(tmp_path):
    digests = {}
    for level in simd_level.AVAILABLE:
        digests[level] = subprocess.run(
            [sys.executable, "-c", PRINT_BITS, ",".join(ALGEBRAIC)], cwd=tmp_path, check=True,
            capture_output=True, text=True, env=os.environ | {"FASTLOSS_SIMD": level}, timeout=120,
        ).stdout.split()
    assert len({algebraic for algebraic, _ in digests.values()}) == 1, digests
    fused = {others for level, (_, others) in digests.items() if level != "baseline"}
    assert len(fused) <= 1, digests


@pytest.mark.parametrize("level", ["fast", "sse9"])
def test_unknown_level_is_named(level, tmp_path):
    result = subprocess.run([sys.executable, "-c", "import fastloss"], cwd=tmp_path, text=True,
                            capture_output=True, env=os.environ | {"FASTLOSS_SIMD": level})
    assert result.returncode == 1
    assert f"FASTLOSS_SIMD must be one of baseline, avx2, avx512, got '{level}'" in result.stderr

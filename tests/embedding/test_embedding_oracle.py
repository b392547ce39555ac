"""The oracle of batch losses: against loops, and its gradients against differences.

Small batches, so that plain Python is fast, and exponents that it does not overflow at.
"""

import dataclasses

import brute
import numpy as np
import pytest
from batches import NAMES, REDUCTIONS, TABLE, drawn, label, sides, two_sided
from cases import seeded

from fastloss import embedding, reference

# exp(x) of plain numbers, and the log of 1 + it, say nothing beyond these
TAME = [row for row in TABLE
        if row[1].get("temperature", 1) > 0.05 and row[1].get("gamma", 80.0) < 200]
every_row = pytest.mark.parametrize("row", TAME, ids=label)


def test_oracle_has_every_loss():
    names = NAMES
    assert {name for name, _ in TABLE} == names
    assert {name for name in reference.embedding.__all__ if name.endswith("Loss")} == names
    for name in names:
        fused, oracle = ({field.name: field.default for field in dataclasses.fields(cls)}
                         for cls in (getattr(embedding, name), getattr(reference, name)))
        assert fused == oracle, name
        assert "math" in getattr(reference, name).__doc__


def plain(name, loss, arguments, options, frozen=None):
    x, second, w = arguments
    q = {field.name: getattr(loss, field.name) for field in dataclasses.fields(loss)}
    w = [1.0] * len(x) if w is None else w.tolist()
    if two_sided(name):
        return brute.two_sided(name, q, x.tolist(), second.tolist(), w)
    return brute.labelled(name, q, x.tolist(), second.tolist(), w,
                          options["refs"].tolist() if options else None,
                          options["ref_labels"].tolist() if options else None, frozen)


def batches(row, *sizes):
    name, parameters = row
    for n in sizes:
        for refs in [None] if two_sided(name) else [None, 4]:
            for weighted in (False, True):
                for reduction in REDUCTIONS:
                    rng = seeded("oracle", label(row), n, refs, weighted, reduction)
                    loss = getattr(reference, name)(**parameters, reduction=reduction)
                    arguments, options = drawn(rng, name, n, 3, np.float64, refs=refs,
                                               classes=2 if n < 7 else 3, weighted=weighted)
                    yield loss, arguments, options


@every_row
def test_value_is_that_of_loops(row):
    for loss, arguments, options in batches(row, 0, 1, 2, 3, 4, 7, 9):
        value = loss.value(*arguments, **options)
        expected = plain(row[0], loss, arguments, options)
        assert abs(value - expected) <= 2e-13 * abs(expected) + 1e-14, (loss, options)
        assert value == loss.value_and_grad(*arguments, **options)[0]


def differences(function, x, step=1e-4):
    """Return derivatives by the elements of x, of the fourth order in the step."""
    g = np.zeros(x.shape)
    for i in np.ndindex(x.shape):
        parts = []
        for k in (1, 2):
            at = [x.copy(), x.copy()]
            at[0][i] += k * step
            at[1][i] -= k * step
            parts.append((function(at[0]) - function(at[1])) / (2 * k * step))
        g[i] = (4 * parts[0] - parts[1]) / 3
    return g


@every_row
def test_gradient_is_that_of_differences(row):
    name = row[0]
    for loss, arguments, options in batches(row, 5):
        x, second, w = arguments
        value = loss.value
        if getattr(loss, "detach_weights", False):
            def value(x_2, second, w, loss=loss, at=x, **options):
                return plain(name, loss, (x_2, second, w), options, frozen=at.tolist())
        grads = sides(loss.value_and_grad(*arguments, **options)[1])
        expected = [differences(lambda x: value(x, second, w, **options), x)]  # noqa: B023
        if two_sided(name):
            expected.append(differences(lambda z: value(x, z, w), second))  # noqa: B023
        elif options and not getattr(loss, "detach_weights", False):
            expected.append(differences(
                lambda z: value(x, second, w, refs=z, ref_labels=options["ref_labels"]),  # noqa: B023
                options["refs"]))
        for g, g_0 in zip(grads, expected, strict=False):
            scale = np.max(np.abs(g_0), initial=1e-3)
            assert np.max(np.abs(g - g_0)) <= 1e-7 * scale, (loss, bool(options))


@every_row
def test_parameters_are_those_of_differences(row):
    for loss, arguments, options in batches(row, 5):
        learned = loss.value_and_grad(*arguments, **options, parameters=True)[2]
        expected = {"temperature", "scale", "bias"} & set(loss._parameters())
        assert set(learned) == expected
        for key in expected:
            at = np.array([getattr(loss, key)])
            slope = differences(
                lambda v: loss.replace(**{key: v[0]}).value(*arguments, **options),  # noqa: B023
                at, 1e-3 * abs(at[0]))
            assert abs(learned[key] - slope[0]) <= 1e-8 * max(1, abs(slope[0])), (loss, key)

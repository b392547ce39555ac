"""Every loss is complete: class, function, oracle, kernel, tests, documentation."""

import dataclasses
import inspect
import re

import batches
import numpy as np
import pytest
from cases import CASES, seeded, snake
from paired import LOSSES as PAIRED

import fastloss as fl
from fastloss import reference
from fastloss._core import simd_level

CLASSES = {name: getattr(fl, name) for name in fl.__all__ if name.endswith("Loss")
           and name != "Loss"}
# of rows; those have no rows in CASES: tests/test_rowwise.py is theirs
ROWWISE = {name: cls for name, cls in CLASSES.items() if cls.sample == "row"}
# of embeddings; tests/batches.py and tests/embedding/test_paired.py list them
EMBEDDING = {name: cls for name, cls in CLASSES.items() if cls.takes("rows")}
POINTWISE = {name: cls for name, cls in CLASSES.items() if name not in {**ROWWISE, **EMBEDDING}}
KERNELS = simd_level.kernels.bind.__signatures__


def parameters_of(cls):
    return {field.name: field.default for field in dataclasses.fields(cls)}


def data_of(cls):
    """Return the names of the data, and of the options that a function has beside parameters."""
    value = inspect.signature(cls.value).parameters
    data = [name for name, item in value.items()
            if item.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD][1:]
    assert data.pop() == "sample_weight"
    options = {name for name, item in value.items() if item.kind is inspect.Parameter.KEYWORD_ONLY}
    in_order = [each.name for each in cls.inputs]
    assert [name for name in in_order if name not in options] == [*data, "sample_weight"]
    assert set(in_order[len(data) + 1:]) == options - {"out", "n_threads"}
    names = [each.called for each in cls.inputs if not each.optional]
    return names, {"sample_weight", *options}


def kernels_of(case):
    """Return the names of the loops that the drawn parameters lead to."""
    rng = seeded(case.name, "kernels")
    return {case.loss(**case.parameters(rng))._kernel_parameters()[0] for _ in range(100)}


every_loss = pytest.mark.parametrize("name", CLASSES)
every_embedding = pytest.mark.parametrize("name", EMBEDDING)
every_pointwise = pytest.mark.parametrize("name", POINTWISE)


def test_all_losses_are_listed():
    public = {name for name, value in vars(fl).items()
              if isinstance(value, type) and issubclass(value, fl.Loss) and value is not fl.Loss}
    assert public == set(CLASSES), "public classes and fastloss.__all__ differ"
    assert len(fl.__all__) == len(set(fl.__all__))
    for name in fl.__all__:
        assert hasattr(fl, name), f"fastloss.__all__ names {name}, which does not exist"


@every_pointwise
def test_loss_has_a_test_case(name):
    assert name in CASES, f"tests/cases.py has no row for {name}"


def test_every_test_case_is_of_a_loss():
    assert set(CASES) == set(POINTWISE)


def test_row_wise_losses_are_those_of_their_tests():
    assert set(ROWWISE) == {"CrossEntropyLoss"}, "tests/test_rowwise.py does not test them all"


def test_losses_of_embeddings_are_those_of_their_tests():
    assert set(EMBEDDING) == {name for name, _ in batches.TABLE} | set(PAIRED)
    assert set(EMBEDDING) == {name for name in fl.embedding.__all__
                              if name.endswith("Loss")}
    for name in fl.embedding.__all__:
        assert getattr(fl, name) is getattr(fl.embedding, name)


@every_loss
def test_loss_has_a_function(name):
    function = getattr(fl, snake(name), None)
    assert function is not None, f"fastloss has no {snake(name)}"
    assert snake(name) in fl.__all__, f"fastloss.__all__ lacks {snake(name)}"
    documented = re.findall(r"^(\w.*?)(?: :.*)?\n ", inspect.getdoc(function), re.MULTILINE)
    for key in inspect.signature(function).parameters:
        assert any(key in names.split(", ") for names in documented), f"{snake(name)}: {key}"


@every_loss
def test_a_call_takes_what_value_takes(name):
    call, value = (inspect.signature(getattr(CLASSES[name], method)).parameters
                   for method in ("__call__", "value"))
    assert {key: (item.kind, item.default) for key, item in call.items()} == {
        key: (item.kind, item.default) for key, item in value.items()}


@every_loss
def test_loss_has_an_oracle(name):
    oracle = getattr(reference, name, None)
    assert oracle is not None, f"fastloss.reference has no {name}"
    assert name in reference.__all__
    assert snake(name) in reference.__all__
    assert parameters_of(oracle) == parameters_of(CLASSES[name])
    assert callable(getattr(reference, snake(name)))
    assert "math" in (oracle.__doc__ or ""), f"reference.{name} does not say its formula"


@every_pointwise
def test_function_and_oracle_take_the_same_parameters(name):
    case = CASES[name]
    rng = seeded(name, "functions")
    for _ in range(10):
        parameters = case.parameters(rng)
        assert set(parameters) == set(parameters_of(CLASSES[name])) - {"reduction"}, (
            f"the row of {name} does not draw each parameter")
        p = case.draw_p(rng, 50, parameters)
        y = case.draw_y(rng, 50, p, False, parameters)
        w = rng.random(50)
        for reduction in ("mean", "sum", "sum_over_batch_size"):
            options = {**parameters, "reduction": reduction}
            got = getattr(fl, snake(name))(y, p, sample_weight=w, n_threads=1, **options)
            assert got == case.loss(**options)(y, p, w) or np.isnan(got)
            oracle = getattr(reference, snake(name))(y, p, sample_weight=w, **options)
            same = case.reference(**options)(y, p, w)
            assert oracle == same or np.isnan(same)
            if np.isfinite(same):
                assert abs(got - oracle) <= 1e-12 * abs(same)


# another value of each parameter than any loss's default
OTHERS = {"margin": 0.3, "distance": "cosine", "form": "linear", "pos_margin": 0.25,
          "similar_label": 0, "labels": (0, 1), "soft_margin": True, "mining": "all",
          "temperature": 0.8, "symmetric": True, "alpha": 3.0, "beta": 6.0, "base": 0.1,
          "gamma": 4.0, "detach_weights": False, "scale": 3.0, "bias": -2.0, "reduction": "sum"}


@every_embedding
def test_function_and_oracle_of_embeddings_take_the_same_parameters(name):
    rng = seeded(name, "functions")
    names, options = data_of(EMBEDDING[name])
    data = [0.4 * rng.normal(size=(40, 5)) for _ in names]
    if names[-1] in ("y", "labels"):
        data[-1] = rng.integers(0, 2 if names[-1] == "y" else 6, 40)
    refs = {"refs": 0.4 * rng.normal(size=(30, 5)), "ref_labels": rng.integers(0, 6, 30)}
    w, defaults = rng.uniform(0.5, 2, 40), parameters_of(EMBEDDING[name])
    function, oracle = getattr(fl, snake(name)), getattr(reference, snake(name))
    plain = function(*data, sample_weight=w)
    changes = [{}, *({key: OTHERS.get(key, not default)} for key, default in defaults.items())]
    for parameters in changes:
        # the gradient of detached weights alone is another one
        same = not parameters or "detach_weights" in parameters
        for more in ({}, refs) if "refs" in options else ({},):
            got = function(*data, sample_weight=w, n_threads=2, **parameters, **more)
            assert got == EMBEDDING[name](**parameters)(*data, w, **more)
            assert (got == plain) == (same and not more), f"no use is made of {parameters} {more}"
            expected = oracle(*data, sample_weight=w, **parameters, **more)
            assert expected == getattr(reference, name)(**parameters)(*data, w, **more)
            assert abs(got - expected) <= 1e-12 * abs(expected)
    assert function(*data) == EMBEDDING[name]()(*data) != plain
    with pytest.raises(TypeError, match="surprise"):
        function(*data, surprise=1)


@every_pointwise
def test_drawn_parameters_vary(name):
    case = CASES[name]
    rng = seeded(name, "vary")
    draws = [case.parameters(rng) for _ in range(200)]
    for key, default in parameters_of(CLASSES[name]).items():
        if key != "reduction":
            values = {draw[key] for draw in draws}
            assert len(values) > 1, f"{name}.{key} is never drawn differently"
            assert values != {default}


@every_loss
def test_loss_is_documented(name):
    text = inspect.getdoc(CLASSES[name]) or ""
    assert CLASSES[name].__doc__ != CLASSES[name].__base__.__doc__
    bases = [cls for cls in CLASSES[name].__mro__ if cls not in (fl.Loss, object)]
    assert any("References" in (cls.__doc__ or "") for cls in bases), f"{name} cites nothing"
    assert re.search(r"math::|\||²|max\(|ln ", text), f"{name}'s docstring has no formula"
    for key in parameters_of(CLASSES[name]):
        assert re.search(rf"\b{key}\b", text), f"{name}'s docstring does not name {key}"
    for section in ("Parameters", "Examples"):
        assert re.search(rf"^{section}\n-+$", text, re.MULTILINE), f"{name} has no {section}"
    function = inspect.getdoc(getattr(fl, snake(name))) or ""
    for section in ("Parameters", "Returns", "Raises"):
        assert re.search(rf"^{section}\n-+$", function, re.MULTILINE), f"{snake(name)}: {section}"


@every_pointwise
def test_loss_has_a_kernel(name):
    missing = kernels_of(CASES[name]) - set(KERNELS)
    assert not missing, f"pointwise.pxd lacks {missing}"


def test_every_kernel_is_tested():
    used = set().union(*(kernels_of(case) for case in CASES.values()))
    assert set(KERNELS) == used, f"kernels that no case leads to: {set(KERNELS) - used}"


def test_textbooks_are_those_of_the_oracle():
    # a row copied from another loss, with its formula forgotten, would be seen here
    for case in CASES.values():
        rng = seeded(case.name, "row")
        parameters = case.parameters(rng)
        p = np.abs(case.draw_p(rng, 1, parameters)) % 0.4 + 0.3
        value = case.reference(**parameters, reduction="none").value(np.ones(1), p)
        textbook = float(case.textbook(parameters, 1.0, p[0]))
        assert abs(value[0] - textbook) <= 1e-12 * abs(textbook)

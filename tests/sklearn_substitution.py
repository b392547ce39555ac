"""A pytest plugin: scikit-learn's own tests, with our metrics in place of its own.

Counted wrappers of ours go wherever the test modules hold theirs: in the modules' namespaces, and
in the containers and partials of tests and parameters. Kept are the tests that can reach one of
them, but for those in `LEFT_OUT`. At the end comes one line, ``SUBSTITUTED {...}``, with the
number of calls of each function.
"""

import collections
import functools
import json
from types import FunctionType

import sklearn.metrics

import fastloss.metrics

# part of a test's name: why it is left out
LEFT_OUT = {
    "array_api": "only NumPy's arrays are dispatched on, not those of other namespaces",
    "mixed_namespace": "only NumPy's arrays are dispatched on, not those of other namespaces",
}

calls = collections.Counter()
names = set()  # under which the test modules know our functions


def counted(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        calls[function.__name__] += 1
        return function(*args, **kwargs)

    return wrapper


ours = {getattr(sklearn.metrics, name): counted(getattr(fastloss.metrics, name))
        for name in fastloss.metrics.__all__}
wrappers = set(ours.values())


def substitute(value):
    """Return what stands in for a value that is, wraps or holds one of the functions."""
    if isinstance(value, FunctionType) and value in ours:
        return ours[value]
    if isinstance(value, functools.partial) and value.func in ours:
        return functools.partial(ours[value.func], *value.args, **value.keywords)
    if isinstance(value, dict):
        value.update({key: substitute(item) for key, item in value.items()})
    elif type(value) in (list, tuple):
        changed = [substitute(item) for item in value]
        if any(new is not old for new, old in zip(changed, value, strict=True)):
            return type(value)(changed)
    return value


def is_ours(value):
    if isinstance(value, functools.partial):
        return value.func in wrappers
    if type(value) in (list, tuple):
        return any(map(is_ours, value))
    return (value in names) if isinstance(value, str) else (
        isinstance(value, FunctionType) and value in wrappers)


def reaches(code):
    """Whether a function, or one defined in it, names one of the metrics."""
    inner = [const for const in code.co_consts if hasattr(const, "co_names")]
    return not names.isdisjoint(code.co_names) or any(map(reaches, inner))


def pytest_collection_modifyitems(config, items):
    for module in {item.module for item in items}:
        for name, value in list(vars(module).items()):
            if not name.startswith("__"):
                new = substitute(value)
                setattr(module, name, new)
                if isinstance(new, dict):
                    names.update(key for key, item in new.items() if is_ours(item))
                elif is_ours(new):
                    names.add(name)
    kept, left_out = [], []
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        params.update({key: substitute(value) for key, value in params.items()})
        relevant = any(map(is_ours, params.values())) or reaches(item.function.__code__)
        excluded = any(part in item.nodeid for part in LEFT_OUT)
        (kept if relevant and not excluded else left_out).append(item)
    config.hook.pytest_deselected(items=left_out)
    items[:] = kept


def pytest_sessionfinish():
    print(f"\nSUBSTITUTED {json.dumps(calls)}")

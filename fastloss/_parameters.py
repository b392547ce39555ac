"""Parameters of losses: immutable, checked when a loss is built."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Callable
from dataclasses import field, fields
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from typing import Self

Check = Callable[[str, Any], Any]
P = TypeVar("P", bound="Parametrised")


def scalar(value: Any) -> Any:
    """Return the element of an array without dimensions, and anything else unchanged."""
    if getattr(value, "shape", None) == () and not np.ma.is_masked(value):
        return np.asarray(value)[()]
    return value


def is_number(value: Any) -> bool:
    """Whether a value is a real number of Python or NumPy, and neither a bool nor a time."""
    return isinstance(value, numbers.Real) and not isinstance(value, (bool, np.timedelta64))


def number(
    low: float = -math.inf, high: float = math.inf, *,
    open_low: bool = False, open_high: bool = False,
) -> Check:
    """Return a check for a finite number from low to high, both included unless open."""
    wanted = "a finite number"
    if low > -math.inf:
        wanted += f" {'>' if open_low else '>='} {low:g}"
    if high < math.inf:
        wanted += f" and {'<' if open_high else '<='} {high:g}"

    def check(name: str, value: Any) -> float:
        given = scalar(value)
        if is_number(given):
            try:
                x = float(given)
            except OverflowError:  # an integer beyond every float
                x = math.inf
            if (math.isfinite(x) and low <= x <= high
                    and not (open_low and x == low) and not (open_high and x == high)):
                return x
        raise ValueError(f"{name} must be {wanted}, got {value!r}")

    return check


def outside(low: float, high: float) -> Check:
    """Return a check for a finite number that is not between low and high."""
    check_number = number()

    def check(name: str, value: Any) -> float:
        try:
            x: float = check_number(name, value)
        except ValueError:
            x = math.nan
        if x <= low or x >= high:
            return x
        raise ValueError(
            f"{name} must be a finite number <= {low:g} or >= {high:g}, got {value!r}")

    return check


def choice(*options: Any) -> Check:
    """Return a check that a value is one of the options."""
    listed = ", ".join(repr(option) for option in options[:-1]) + f" or {options[-1]!r}"

    def check(name: str, value: Any) -> Any:
        given = scalar(value)
        if isinstance(given, (list, np.ndarray)) and np.ndim(given):
            given = tuple(given)
        for option in options:
            if _is_option(given, option):
                return option
        raise ValueError(f"{name} must be {listed}, got {value!r}")

    return check


def _is_option(given: Any, option: Any) -> bool:
    """Whether a value equals an option: a string, a number, or a tuple of numbers or bools."""
    if isinstance(option, tuple):
        return (isinstance(given, tuple) and len(given) == len(option)
                and all(np.ndim(item) == 0 and item == each
                        for item, each in zip(given, option, strict=True)))
    if isinstance(option, str):
        return isinstance(given, str) and given == option
    return is_number(given) and bool(given == option)


def flag(name: str, value: Any) -> bool:
    """Return the value of a flag as a bool; raise ValueError if it is not True or False."""
    given = scalar(value)
    if isinstance(given, (bool, np.bool_)):
        return bool(given)
    raise ValueError(f"{name} must be True or False, got {value!r}")


def either(special: Any, check: Check) -> Check:
    """Return a check that takes a special value, and all that `check` takes."""

    def check_either(name: str, value: Any) -> Any:
        if value is special or (isinstance(special, str) and _is_option(scalar(value), special)):
            return special
        try:
            return check(name, value)
        except ValueError as error:
            message = str(error).replace("must be", f"must be {special!r} or", 1)
            raise ValueError(message) from None

    return check_either


def snake_case(name: str) -> str:
    """Return the name of a function for the name of a class: "log_loss" for "LogLoss"."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def parameter(default: Any, check: Check) -> Any:
    """Declare a parameter of a loss: a dataclass field with its check."""
    return field(default=default, metadata={"check": check})


class Parametrised:
    """Base of frozen keyword-only dataclasses with fields made by `parameter`."""

    def __post_init__(self) -> None:
        for item in fields(self):  # type: ignore[arg-type]
            value = item.metadata["check"](item.name, getattr(self, item.name))
            object.__setattr__(self, item.name, value)
        object.__setattr__(self, "_kernel", self._make_kernel())

    def _make_kernel(self) -> Any:
        """Return the object or bytes that hand the parameters to the compiled code."""
        raise NotImplementedError

    def _parameters(self) -> dict[str, Any]:
        return {item.name: getattr(self, item.name) for item in fields(self)}  # type: ignore[arg-type]

    def _defaults(self) -> dict[str, Any]:
        """Return the defaults of parameters; a name leaves out a parameter at its default."""
        return {item.name: item.default for item in fields(self)}  # type: ignore[arg-type]

    @property
    def _title(self) -> str:
        """The name to show."""
        return type(self).__name__

    def _word(self) -> str:
        """Return the name without parameters."""
        return snake_case(self._title)

    def _name(self) -> str:
        """Return the name of the function, with the parameters that differ from their defaults.

        For example "pinball_loss(quantile=0.9)"; without blanks, as boosters split their logs at
        blanks.
        """
        defaults = self._defaults()
        shown = [f"{name}={value!r}" for name, value in self._parameters().items()
                 if not (name in defaults and value == defaults[name])]
        return (self._word() + (f"({','.join(shown)})" if shown else "")).replace(" ", "")

    if TYPE_CHECKING:
        __name__: str   # of an object; a class has the one of its type
    else:
        __name__ = property(_name)

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(type(self), **self._parameters()), ()

    def __deepcopy__(self, memo: object) -> Self:
        return self     # a loss never changes

    def replace(self, /, **changes: Any) -> Self:
        """Return a loss like this one with some parameters changed.

        Raises
        ------
        TypeError
            If the loss has no such parameter.
        ValueError
            If a value is not valid for its parameter.
        """
        for name in changes:
            if name not in self._parameters():
                raise TypeError(f"{type(self).__name__} has no parameter {name!r}; "
                                f"it has {', '.join(self._parameters())}")
        return shared(type(self), *{**self._parameters(), **changes}.values())


def shared(cls: type[P], *values: Any) -> P:
    """Return ``cls`` with these values of its fields, in order, from a cache.

    The functions ask for their loss on every call. A loss is immutable, so calls can share it.
    """
    try:
        return _shared(cls, *values)  # type: ignore[arg-type, return-value]
    except TypeError:  # an unhashable value: let the parameter's check name it
        return _build(cls, *values)  # type: ignore[return-value]


def _build(cls: type[Parametrised], *values: Any) -> Parametrised:
    names = [item.name for item in fields(cls)]  # type: ignore[arg-type]
    return cls(**dict(zip(names, values, strict=True)))


_shared = lru_cache(maxsize=256, typed=True)(_build)

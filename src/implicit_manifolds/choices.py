"""Settings, checked where they are made: another word would give another law, and another number an error far away."""

import math
from dataclasses import fields
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from .errors import InputError


def check_choice(name: str, value: Any, choices: Any) -> None:
    """Raise InputError, naming all that is allowed, where `value` is none of `choices`, a Literal type."""
    allowed = get_args(choices)
    if value not in allowed:
        listed = ", ".join(repr(choice) for choice in allowed)
        raise InputError(f"{name} is {value!r}; it must be one of {listed}")


MAY_BE_NONE = ("warmup_steps", "doublings", "seed")
"""Whole numbers that may be zero; all others are at least one."""


def check_number(name: str, value: Any, count: bool) -> None:
    """Raise InputError where a setting is a number and negative, not finite, or, if it is a count, none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    least = 1 if count and name not in MAY_BE_NONE else 0
    if not math.isfinite(value) or value < least:
        raise InputError(f"{name} is {value}; it must be a finite number of at least {least}")


class Choices:
    """A dataclass whose fields of Literal types are checked when it is made. Raises InputError."""

    def __post_init__(self) -> None:
        """Check every field that has a choice."""
        hints = get_type_hints(type(self))
        for field in fields(self):  # type: ignore[arg-type]
            value, hint = getattr(self, field.name), hints[field.name]
            options = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
            literal = [option for option in options if get_origin(option) is Literal]
            if literal and not (value is None and type(None) in options):
                check_choice(field.name, value, literal[0])


class Settings(Choices):
    """A dataclass whose words and numbers are checked when it is made. Raises InputError."""

    def __post_init__(self) -> None:
        """Check every field: words by their Literal types, numbers for being finite and large enough."""
        super().__post_init__()
        hints = get_type_hints(type(self))
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            for number in value if isinstance(value, tuple) else (value,):
                check_number(field.name, number, _counts(hints[field.name]))


def _counts(hint: Any) -> bool:
    """Whether a type is that of whole numbers, or holds such."""
    return hint is int or any(_counts(part) for part in get_args(hint))

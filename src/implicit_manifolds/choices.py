"""Settings that must be one of a few words, checked where they are set: another word would give another law."""

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

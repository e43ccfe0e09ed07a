"""What the library raises, each in one sentence that says what to do."""


class InputError(ValueError):
    """Something the user gave cannot be used; the message is one sentence that says what to do.

    >>> im.nearest_points(model, [[1.0, 2.0, 3.0]])
    Traceback (most recent call last):
    implicit_manifolds.errors.InputError: ...
    """


class TrainingDiverged(ArithmeticError):
    """A term of the loss stopped being finite; the message names the step and the term."""


class Paused(RuntimeError):
    """Work that was given a time stopped at a saved state, from which it can go on."""


class ChainsStuck(RuntimeError):
    """Chains that did not move in the second half of warm-up."""


class DataUnavailable(RuntimeError):
    """A data file cannot be had or trusted; the message is one sentence that says what to do."""

"""What a sampler is: a pair of pure functions for one chain, over named tuples, as a pytree."""

from typing import Any, ClassVar, Protocol, runtime_checkable

from .._types import RandomKey, Vector


@runtime_checkable
class Sampler(Protocol):
    """A frozen dataclass registered as a pytree: what varies is a leaf, solvers and counts are static.

    >>> isinstance(mcmc.Langevin(lambda x: x[0]), mcmc.Sampler)
    True
    """

    def init(self, position: Vector, key: RandomKey | None = None) -> Any:
        """The state of a chain at `position` (n,), with a `position` of its own and what the next step can reuse."""
        ...

    def step(self, key: RandomKey, state: Any) -> tuple[Any, Any]:
        """One step of one chain: its state, and an Info that says, by `reason` for one, what became of the step."""
        ...


@runtime_checkable
class AdjustedSampler(Sampler, Protocol):
    """A sampler on {F = 0} whose Metropolis step makes the law exact, and which says so by `adjusted`.

    Its Info has an `acceptance_probability`, and `warm_up` can tune its `step_size`. tolerance: of ‖F‖ in its solves,
    None for what the dtype allows; reverse_tolerance: of reversed moves, None for one that fits.
    """

    adjusted: ClassVar[bool]
    mdf: Any
    step_size: Any
    tolerance: Any
    reverse_tolerance: Any

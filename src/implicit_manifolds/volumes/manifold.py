"""A manifold as a value: F, the box in which its zeros count, points known to lie there, and charts."""

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from .._types import MDF, Array, Float
from ..box import Box
from ..manifold.tangent import FramedMDF, codimension_of


class Atlas(NamedTuple):
    """Charts of M and how often each is drawn from.

    bases (b, n) on M; normals (b, k, n), orthonormal rows; radii (b,) of the tangent discs; probabilities (b,), which
    sum to 1. uncovered: share of M that no chart covers. inconsistent: share of overlaps in which one chart
    does not find the point of another. Both are estimates.
    """

    bases: Float[np.ndarray | Array, "b n"]
    normals: Float[np.ndarray | Array, "b k n"]
    radii: Float[np.ndarray | Array, " b"]
    probabilities: Float[np.ndarray | Array, " b"]
    uncovered: float | Float[Array, ""] = 0.0
    inconsistent: float | Float[Array, ""] = 0.0


@jax.tree_util.register_pytree_with_keys_class
@dataclass(frozen=True, eq=False)
class Manifold:
    """M = {x in the box: F(x) = 0}, with what is known of it.

    mdf F, (n,) -> (k,), a callable pytree, or of constant rank k (`FramedMDF`), such as a `Ridge`, with a domain of its
    own. box: what of {F = 0} lies outside is not M. anchors (a, n): points of M,
    such as projected data, or None where none are known. atlas: charts, which `cover` makes and nothing else: it is no
    argument, so `dataclasses.replace` with another F or box leaves none behind.

    >>> from implicit_manifolds.manifold.analytic import sphere
    >>> box = im.Box(jnp.full(3, -1.5), jnp.full(3, 1.5))
    >>> im.Manifold(sphere(1.0), box).dimension
    2
    """

    mdf: MDF
    box: Box
    anchors: Float[Array | np.ndarray, "*models anchors n"] | None = None
    atlas: Atlas | None = field(default=None, init=False)

    @property
    def codimension(self) -> int:
        """k, the number of constraints."""
        return codimension_of(self.mdf, jnp.asarray(self.box.low))

    @property
    def signed(self) -> bool:
        """Whether F is one number, whose sign tells the sides of M, so that lines and meshes can look for changes."""
        return self.codimension == 1 and not isinstance(self.mdf, FramedMDF)

    @property
    def ambient_dimension(self) -> int:
        """n, the number of coordinates."""
        return len(self.box.low)

    @property
    def dimension(self) -> int:
        """m = n - k."""
        return self.ambient_dimension - self.codimension

    def charted(self, atlas: Atlas | None) -> "Manifold":
        """The same M with these charts, which must be charts of it."""
        return self.tree_unflatten(None, (self.mdf, self.box, self.anchors, atlas))

    def tree_flatten_with_keys(self):
        """Children by name, for JAX."""
        names = ("mdf", "box", "anchors", "atlas")
        return [(jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in names], None

    @classmethod
    def tree_unflatten(cls, _, children) -> "Manifold":
        """A manifold of these children, for JAX."""
        made = object.__new__(cls)
        for name, child in zip(("mdf", "box", "anchors", "atlas"), children, strict=True):
            object.__setattr__(made, name, child)
        return made

"""Several models as one value, for `vmap`."""

from collections.abc import Sequence
from dataclasses import replace

import jax
import jax.numpy as jnp

from ..errors import InputError
from ..volumes.manifold import Atlas
from .model import EBIM


def stack(models: Sequence[EBIM]) -> EBIM:
    """Models of one kind as one, leaf by leaf, for `vmap` over its leading axis: an ensemble.

    Anchors are repeated and charts of no probability added where others have more.

    Arguments:
        models: fitted with the same settings, so that their networks have the same sizes.

    Returns:
        An `EBIM` whose leaves have a leading axis of as many models.

    Raises:
        InputError: the models differ in kind or size.

    >>> both = im.functional.stack([model, model])
    >>> jax.vmap(im.functional.energy, (0, None))(both, jnp.array([0.0, 1.0])).tolist()
    [0.0, 0.0]
    """
    charts = max(0 if one.manifold.atlas is None else len(one.manifold.atlas.bases) for one in models)
    anchors = max(0 if one.manifold.anchors is None else len(one.manifold.anchors) for one in models)
    alike = [_filled_up(one, anchors, charts) for one in models]
    try:
        return jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf) for leaf in leaves]), *alike)
    except ValueError as error:
        raise InputError("the models differ in kind or size; stack models that were fitted with one config") from error


def _filled_up(model: EBIM, anchors: int, charts: int) -> EBIM:
    def rows(leaf, count):
        return jnp.asarray(leaf)[jnp.arange(count) % len(leaf)]

    manifold = model.manifold
    known, atlas = manifold.anchors, manifold.atlas
    if atlas is not None:
        bases, normals, radii = (rows(leaf, charts) for leaf in atlas[:3])
        shares = jnp.pad(jnp.asarray(atlas.probabilities), (0, charts - len(atlas.bases)))
        atlas = Atlas(bases, normals, radii, shares, atlas.uncovered, atlas.inconsistent)
    filled = replace(manifold, anchors=None if known is None else rows(known, anchors))
    return replace(model, manifold=filled.charted(atlas))

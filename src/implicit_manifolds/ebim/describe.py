"""What the networks and energies of a model are, in words and numbers that JSON holds, and templates made from them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.tree_util import Partial

from .._types import callable_pytree
from ..errors import InputError
from ..manifold.algebra import Affine, PullBack, pull_back
from ..manifold.constant_rank import FramedPullBack
from ..manifold.ridge import Ridge
from ..networks.displacement import Displacement
from ..networks.energy import FourierEnergy
from ..networks.mixtures import EnergyMixture, PiecewiseMixture
from ..networks.mlp import MLP, EnergyMLP
from ..networks.normalization import SpectralLinear
from .kernels import KernelEnergy

OWN = "own"
"""The kind of what somebody wrote: it is named, and has to be given again."""


def described(part: Any) -> dict[str, Any]:
    """The kind and the sizes of a network or an energy; of what somebody wrote the name alone.

    Raises InputError for what this room makes and has no kind, such as a sum of energies: nobody could give it again.
    """
    for kind, (types, sizes, _) in KINDS.items():
        if type(part) is types:
            return {"kind": kind, **sizes(part)}
    made = part.func if isinstance(part, Partial) else type(part)
    made = made if hasattr(made, "__qualname__") else type(made)
    name = f"{made.__module__}.{made.__qualname__}"
    if name.startswith(__name__.rsplit(".", 1)[0] + "."):
        raise InputError(f"a {name.rsplit('.', 1)[1]} cannot be saved; {', '.join(KINDS)} and what you wrote can")
    return {"kind": OWN, "name": name}


def template_of(description: dict[str, Any], own: Any = None) -> Any:
    """A network or an energy of the described sizes, whose numbers mean nothing; `own` in place of what is not ours.

    Raises InputError where `own` is needed and not given.
    """
    sizes = dict(description)
    kind = sizes.pop("kind")
    if kind == OWN:
        if own is None:
            raise InputError(f"the model has a part of your own, {description['name']}; give it as mdf= or energy=")
        return callable_pytree(own)
    for name, size in sizes.items():
        if isinstance(size, dict):
            sizes[name] = template_of(size, own)
    return KINDS[kind][2](**sizes)


def _mlp_sizes(network: MLP) -> dict[str, Any]:
    shapes = [layer.kernel.shape for layer in network.layers]
    return {
        "sizes": [shapes[0][0], *(outputs for _, outputs in shapes)],
        "spectral_norm": isinstance(network.layers[0], SpectralLinear),
    }


def _mlp(sizes, spectral_norm) -> MLP:
    return MLP(sizes, spectral_norm=spectral_norm, rngs=nnx.Rngs(0))


def _energy_mlp(sizes, spectral_norm) -> EnergyMLP:
    return EnergyMLP(sizes[:-1], spectral_norm=spectral_norm, rngs=nnx.Rngs(0))


def _fourier_sizes(energy: FourierEnergy) -> dict[str, Any]:
    features, dimension = energy.frequencies[...].shape
    return {"dimension": dimension, "hidden": _mlp_sizes(energy.network)["sizes"][1:-1], "features": features}


def _fourier(dimension, hidden, features) -> FourierEnergy:
    return FourierEnergy(dimension, hidden, features, (1.0,), rngs=nnx.Rngs(0))


def _kernel_sizes(energy: KernelEnergy) -> dict[str, Any]:
    rows, centres = energy.bandwidths.shape
    return {"rows": rows, "centres": centres, "ambient": energy.centres.shape[1], "dimension": energy.dimension}


def _kernel(rows, centres, ambient, dimension) -> KernelEnergy:
    return KernelEnergy(jnp.zeros((centres, ambient)), jnp.zeros((rows, centres)), jnp.zeros(rows), dimension)


def _stacked_sizes(members) -> dict[str, Any]:
    """Of energies stacked along a leading axis."""
    count = jax.tree.leaves(members)[0].shape[0]
    return {"count": count, "member": described(jax.tree.map(lambda leaf: leaf[0], members))}


def _stacked(count, member):
    return jax.tree.map(lambda leaf: jnp.zeros((count, *jnp.shape(leaf)), jnp.result_type(leaf)), member)


def _mixture_sizes(energy: EnergyMixture) -> dict[str, Any]:
    kernel = None if energy.kernel is None else described(energy.kernel)
    return _stacked_sizes(energy.members) | {"kernel": kernel}


def _mixture(count, member, kernel) -> EnergyMixture:
    weights = jnp.zeros(count + (kernel is not None))
    return EnergyMixture(_stacked(count, member), kernel, weights)


def _piecewise_sizes(energy: PiecewiseMixture) -> dict[str, Any]:
    bases, dimension = energy.bases.shape
    parts = energy.log_weights.shape[0]
    return _stacked_sizes(energy.members) | {"parts": parts, "bases": bases, "dimension": dimension}


def _piecewise(count, member, parts, bases, dimension) -> PiecewiseMixture:
    points, owners = jnp.zeros((bases, dimension)), jnp.zeros(bases, int)
    return PiecewiseMixture(_stacked(count, member), points, owners, jnp.zeros((parts, count)))


def _displacement_sizes(network: Displacement) -> dict[str, Any]:
    sizes = _mlp_sizes(network.target)["sizes"]
    return {"dimension": sizes[0], "hidden": sizes[1:-1]}


def _displacement(dimension, hidden) -> Displacement:
    return Displacement(dimension, tuple(hidden), rngs=nnx.Rngs(0))


def _ridge_sizes(ridge: Ridge) -> dict[str, Any]:
    return {"field": described(ridge.field), "codimension": ridge.codimension}


def _ridge(field, codimension) -> Ridge:
    return Ridge(field, codimension, jnp.zeros(()), jnp.zeros(()))


def _pull_back_parts(mdf: PullBack | FramedPullBack) -> dict[str, Any]:
    return {"mdf": described(mdf.mdf), "transform": described(mdf.transform)}


def _affine_sizes(transform: Affine) -> dict[str, Any]:
    return {"scale": list(jnp.shape(transform.scale)), "shift": list(jnp.shape(transform.shift))}


def _affine(scale, shift) -> Affine:
    return Affine(jnp.zeros(scale), jnp.zeros(shift))


KINDS: dict[str, tuple[type, Callable[[Any], dict[str, Any]], Callable[..., Any]]] = {
    "mlp": (MLP, _mlp_sizes, _mlp),
    "displacement": (Displacement, _displacement_sizes, _displacement),
    "ridge": (Ridge, _ridge_sizes, _ridge),
    "energy mlp": (EnergyMLP, lambda energy: _mlp_sizes(energy.network), _energy_mlp),
    "fourier": (FourierEnergy, _fourier_sizes, _fourier),
    "kernel": (KernelEnergy, _kernel_sizes, _kernel),
    "mixture": (EnergyMixture, _mixture_sizes, _mixture),
    "pull back": (PullBack, _pull_back_parts, pull_back),
    "framed pull back": (FramedPullBack, _pull_back_parts, pull_back),
    "affine": (Affine, _affine_sizes, _affine),
    "piecewise": (PiecewiseMixture, _piecewise_sizes, _piecewise),
}
"""Of each kind its type, what gives its sizes, and what makes one of them; parts among these come as templates."""

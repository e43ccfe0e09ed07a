"""Chains of constrained HMC on ridges, learned and written down, against quadrature on the same ridge."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from scipy.spatial import KDTree
from scipy.stats import kstest

from experiments.laws.more_shapes import TURN, klein_point
from experiments.laws.shapes import torus_points
from implicit_manifolds import EBIM, Box
from implicit_manifolds._loops import over_points
from implicit_manifolds._pytree import pytree
from implicit_manifolds._types import MDF
from implicit_manifolds.manifold import Ridge, gradient_of, project
from implicit_manifolds.manifold.tangent import linearized
from implicit_manifolds.mcmc import ConstrainedHMC, run, summary

CHAINS, LEAPFROGS, LOOKS = 10_000, 3, 8
"""Chains, steps of each trajectory, and how often chains are looked at, evenly over the run."""
ALONG = 40_001
ACROSS = (401, 401)
WIDTH = 2.0


class Target(NamedTuple):
    """An energy slope · x in standardised units, and how long chains run: step size, and number of trajectories."""

    slope: tuple[float, ...]
    step_size: float
    trajectories: int


TARGETS = {
    "trefoil": Target((0.5, 0.25, 1.5), 0.5, 400),
    "klein_bottle": Target((1.0, 0.5, 1.0, -0.5), 0.35, 80),
    "valley": Target((1.0, 0.0), 0.35, 160),
}


class Pieces(NamedTuple):
    """A manifold of one or two dimensions in small pieces: centres (N, n), the length or area (N,) of each.

    A curve's are in order.
    """

    centres: np.ndarray
    sizes: np.ndarray
    dimension: int


def pieces(points: np.ndarray) -> Pieces:
    """The edges of a polygon with corners (c, n), or the quadrilaterals of a mesh (u, v, n); second order in both."""
    if points.ndim == 2:
        return Pieces((points[1:] + points[:-1]) / 2, np.linalg.norm(np.diff(points, axis=0), axis=1), 1)
    corners = np.stack([points[:-1, :-1], points[1:, 1:], points[1:, :-1], points[:-1, 1:]])
    first, second = corners[1] - corners[0], corners[3] - corners[2]
    gram = (first**2).sum(-1) * (second**2).sum(-1) - (first * second).sum(-1) ** 2
    return Pieces(corners.mean(axis=0).reshape(-1, points.shape[2]), np.sqrt(gram).ravel() / 2, 2)


def truth(name: str) -> np.ndarray:
    """Corners (c, 3) all along the trefoil, or (u, v, 4) all over the Klein bottle."""
    if name == "trefoil":
        angle = np.linspace(0, TURN, ALONG)
        return torus_points(2 * angle, 3 * angle)
    places = np.stack(np.meshgrid(*[np.linspace(0, TURN, count) for count in ACROSS], indexing="ij"), axis=-1)
    with jax.enable_x64(True):
        return np.asarray(jax.vmap(jax.vmap(klein_point))(jnp.asarray(places)))


def on_ridge(ridge: MDF, points: np.ndarray) -> np.ndarray:
    """Points (..., n) near a ridge, projected onto it in double. Raises ArithmeticError where one does not arrive."""
    with jax.enable_x64(True):
        found = over_points(project, jax.tree.map(_double, ridge), points.reshape(-1, points.shape[-1]).astype(float))
    if not found.converged.all():
        raise ArithmeticError(f"{(~found.converged).sum()} of {found.converged.size} points do not reach the ridge")
    return found.position.reshape(points.shape)


def _double(leaf):
    return jnp.asarray(leaf, jnp.float64) if jnp.issubdtype(jnp.result_type(leaf), jnp.floating) else leaf


def learned(model: EBIM, name: str, seed: int) -> dict[str, Any]:
    """Chains on the ridge that a model learned of a shape, from its anchors, judged by quadrature on that ridge."""
    manifold = model.manifold
    corners = on_ridge(manifold.mdf, np.asarray(model.scaling.standardize(truth(name))))
    starts = np.resize(np.asarray(manifold.anchors), (CHAINS, manifold.ambient_dimension))
    return judged(manifold.mdf, TARGETS[name], pieces(corners), starts, manifold.box, seed)


def judged(ridge: MDF, target: Target, of: Pieces, starts: np.ndarray, box: Box, seed: int) -> dict[str, Any]:
    """Kolmogorov distances of chains from quadrature, at the start, at each look and at the end; what steps did.

    They are of each coordinate, of the energy, and on a curve of the length along it.
    """
    slope = np.asarray(target.slope)
    energy = Partial(_linear, jnp.asarray(slope, starts.dtype))
    sampler = ConstrainedHMC(ridge, energy, target.step_size, num_steps=LEAPFROGS, box=box)
    chains = run(jax.random.key(seed), sampler, jnp.asarray(starts), LOOKS, target.trajectories // LOOKS)
    levels = of.centres @ slope
    mass = of.sizes * np.exp(levels.min() - levels) * box.on_host().contains(of.centres)
    tree = KDTree(of.centres)
    looks = [distances(of, mass, tree, slope, at) for at in (starts, *chains.positions)]
    told = summary(chains)
    return {
        **target._asdict(),
        "chains": len(starts),
        "dtype": str(chains.positions.dtype),
        "acceptance": told.acceptance,
        "reasons": told.reasons,
        "largest_residual": told.largest_residual,
        "non_finite": told.non_finite,
        "farthest": float(tree.query(chains.positions[-1])[0].max()),
        "spacing": float(of.sizes.max() ** (1 / of.dimension)),
        "largest_distances": [max(look.values()) for look in looks],
        "distances": looks[-1],
    }


def _linear(slope, x):
    return jnp.vdot(slope, x)


def distances(of: Pieces, mass: np.ndarray, tree: KDTree, slope: np.ndarray, drawn: np.ndarray) -> dict[str, float]:
    """Kolmogorov distance of drawn points (c, n) from the mass (N,) of pieces, by what is looked at.

    tree: of the pieces' centres, which say how far along a curve a point is.
    """
    drawn = drawn.astype(np.float64)
    looked = {f"x{i + 1}": (drawn[:, i], column) for i, column in enumerate(of.centres.T)}
    looked["energy"] = drawn @ slope, of.centres @ slope
    if of.dimension == 1:
        along = np.cumsum(of.sizes)
        looked["along"] = along[tree.query(drawn)[1]], along
    return {name: _kolmogorov(*pair, mass) for name, pair in looked.items()}


def _kolmogorov(drawn: np.ndarray, values: np.ndarray, mass: np.ndarray) -> float:
    order = np.argsort(values)
    total = np.cumsum(mass[order])
    middle = (total - mass[order] / 2) / total[-1]
    return float(kstest(drawn, lambda x: np.interp(x, values[order], middle)).statistic)


@pytree
@dataclass(frozen=True)
class WithoutTurning(Ridge):
    """A ridge whose Jacobian leaves out how its frame turns."""

    def linearize(self, x):
        """VᵀDF at x alone."""
        at = super().linearize(x)
        return linearized(x, at.residual, at.frame.T @ jax.jacfwd(self.field)(x), at.frame, at.within)


def _steep_valley(x):
    """A bent valley with so much slope along it that its ridge lies up to .3 beside its bottom."""
    return 2 * (x[1] - 0.8 * jnp.cos(1.5 * x[0])) ** 2 + 2 * x[0]


def valley(kind: type[Ridge], seed: int) -> dict[str, Any]:
    """Chains on the ridge of the valley by a `Ridge` of a kind, judged by quadrature on the ridge as it is."""
    ridge = Ridge(gradient_of(_steep_valley), 1, gap=0.05)
    across = np.linspace(-WIDTH - 0.3, WIDTH + 0.3, ALONG)
    of = pieces(on_ridge(ridge, np.column_stack([across, 0.8 * np.cos(1.5 * across)])))
    start = np.asarray(project(ridge, jnp.array([0.0, 0.8])).position)
    box = Box(jnp.array([-WIDTH, -3.0]), jnp.array([WIDTH, 3.0]))
    other = kind(ridge.field, 1, gap=ridge.gap)
    return judged(other, TARGETS["valley"], of, np.tile(start, (CHAINS, 1)), box, seed)

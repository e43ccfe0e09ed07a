"""Laws in closed form: what a sampler must get right before anything else."""

import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from scipy.special import gammaln, iv
from scipy.stats import special_ortho_group

from .._random import host_generator
from ..box import Box
from ..manifold.analytic import sphere, stiefel, torus
from .target import Quantity, Target


def _coordinate(index, x):
    return x[index]


def _square(index, x):
    return x[index] ** 2


def coordinate(index: int) -> Partial:
    """x -> x_i."""
    return Partial(_coordinate, index)


def square(index: int) -> Partial:
    """x -> x_i²."""
    return Partial(_square, index)


def flat(x):
    """No energy."""
    return jnp.zeros((), x.dtype)


def _directions(key, count, dimension):
    normal = host_generator(key).normal(size=(count, dimension))
    return normal / np.linalg.norm(normal, axis=1, keepdims=True)


def _along(concentration, x):
    return -concentration * x[0]


def von_mises_fisher(concentration: float = 10.0, dimension: int = 10) -> Target:
    """exp(κ x₀) on the unit sphere of R^n (Mardia & Jupp 2000, §9.3.2); the other directions are uniform."""
    order, kappa = dimension / 2 - 1, concentration
    mean = float(iv(order + 1, kappa) / iv(order, kappa))
    second = 1 - (dimension - 1) * mean / kappa
    fourth = _tilted_moment(kappa, dimension, 4)
    across = (1 - second) / (dimension - 1)
    quantities = {
        "x0": Quantity(coordinate(0), mean, float(np.sqrt(second - mean**2))),
        "x0²": Quantity(square(0), second, float(np.sqrt(fourth - second**2))),
        "x1": Quantity(coordinate(1), 0.0, float(np.sqrt(across))),
    }
    log_normalizer = (order + 1) * np.log(2 * np.pi) + np.log(iv(order, kappa)) - order * np.log(kappa)
    return Target(
        "von_mises_fisher", dimension, sphere(1.0), Partial(_along, kappa), "hausdorff",
        Partial(_starts_on_sphere, dimension), quantities, von_mises_fisher.__doc__ or "",
        log_normalizer=float(log_normalizer),
    )  # fmt: skip


def _starts_on_sphere(dimension, key, count):
    return _directions(key, count, dimension)


def _tilted_moment(kappa: float, dimension: int, power: int) -> float:
    angle = np.linspace(0, np.pi, 200_001)
    height = np.cos(angle)
    weight = np.exp(kappa * (height - 1)) * np.sin(angle) ** (dimension - 2)
    weight[[0, -1]] /= 2
    return float((weight * height**power).sum() / weight.sum())


def uniform_torus() -> Target:
    """Uniform by area on the torus of radii 1 and 1/2 (Diaconis, Holmes & Shahshahani 2013, §2.2)."""
    quantities = {
        "cos of the tube's angle": Quantity(Partial(_tube_cosine), 0.25, float(np.sqrt(0.5 - 0.25**2))),
        "x": Quantity(coordinate(0), 0.0, float(np.sqrt(0.5 * (1 + 2 * 0.5 * 0.25 + 0.25 * 0.5)))),
        "z²": Quantity(square(2), 0.125, float(np.sqrt(0.5**4 * 3 / 8 - 0.125**2))),
    }
    return Target(
        "uniform_torus", 3, torus(1.0, 0.5), Partial(flat), "hausdorff", Partial(_starts_on_torus), quantities,
        uniform_torus.__doc__ or "", log_normalizer=float(np.log(2 * np.pi**2)),
    )  # fmt: skip


def _tube_cosine(x):
    return (jnp.hypot(x[0], x[1]) - 1) / 0.5


def _starts_on_torus(key, count):
    ring, tube = host_generator(key).uniform(-np.pi, np.pi, (2, count))
    from_axis = 1 + 0.5 * np.cos(tube)
    return np.column_stack([from_axis * np.cos(ring), from_axis * np.sin(ring), 0.5 * np.sin(tube)])


def haar_rotations() -> Target:
    """Haar measure on SO(3), nine numbers and six constraints: the trace has mean 0 and mean square 1."""
    quantities = {
        "trace": Quantity(Partial(_trace), 0.0, 1.0),
        "trace²": Quantity(Partial(_squared_trace), 1.0, float(np.sqrt(2.0))),
        "x0²": Quantity(square(0), 1 / 3, float(np.sqrt(1 / 5 - 1 / 9))),
    }
    return Target(
        "haar_rotations", 9, stiefel(3), Partial(flat), "hausdorff", Partial(_rotations), quantities,
        haar_rotations.__doc__ or "", log_normalizer=float(np.log(16 * np.sqrt(2) * np.pi**2)),
    )  # fmt: skip


def _trace(x):
    return x[0] + x[4] + x[8]


def _squared_trace(x):
    return _trace(x) ** 2


def _rotations(key, count):
    turns = special_ortho_group.rvs(3, size=count, random_state=host_generator(key))
    return turns.reshape(count, 9)


AXES = np.array([1000.0, 10.0, 0.1])


def _ellipsoid(x):
    return jnp.sum((x / jnp.asarray(AXES, x.dtype)) ** 2, keepdims=True) - 1


def long_ellipsoid() -> Target:
    """Semi-axes 1000, 10 and 0.1, the point conditioned on F = 0: each x_i over its semi-axis is uniform in [-1, 1]."""
    quantities = {f"x{i}": Quantity(coordinate(i), 0.0, float(AXES[i] / np.sqrt(3))) for i in range(3)} | {
        f"x{i}²": Quantity(square(i), float(AXES[i] ** 2 / 3), float(AXES[i] ** 2 * np.sqrt(1 / 5 - 1 / 9)))
        for i in range(3)
    }
    # ∫ dH / |∇F| = ∏ a_i times that of the unit sphere, 4π / 2.
    return Target(
        "long_ellipsoid", 3, Partial(_ellipsoid), Partial(flat), "ambient", Partial(_starts_on_ellipsoid), quantities,
        long_ellipsoid.__doc__ or "", log_normalizer=float(np.log(2 * np.pi * AXES.prod())),
    )  # fmt: skip


def _starts_on_ellipsoid(key, count):
    return _directions(key, count, 3) * AXES


def _share(x):
    return jnp.sum(x, keepdims=True) - 1


def _dirichlet(x):
    return 0.5 * jnp.sum(jnp.log(x))


def dirichlet_simplex() -> Target:
    """Dirichlet(1/2, 1/2, 1/2) on the simplex, whose density has no bound at its edges."""
    quantities = {
        "x0": Quantity(coordinate(0), 1 / 3, float(np.sqrt(4 / 45))),
        "x0²": Quantity(square(0), 0.2, float(np.sqrt(1 / 9 - 0.04))),
        "log x0": Quantity(Partial(_log_first), -2.0, 2.0),
    }
    # Γ(½)³ / Γ(3/2) over the two free coordinates, √3 times that by area.
    return Target(
        "dirichlet_simplex", 3, Partial(_share), Partial(_dirichlet), "hausdorff", Partial(_starts_on_simplex),
        quantities, dirichlet_simplex.__doc__ or "", Box(np.zeros(3), np.full(3, np.inf)),
        float(3 * gammaln(0.5) - gammaln(1.5) + 0.5 * np.log(3)),
    )  # fmt: skip


def _log_first(x):
    return jnp.log(x[0])


def _starts_on_simplex(key, count):
    return host_generator(key).dirichlet(np.ones(3), count)

"""Densities by the measure of the coordinates that people have: per radian, per steradian, by Haar's."""

import jax
import jax.numpy as jnp
import numpy as np

from .._loops import over_points
from .._types import Float, Scalar
from ..coordinates import Coordinates
from . import pointwise
from .model import EBIM
from .verbs import SEARCHED, bare, log_density


def log_density_by_coordinates(
    model: EBIM, coordinates: Coordinates, values: Float[np.ndarray, "N c"]
) -> Float[np.ndarray, " N"] | None:
    """Log-density at rows of a table (N, c) by the measure of its coordinates; None where M has another dimension.

    p_M(π(x)) √det(AᵀA), A = Dπ T, x the row's point of R^n, π its nearest point of M and T the `Coordinates.frame`
    there: the change of measure from volume of M, exact however M lies beside the points that coordinates can mean.
    Radians, steradians and Haar's measure of total one; plain columns in their own unit.

    Arguments:
        model: fitted to `coordinates.embed` of a table.
        coordinates: what the table's columns mean.
        values: (N, c), rows of such a table.

    Returns:
        (N,), NaN where no nearest point is found; None where M has another dimension than the coordinates.

    >>> angle = np.linspace(0, 2 * np.pi, 4)[:, None]
    >>> turn = im.coordinates_of(["turn"], angle, angles="rad")
    >>> found = im.log_density_by_coordinates(model, turn, angle)  # uniform on a circle
    >>> bool(np.allclose(found, -np.log(2 * np.pi), atol=0.02))
    True
    """
    if model.manifold.dimension != coordinates.freedom:
        return None
    points = coordinates.embed(values)
    rows = (model.scaling.standardize(points), np.asarray(points, jnp.result_type(float)))
    stretch = over_points(_log_stretch, (bare(model), coordinates), rows, SEARCHED).astype(np.float64)
    return log_density(model, points).log_density + stretch + coordinates.log_scale


def _log_stretch(tree, row) -> Scalar:
    """½ log det AᵀA at one standardised point, given also in data units."""
    (model, coordinates), (z, x) = tree, row
    units = model.scaling.units_at(z)
    nearest = lambda y: pointwise.nearest_standard(model, y)[0]
    along = lambda direction: units * jax.jvp(nearest, (z,), (direction / units,))[1]
    columns = jax.vmap(along, in_axes=1)(coordinates.frame(x))
    return jnp.linalg.slogdet(columns @ columns.T)[1] / 2

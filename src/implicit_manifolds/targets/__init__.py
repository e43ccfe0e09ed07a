"""A public set of laws on level sets, for any sampler to be measured by: F, an energy, starts, and known means."""

from .known import dirichlet_simplex, haar_rotations, long_ellipsoid, uniform_torus, von_mises_fisher
from .linkages import four_bar, planar_polygon, spatial_loop
from .molecules import alanine_dipeptide, butane
from .score import Score as Score
from .score import score as score
from .surfaces import dumbbell_and_sphere
from .target import Quantity as Quantity
from .target import Target as Target

MADE_BY = {
    made.__name__: made
    for made in (
        uniform_torus,
        von_mises_fisher,
        haar_rotations,
        long_ellipsoid,
        dirichlet_simplex,
        dumbbell_and_sphere,
        butane,
        alanine_dipeptide,
        four_bar,
        planar_polygon,
        spatial_loop,
    )
}
"""Names of all targets, and what makes each."""

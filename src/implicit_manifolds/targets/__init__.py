"""A public set of laws on level sets, for any sampler to be measured by: F, an energy, starts, and known means."""

from . import factors, known, lifted, linkages, molecules, revolutes, surfaces
from .score import Score as Score
from .score import score as score
from .target import Quantity as Quantity
from .target import Target as Target

MADE_BY = {
    made.__name__: made
    for made in (
        known.uniform_torus,
        known.von_mises_fisher,
        known.haar_rotations,
        known.long_ellipsoid,
        known.dirichlet_simplex,
        surfaces.dumbbell_and_sphere,
        molecules.butane,
        molecules.alanine_dipeptide,
        linkages.four_bar,
        linkages.planar_polygon,
        linkages.spatial_loop,
        revolutes.seven_revolutes,
        factors.orthonormal_factors,
        lifted.fitzhugh_nagumo,
    )
}
"""Names of all targets, and what makes each."""

"""Pure functions of a model and one point, or a key: for anybody's `jit`, `vmap`, `grad`, `scan` and `export`."""

from .ebim.ensemble import stack as stack
from .ebim.functional import Draw as Draw
from .ebim.functional import Nearest as Nearest
from .ebim.functional import Sample as Sample
from .ebim.functional import draw as draw
from .ebim.functional import energy as energy
from .ebim.functional import log_density as log_density
from .ebim.functional import nearest_point as nearest_point
from .ebim.functional import residual as residual
from .ebim.functional import sample as sample
from .ebim.functional import score as score
from .ebim.functional import tangent_basis as tangent_basis
from .ebim.pointwise import Scored as Scored

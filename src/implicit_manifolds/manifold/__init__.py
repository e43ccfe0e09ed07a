"""Geometry of level sets {F = 0}: tangents, multipliers, projections, arithmetic, known examples."""

from .algebra import intersection as intersection
from .algebra import pull_back as pull_back
from .algebra import translate as translate
from .algebra import union as union
from .geodesics import Geodesic as Geodesic
from .geodesics import Transport as Transport
from .geodesics import exponential_map as exponential_map
from .geodesics import parallel_transport as parallel_transport
from .multipliers import MultiplierSolution as MultiplierSolution
from .multipliers import newton as newton
from .multipliers import quasi_newton as quasi_newton
from .nearest import NearestPoint as NearestPoint
from .nearest import nearest_point as nearest_point
from .paper_multipliers import gradient_descent as gradient_descent
from .paper_multipliers import lbfgs as lbfgs
from .projection import Projection as Projection
from .projection import project as project
from .projection import sampson_distance as sampson_distance
from .ridge import Ridge as Ridge
from .ridge import gradient_of as gradient_of
from .tangent import FramedMDF as FramedMDF
from .tangent import Linearization as Linearization
from .tangent import gram_solve as gram_solve
from .tangent import linearize as linearize
from .tangent import normal_projection as normal_projection
from .tangent import tangent_projection as tangent_projection

"""Learn a manifold as the zero set of a network, and a density on it: energy-based implicit manifolds in JAX."""

from . import baselines as baselines
from . import manifold as manifold
from . import mcmc as mcmc
from .box import Box as Box
from .certificate.parts import describe as describe
from .certificate.topology import topology as topology
from .ebim.arithmetic import intersect as intersect
from .ebim.arithmetic import translate as translate
from .ebim.contrastive import EnergyConfig as EnergyConfig
from .ebim.fit import FitConfig as FitConfig
from .ebim.fit import fit as fit
from .ebim.likelihood import LikelihoodConfig as LikelihoodConfig
from .ebim.manifold import ManifoldConfig as ManifoldConfig
from .ebim.model import EBIM as EBIM
from .ebim.model import log_density as log_density
from .ebim.model import nearest_points as nearest_points
from .ebim.model import sample as sample
from .ebim.score_matching import ScoreMatchingConfig as ScoreMatchingConfig
from .ebim.storage import load as load
from .ebim.storage import save as save
from .errors import InputError as InputError
from .errors import TrainingDiverged as TrainingDiverged
from .volumes.atlas import draw_pool as draw_pool
from .volumes.cover import cover as cover
from .volumes.manifold import Manifold as Manifold
from .volumes.pools import volume as volume

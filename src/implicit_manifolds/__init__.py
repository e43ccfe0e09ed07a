"""Learn a manifold as the zero set of a network, and a density on it: energy-based implicit manifolds in JAX."""

from .config import EnergyConfig as EnergyConfig
from .config import FitConfig as FitConfig
from .config import LikelihoodConfig as LikelihoodConfig
from .config import ManifoldConfig as ManifoldConfig
from .config import ScoreMatchingConfig as ScoreMatchingConfig
from .ebim import EBIM as EBIM
from .ebim import log_density as log_density
from .ebim import project_points as project_points
from .ebim import sample as sample
from .fit import fit as fit
from .points import InputError as InputError
from .storage import load as load
from .storage import save as save
from .training.loop import TrainingDiverged as TrainingDiverged

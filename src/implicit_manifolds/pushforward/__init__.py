"""The rivals: models that push a density of codes through a decoder, and ambient ones, with the verbs of an EBIM."""

from .config import AutoencoderConfig as AutoencoderConfig
from .config import FlowConfig as FlowConfig
from .config import FreeFormConfig as FreeFormConfig
from .config import LatentEnergyConfig as LatentEnergyConfig
from .config import NormalizedAutoencoderConfig as NormalizedAutoencoderConfig
from .fit import fit_ambient_ebm as fit_ambient_ebm
from .fit import fit_ambient_flow as fit_ambient_flow
from .fit import fit_autoencoder_ebm as fit_autoencoder_ebm
from .fit import fit_free_form_flow as fit_free_form_flow
from .fit import fit_inflated_flow as fit_inflated_flow
from .fit import fit_manifold_flow as fit_manifold_flow
from .model import Pushforward as Pushforward
from .model import PushforwardFit as PushforwardFit
from .model import image as image
from .model import log_density as log_density
from .model import project_points as project_points
from .model import sample as sample
from .nearest import nearest_points as nearest_points
from .normalized_autoencoder import fit_normalized_autoencoder as fit_normalized_autoencoder

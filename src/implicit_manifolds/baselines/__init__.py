"""The rivals: models that push a density of codes through a decoder, and ambient ones, with the verbs of an EBIM."""

from .autoencoder_ebm import AutoencoderConfig as AutoencoderConfig
from .autoencoder_ebm import fit_ambient_ebm as fit_ambient_ebm
from .autoencoder_ebm import fit_autoencoder_ebm as fit_autoencoder_ebm
from .flows import FlowConfig as FlowConfig
from .flows import fit_ambient_flow as fit_ambient_flow
from .flows import fit_inflated_flow as fit_inflated_flow
from .flows import fit_manifold_flow as fit_manifold_flow
from .free_form_flow import FreeFormConfig as FreeFormConfig
from .free_form_flow import fit_free_form_flow as fit_free_form_flow
from .latent_energy import LatentEnergyConfig as LatentEnergyConfig
from .model import Pushforward as Pushforward
from .model import PushforwardFit as PushforwardFit
from .model import image as image
from .model import log_density as log_density
from .model import reconstruct as reconstruct
from .model import sample as sample
from .nearest import nearest_points as nearest_points
from .normalized_autoencoder import NormalizedAutoencoderConfig as NormalizedAutoencoderConfig
from .normalized_autoencoder import fit_normalized_autoencoder as fit_normalized_autoencoder

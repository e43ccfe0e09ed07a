"""How large the image experiments are: seconds in CI, minutes on a CPU, or as in the paper."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from implicit_manifolds import EnergyConfig, ManifoldConfig
from implicit_manifolds.baselines import AutoencoderConfig, FreeFormConfig, NormalizedAutoencoderConfig
from implicit_manifolds.datasets.images import SHAPES, ImageData

Scale = Literal["smoke", "dry", "reduced", "paper"]
"""Seconds in CI; the networks of the paper with hardly an update, to see that they run; minutes on a CPU; the paper."""
GREY, COLOUR = 16, 32
"""Dimensions of manifolds and codes: of the paper, and about what Pope et al. (2021) estimate for CIFAR-10, 26."""
COLOUR_MIXER, PAPER_MIXER = (8, 128, 2), (4, 256, 4)
"""Patch, width and depth of networks of images in colour; and at the paper's scale, whose own are of grey ones."""
COLOUR_BUFFER = 2000
"""Chains kept in training at that scale in colour: a checkpoint holds them all."""
COLOUR_ISOMETRY, COLOUR_RESIDUAL_ISOMETRY = 120.0, 30.0
"""Weights of penalties, whose means are over four times as many constraints in colour; the second keeps ‖F‖ from
shrinking where the zeros come no nearer."""
TOLERANCE = 1e-3
"""Of ‖F‖ where points are projected; its gradients are near one, so that it is a thousandth of a pixel's range."""
CHAIN_TOLERANCE = 1e-2
"""Of ‖F‖ along chains: data lie two hundred times farther from the zeros."""


@dataclass(frozen=True)
class Settings:
    """All sizes of one scale. Lengths are in pixels of [0, 1].

    images: how many to train on. hidden: of perceptrons in place of the paper's convolutions, None for those.
    energy_hidden: of the perceptrons of codes, and of images where there are no convolutions. samples: fresh ones, to
    be judged. projected: images whose nearest zero is reported. on_manifold: training images that are projected, for
    energies on {F = 0} to learn from. trials: fresh samples by which the length of chains is chosen. shape, latent:
    of an image, rows, columns and channels, and the number of dimensions of the manifold or of a code. mixer: patch,
    width and depth of networks of patches, where these take the place of perceptrons.
    """

    images: int
    hidden: tuple[int, ...] | None
    energy_hidden: tuple[int, ...]
    manifold: ManifoldConfig
    energy: EnergyConfig
    autoencoder: AutoencoderConfig
    normalized: NormalizedAutoencoderConfig
    free_form: FreeFormConfig
    samples: int
    projected: int
    on_manifold: int
    trials: int
    shape: tuple[int, int, int] = (28, 28, 1)
    latent: int = GREY
    mixer: tuple[int, int, int] | None = None

    @property
    def pixels(self) -> int:
        """Numbers of an image."""
        return math.prod(self.shape)


LENGTHS = (0, 0.5, 1, 2, 4)
"""Lengths of fresh chains that are tried, in units of the mean age of the chains of training; 0 shows their starts."""


def mean_age(steps: int, replay_fraction: float) -> int:
    """Steps that chains of training have behind them, on average."""
    return round(steps / (1 - replay_fraction))


def manifold(**sizes) -> ManifoldConfig:
    """An isometry penalty in place of the paper's bounds on ‖Jᵀv‖, and no negatives.

    F starts as a plane and stays nearly isometric, so there are no stray zeros to remove. The penalty costs most of an
    update and is taken at a quarter of each batch.
    """
    return ManifoldConfig(
        rank_weight=0.0, isometry_weight=30.0, negative_weight=0.0, square_weight=0.0, learning_rate=0.001, **sizes
    )


def energy(noise_scale: float = 0.28, **sizes) -> EnergyConfig:
    """Chains at the temperature of exp(-E), on the manifold by scaled chords, which allow long steps.

    A weight b of the squares bounds what can be learned, |E| ≤ 1/(2b); 0.01 leaves 50 nats either way.
    """
    return EnergyConfig(
        noise_scale=noise_scale,
        square_weight=0.01,
        learning_rate=0.001,
        clip_norm=None,
        replay_fraction=0.8,
        solver="scaled-chord",
        tolerance=CHAIN_TOLERANCE,
        **sizes,
    )


def code_energy(settings: Settings, spread: float) -> EnergyConfig:
    """Training of an energy of codes: as of one of images, but codes vary by one in a direction, images by `spread`.

    More starts make samples of images better, and those of codes, if anything, worse.
    """
    noise_scale = settings.energy.noise_scale / spread
    return replace(settings.energy, noise_scale=noise_scale, hidden=settings.energy_hidden, starts=2000)


def normalized(**sizes) -> NormalizedAutoencoderConfig:
    """The squared error over the temperature is some 384 nats at data; squares of weight b bound it at 1/(2b) = 417.

    Unbounded, networks learn to amplify what noise negatives have, in ever steeper energies whose chains then diverge.
    Chains of codes start at one uniform code each: Jacobians of many, to choose from, cost more than all else.
    """
    return NormalizedAutoencoderConfig(
        square_weight=0.0012,
        learning_rate=0.0001,
        latent_noise=0.02,
        noise_scale=0.03,
        candidates=1,
        replay_fraction=0.8,
        **sizes,
    )


def free_form(**sizes) -> FreeFormConfig:
    """The least variance of pixels along a code's direction is near a half, so that β is to be above one.

    Of 2, 10 and 40, and noise .01 and .1, these came nearest to MNIST after a fifth of the updates.
    """
    return FreeFormConfig(reconstruction_weight=10.0, noise=0.1, **sizes)


SETTINGS: dict[Scale, Settings] = {
    "smoke": Settings(
        images=1000,
        hidden=(64,),
        energy_hidden=(32,),
        manifold=manifold(num_steps=300, batch_size=32, isometry_points=8),
        energy=energy(0.2, num_steps=100, batch_size=16, langevin_steps=1, buffer_size=64, starts=32),
        autoencoder=AutoencoderConfig(num_steps=100, batch_size=32),
        normalized=normalized(num_steps=30, batch_size=32, latent_steps=3, langevin_steps=3),
        free_form=free_form(num_steps=100, batch_size=32),
        samples=100,
        projected=32,
        on_manifold=128,
        trials=100,
    ),
    "dry": Settings(
        images=64,
        hidden=None,
        energy_hidden=(32,),
        manifold=manifold(num_steps=4, batch_size=4, isometry_points=1),
        energy=energy(0.2, num_steps=4, batch_size=4, langevin_steps=1, buffer_size=16, starts=8, max_iterations=5),
        autoencoder=AutoencoderConfig(num_steps=4, batch_size=4),
        normalized=normalized(num_steps=4, batch_size=4, latent_steps=1, langevin_steps=1),
        free_form=free_form(num_steps=4, batch_size=4),
        samples=8,
        projected=8,
        on_manifold=8,
        trials=8,
    ),
    "reduced": Settings(
        images=60_000,
        hidden=(512, 512),
        energy_hidden=(512, 512),
        manifold=manifold(num_steps=30_000, batch_size=128, isometry_points=32),
        # About one step in a hundred needs more iterations and is not taken: all chains of a batch would wait for it.
        energy=energy(
            num_steps=4000, batch_size=64, langevin_steps=2, buffer_size=4000, starts=10_000, max_iterations=15
        ),
        autoencoder=AutoencoderConfig(num_steps=30_000, batch_size=128, learning_rate=0.001),
        normalized=normalized(num_steps=4000, batch_size=64),
        free_form=free_form(num_steps=30_000, batch_size=128),
        samples=10_000,
        projected=256,
        on_manifold=30_000,
        trials=1000,
    ),
    "paper": Settings(
        images=60_000,
        hidden=None,
        energy_hidden=(512, 512),
        manifold=manifold(num_steps=46_800, batch_size=128, isometry_points=32),
        # More chains would make a checkpoint, which has moments of all parameters, too, larger than 40 MB.
        energy=energy(num_steps=93_700, batch_size=64, langevin_steps=5, buffer_size=3000, starts=10_000),
        autoencoder=AutoencoderConfig(num_steps=46_800, batch_size=128, learning_rate=1e-3, clip_norm=10.0),
        normalized=normalized(num_steps=46_800, batch_size=128),
        free_form=free_form(num_steps=46_800, batch_size=128),
        samples=10_000,
        projected=1024,
        on_manifold=60_000,
        trials=2000,
    ),
}


def settings_of(data: ImageData, scale: Scale) -> Settings:
    """Those of a scale, for a data set's images."""
    shape, settings = SHAPES[data], SETTINGS[scale]
    return settings if shape[2] == 1 else in_colour(settings, shape)


def in_colour(settings: Settings, shape: tuple[int, int, int]) -> Settings:
    """Networks of patches; at the paper's scale fewer chains are kept, at others half of the updates are made."""
    weights: dict[str, Any] = {"isometry_weight": COLOUR_ISOMETRY, "residual_isometry_weight": COLOUR_RESIDUAL_ISOMETRY}
    changes: dict[str, Any] = {"manifold": replace(settings.manifold, **weights)}
    changes["energy"] = replace(settings.energy, starts=settings.energy.starts // 2)
    coloured = replace(settings, shape=shape, latent=COLOUR, on_manifold=settings.on_manifold // 3, **changes)
    if settings.hidden is None:
        buffer = min(settings.energy.buffer_size, COLOUR_BUFFER)
        return replace(coloured, mixer=PAPER_MIXER, energy=replace(coloured.energy, buffer_size=buffer))
    halved: dict[str, Any] = {}
    for name in ("manifold", "energy", "autoencoder", "normalized", "free_form"):
        config = getattr(coloured, name)
        halved[name] = replace(config, num_steps=-(-config.num_steps // 2))
    return replace(coloured, mixer=COLOUR_MIXER, samples=min(settings.samples, 2000), **halved)

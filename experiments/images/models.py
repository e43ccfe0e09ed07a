"""The models of images: how each is trained, and how fresh samples are drawn from noise."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from experiments.images.files import kept
from experiments.images.networks import constraints, image_energy, pair
from experiments.images.noise import COMPONENTS, normal_noise, spread
from experiments.images.scales import Settings, code_energy, mean_age
from experiments.images.zeros import BLOCK, residuals, start_on, zeros_near
from implicit_manifolds import Box
from implicit_manifolds._loops import in_blocks
from implicit_manifolds._random import derived_keys, host_generator
from implicit_manifolds.baselines.autoencoder_ebm import train_networks
from implicit_manifolds.baselines.autoencoders import NetworkAutoencoder, codes_of, standardized_codes
from implicit_manifolds.baselines.free_form_flow import free_form_objective
from implicit_manifolds.baselines.normalized_autoencoder import (
    BoundedAutoencoder,
    NormalizedObjective,
    ReconstructionEnergy,
    energy_of_code,
)
from implicit_manifolds.ebim.contrastive import ContrastiveObjective, fit_contrastive
from implicit_manifolds.ebim.manifold import ManifoldObjective
from implicit_manifolds.ebim.score_matching import score_matching_loss
from implicit_manifolds.mcmc import Langevin, Reason, run
from implicit_manifolds.networks.plane import start_as_plane
from implicit_manifolds.networks.standardized import standardized
from implicit_manifolds.scaling import box_around
from implicit_manifolds.training import checkpoint
from implicit_manifolds.training.loop import History, train_afresh
from implicit_manifolds.training.objective import LossObjective

Model = Literal["ebim", "ebim_score_matching", "im", "ae_ebm", "vae_ebm", "nae", "fif"]
WIDE = 2.0
"""Chains on a manifold may leave [0, 1] by this much, since a blurred digit has pixels below zero."""
SCORE_TOLERANCE = 1e-3
"""Of conjugate gradients in score matching, whose probes are noisier by far."""
KL_WEIGHT = 1e-5
"""Beside the mean squared error of a pixel; much more blurs what is decoded."""


class Drawn(NamedTuple):
    """images (N, n); report: what the chains that ended in them say of themselves."""

    images: np.ndarray
    report: dict[str, float]


class ImageModel(NamedTuple):
    """A trained model: draw(key, count, steps) gives fresh samples, ends of chains of so many steps.

    project(images): what its manifold has in place of images (N, n), zeros that are reached or reconstructions.
    networks: all of it, by name; "mdf" is F, of models that have one. age: mean steps of training's chains, none for a
    model without. projecting: seconds between the trainings.
    """

    draw: Callable[[Any, int, int], Drawn]
    project: Callable[[np.ndarray], np.ndarray]
    histories: dict[str, History]
    networks: dict[str, Any]
    age: int = 0
    projecting: float = 0.0


class Stages(NamedTuple):
    """Options of trainings: of the manifold, which models of one seed share, and of what is a model's own."""

    shared: dict[str, Any]
    own: dict[str, Any]


def fit_image_model(
    name: Model, key, images: np.ndarray, settings: Settings, checkpoints: Path | None = None, progress: bool = False
) -> ImageModel:
    """Train on images (N, n) in [0, 1].

    Goes on from `checkpoints`, a directory of this key, data and settings, where there are any; raises InputError where
    it is another's. Models share their manifold there.
    """
    mesh = jax.make_mesh((jax.device_count(),), ("batch",)) if jax.device_count() > 1 else None
    shared: dict[str, Any] = {"progress": progress, "checkpoint_dir": checkpoints, "mesh": mesh}
    own = shared | {"checkpoint_dir": None if checkpoints is None else checkpoints / name}
    if checkpoints is not None:
        checkpoint.claim(checkpoints, key, images, repr((settings, COMPONENTS, KL_WEIGHT, WIDE)))
    return _FITS[name](key, jnp.asarray(images), settings, Stages(shared, own))


def fit_image_manifold(key, images, settings: Settings, options: dict[str, Any], plane: bool = True):
    """Step 1: F from (n,) to (n - m,), which starts as a plane unless told otherwise; and its history."""
    network_key, train_key = derived_keys(key, 2)
    objective = ManifoldObjective(pixel_box(settings), settings.manifold)
    mdf: Any = constraints(network_key, settings)
    mdf = start_as_plane(mdf, np.asarray(images), settings.latent) if plane else mdf
    state, history = train_afresh("manifold", train_key, mdf, objective, images, settings.manifold, **options)
    return state.model, history


def fit_ebim(loss: Literal["contrastive", "score-matching"], key, images, settings: Settings, stages) -> ImageModel:
    """Step 1, then an energy on {F = 0} of projected images; samples end constrained chains."""
    manifold_key, start_key, model_key, train_key = derived_keys(key, 4)
    mdf, history = fit_image_manifold(manifold_key, images, settings, stages.shared)
    zeros, projecting = zeros_near(mdf, images[: settings.on_manifold], stages.shared["checkpoint_dir"])

    def broad():
        # An energy whose negatives had begun near the kinds of data is a worse one within each kind.
        count = settings.energy.starts if loss == "contrastive" else 1
        return {"zeros": start_on(mdf, normal_noise(images), start_key, count)[0]}

    starts = kept(stages.own["checkpoint_dir"], "starts", broad)
    projecting += float(starts["seconds"])
    objective = chains(mdf, starts["zeros"], settings)
    trained_for = objective if loss == "contrastive" else LossObjective(Partial(Partial(_score_matching), mdf))
    data, config, options = jnp.asarray(zeros), settings.energy, stages.own
    energy = standardized(image_energy(model_key, settings), images)
    state, energy_history = train_afresh("energy", train_key, energy, trained_for, data, config, **options)
    sampler, noise = objective.sampler(state.model), normal_noise(images, COMPONENTS)

    def draw(key, count, steps):
        start_key, chain_key = derived_keys(key, 2)
        starts, lost = start_on(mdf, noise, start_key, count)
        drawn = chain_ends(sampler, chain_key, starts, steps)
        return drawn._replace(report=drawn.report | _of_zeros(mdf, drawn.images, lost))

    histories = {"manifold": history, "energy": energy_history}
    age = mean_age(config.langevin_steps, config.replay_fraction)
    return ImageModel(draw, _projected(mdf), histories, {"mdf": mdf, "energy": state.model}, age, projecting)


def fit_im(key, images, settings: Settings, stages) -> ImageModel:
    """Step 1 alone; samples are what the starts of an EBIM's chains are, and so show what its energy does."""
    mdf, history = fit_image_manifold(derived_keys(key, 4)[0], images, settings, stages.shared)
    noise = normal_noise(images, COMPONENTS)

    def draw(key, count, steps):
        drawn, lost = start_on(mdf, noise, key, count)
        return Drawn(drawn, _of_zeros(mdf, drawn, lost))

    return ImageModel(draw, _projected(mdf), {"manifold": history}, {"mdf": mdf})


def fit_autoencoder_energy(kl_weight: float | None, key, images, settings: Settings, stages) -> ImageModel:
    """A (variational) autoencoder, then an energy of its codes by contrastive divergence."""
    network_key, train_key, energy_key, start_key = derived_keys(key, 4)
    training = replace(settings.autoencoder, kl_weight=kl_weight)
    outputs = settings.latent if kl_weight is None else 2 * settings.latent
    networks = NetworkAutoencoder(*pair(network_key, settings, outputs), settings.latent)
    options = {name: stages.own[name] for name in ("progress", "checkpoint_dir")}
    networks, history = train_networks(train_key, networks, images, training, **options)
    autoencoder, codes = standardized_codes(networks, images)
    noise = normal_noise(codes, COMPONENTS)
    config = code_energy(settings, spread(images, settings.latent))
    starts = jnp.asarray(normal_noise(codes)(start_key, config.starts))
    box = box_around(codes, 0.25)
    energy, energy_history = fit_contrastive(energy_key, box, codes, starts, config, **options)
    sampler = Langevin(energy, config.noise_scale, config.drift_scale, config.gradient_clip)

    def draw(key, count, steps):
        drawn = ends_in_box(sampler, key, noise(key, count), steps, config.langevin_steps, box)
        return Drawn(decoded(autoencoder, drawn.images), drawn.report)

    histories = {"autoencoder": history, "energy": energy_history}
    trained = {"autoencoder": autoencoder, "energy": energy}
    age = mean_age(config.langevin_steps, config.replay_fraction)
    return ImageModel(draw, partial(reconstructed, autoencoder), histories, trained, age)


def fit_normalized(key, images, settings: Settings, stages) -> ImageModel:
    """An autoencoder, then its reconstruction error as an energy; samples are images of the ends of chains of codes.

    The chains of images, which training has after those of codes, would add noise to all pixels.
    """
    network_key, pretrain_key, train_key = derived_keys(key, 3)
    networks = BoundedAutoencoder(*pair(network_key, settings, settings.latent), settings.latent)
    options = {name: stages.own[name] for name in ("progress", "checkpoint_dir")}
    networks, history = train_networks(pretrain_key, networks, images, settings.autoencoder, **options)
    # Squared errors under exp(-E) have a mean of T/2 in each of the directions off the manifold: as many as the data's.
    error = np.mean(in_blocks(lambda rows: _errors(networks, rows), images, BLOCK))
    energy = ReconstructionEnergy(networks, 2 * float(error) / (settings.pixels - settings.latent))
    config, edges = settings.normalized, pixel_box(settings)
    objective = NormalizedObjective(edges, config)
    state, energy_history = train_afresh("energy", train_key, energy, objective, images, config, **options)
    trained = state.model
    noise = normal_noise(codes_of(trained.autoencoder, images), COMPONENTS)
    sampler = Langevin(Partial(energy_of_code, trained), config.latent_noise, gradient_clip=config.gradient_clip)

    def draw(key, count, steps):
        drawn = ends_in_box(sampler, key, noise(key, count), steps, config.latent_steps, (-1.0, 1.0))
        return Drawn(decoded(trained.autoencoder, drawn.images), drawn.report | {"temperature": trained.temperature})

    histories = {"autoencoder": history, "energy": energy_history}
    age = mean_age(config.latent_steps, config.replay_fraction)
    return ImageModel(draw, partial(reconstructed, trained.autoencoder), histories, {"energy": trained}, age)


def fit_free_form(key, images, settings: Settings, stages) -> ImageModel:
    """A free-form injective flow, whose samples are images of standard normal codes: no chains."""
    network_key, train_key = derived_keys(key, 2)
    networks = NetworkAutoencoder(*pair(network_key, settings, settings.latent), settings.latent)
    config, objective = settings.free_form, free_form_objective(settings.free_form)
    state, history = train_afresh("free-form flow", train_key, networks, objective, images, config, **stages.own)
    trained = state.model

    def draw(key, count, steps):
        codes = host_generator(key).normal(size=(count, settings.latent)).astype(np.float32)
        return Drawn(decoded(trained, codes), {})

    return ImageModel(draw, partial(reconstructed, trained), {"flow": history}, {"flow": trained})


def chains(mdf, starts, settings: Settings) -> ContrastiveObjective:
    """Contrastive training on {F = 0}, whose chains are those of sampling, too."""
    return ContrastiveObjective(mdf, jnp.asarray(starts), pixel_box(settings, WIDE), settings.energy)


def pixel_box(settings: Settings, wider: float = 0.0) -> Box:
    """Where pixels are, and somewhat beyond."""
    return Box(jnp.full(settings.pixels, -wider), jnp.full(settings.pixels, 1 + wider))


def decoded(autoencoder, codes: np.ndarray) -> np.ndarray:
    """Images (N, n) of codes (N, m)."""
    return in_blocks(lambda rows: _decoded(autoencoder, rows), codes, BLOCK)


def reconstructed(autoencoder, images: np.ndarray) -> np.ndarray:
    """Images (N, n) of their own codes."""
    return decoded(autoencoder, codes_of(autoencoder, images))


def chain_ends(sampler, key, starts, steps: int) -> Drawn:
    """Where chains from `starts` (N, ·) are after `steps` steps, and what became of their steps, by share.

    Ambient chains that met what is not finite are left out and counted; raises ArithmeticError where most did.
    """
    if steps == 0:
        return Drawn(starts, {"chains_lost": 0.0})
    found = run(key, sampler, starts, 1, steps, chunk_size=1)
    ambient = not hasattr(found.info, "iterations")
    off = ambient & (found.info.reason[:, Reason.NON_FINITE] > 0)
    lost = float(np.mean(off))
    if lost > 0.5:
        raise ArithmeticError(f"{lost:.0%} of the chains diverged; shorten their steps or clip their gradients")
    report = {"chains_lost": lost}
    if not ambient:
        (moved, _, failed, _, _, out), count = found.info.reason.mean(axis=0).tolist(), found.info.iterations.mean()
        report |= {"accepted": moved, "not_converged": failed, "out_of_bounds": out, "iterations": float(count)}
    return Drawn(found.positions[0][~off], report)


def ends_in_box(sampler, key, starts, steps: int, together: int, box) -> Drawn:
    """As `chain_ends`, of ambient chains that every `together` steps are brought back to a box, as in training."""
    box = [np.asarray(edge) for edge in box]
    codes, lost = np.clip(starts, *box), []
    for index, done in enumerate(range(0, steps, together)):
        drawn = chain_ends(sampler, jax.random.fold_in(key, index), codes, min(together, steps - done))
        codes = np.clip(drawn.images, *box)
        lost.append(drawn.report["chains_lost"])
    return Drawn(codes, {"chains_lost": sum(lost)})


def _projected(mdf):
    return lambda points: zeros_near(mdf, points, None)[0]


def _of_zeros(mdf, drawn, lost: float) -> dict[str, float]:
    return {"starts_lost": lost, "residual_max": float(residuals(mdf, drawn).max())}


@jax.jit
def _decoded(autoencoder, codes):
    return jax.vmap(autoencoder.decode)(codes)


@jax.jit
def _errors(autoencoder, points):
    return jax.vmap(lambda x: jnp.sum((x - autoencoder.decode(autoencoder.encode(x))) ** 2))(points)


def _score_matching(mdf, key, energy, batch):
    return score_matching_loss(key, mdf, energy, batch, tolerance=SCORE_TOLERANCE)


_FITS: dict[Model, Callable[..., ImageModel]] = {
    "ebim": partial(fit_ebim, "contrastive"),
    "ebim_score_matching": partial(fit_ebim, "score-matching"),
    "im": fit_im,
    "ae_ebm": partial(fit_autoencoder_energy, None),
    "vae_ebm": partial(fit_autoencoder_energy, KL_WEIGHT),
    "nae": fit_normalized,
    "fif": fit_free_form,
}

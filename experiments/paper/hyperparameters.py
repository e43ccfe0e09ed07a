"""The paper's hyperparameters, as their notebooks have them (Ross et al. 2023, appendix B gives some otherwise).

Differences that remain: batches are reshuffled, chains that fail to return to the manifold stay where
they were, and the multiplier solver is our default, which finds the same point.
"""

from implicit_manifolds import EnergyConfig, FitConfig, ManifoldConfig


def preset(
    *,
    box: tuple[float, ...],
    batch_size: int,
    manifold_steps: int,
    energy_steps: int,
    rank_weight: float,
    minimum_singular_value: float,
    energy_hidden: tuple[int, ...],
    energy_square_weight: float,
    noise_scale: float,
    drift_scale: float | None,
    gradient_clip: float,
    energy_buffer: int,
    hidden: tuple[int, ...] = (8, 8, 8),
    negative_weight: float = 0.3,
    langevin_steps: int = 10,
) -> FitConfig:
    """Their settings: no standardisation, no warm-up or restarts, a constant learning rate of 0.01."""
    manifold = ManifoldConfig(
        hidden=hidden,
        restarts=1,
        warmup_steps=0,
        num_steps=manifold_steps,
        batch_size=batch_size,
        learning_rate=0.01,
        decay=False,
        negative_weight=negative_weight,
        rank_weight=rank_weight,
        square_weight=1.0 if negative_weight else 0.0,
        minimum_singular_value=minimum_singular_value,
        langevin_steps=20,
        noise_scale=0.1,
        drift_scale=10.0,
        gradient_clip=0.03,
    )
    energy = EnergyConfig(
        hidden=energy_hidden,
        num_steps=energy_steps,
        batch_size=batch_size,
        learning_rate=0.01,
        decay=False,
        clip_norm=1.0,
        square_weight=energy_square_weight,
        langevin_steps=langevin_steps,
        noise_scale=noise_scale,
        drift_scale=drift_scale,
        gradient_clip=gradient_clip,
        buffer_size=energy_buffer,
    )
    return FitConfig(
        manifold, energy, energy_loss="contrastive", standardize=False, box_half_widths=box, manifold="zero-set"
    )

"""A neck and a gap
================

A surface of two parts: a dumbbell whose halves are joined by a neck of radius 0.15, and a sphere beside it. The
uniform law is simple to state and hard for anything that moves locally: a chain finds the neck rarely and the gap
never. Jumps drawn from charts cross both, and the law stays exact.
"""

import time

import jax
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds import mcmc, targets

# %%
# The surface is the zero set of one function, with starts on all parts and shares of the area known by quadrature.

target = targets.MADE_BY["dumbbell_and_sphere"]()
starts = target.starts(jax.random.key(0), 400).astype(np.float32)
sampler = mcmc.ConstrainedHMC(target.mdf, target.energy, num_steps=3, box=target.box)


def drawn(sampler):
    """Draws (chains, draws, 3) and their score, with what they cost."""
    began, cpu = time.perf_counter(), time.process_time()
    chains = mcmc.run(1, sampler, starts, 300, num_warmup=300)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    draws = np.swapaxes(chains.positions, 0, 1)
    found, told = targets.score(target, draws), mcmc.summary(chains)
    print(
        f"R-hat {found.largest_r_hat:.3g}, least ESS {found.least_ess:.0f}, largest |F| {found.residual:.1e}, ", end=""
    )
    print(f"refused {1 - told.reasons['ACCEPTED']:.1%}; {wall:.0f} s, {cpu:.0f} CPU s with compilation and warm-up")
    return draws, found


local, local_score = drawn(sampler)

# %%
# Every chain that began on the sphere is still there, so the shares are those of the starts, and R-hat tells. With
# charts over all parts, each step is followed by a jump to a fresh point of the surface, taken or not by its density.

covered = im.cover(jax.random.key(2), im.Manifold(target.mdf, target.box, starts))
jumping = mcmc.ConstrainedHMC(target.mdf, target.energy, num_steps=3, box=target.box, atlas=covered.atlas)
draws, score = drawn(jumping)
for name, quantity in target.quantities.items():
    error = quantity.deviation / np.sqrt(score.ess[name])
    print(f"{name}: {score.mean[name]:.4f} ± {error:.4f}, by quadrature {quantity.mean:.4f}")
assert local_score.largest_r_hat > 1.1
assert score.largest_r_hat < 1.01
assert score.largest_z < 4.5

# %%
# Above, the last draws of all chains with jumps; below, how the share of draws on each part goes from that of the
# starts to that of the area, and does not without jumps.

parts = {"left lobe": "#2a6f97", "right lobe": "#d1495b", "sphere": "#7a9e48"}
which = {name: np.asarray(jax.vmap(jax.vmap(target.quantities[name].function))(draws)) for name in parts}
without = {name: np.asarray(jax.vmap(jax.vmap(target.quantities[name].function))(local)) for name in parts}
figure, (above, below) = plt.subplots(2, 1, figsize=(6.4, 5.6), height_ratios=[1.2, 1], layout="constrained")
for name, colour in parts.items():
    here = draws[:, -10:][which[name][:, -10:] > 0]
    above.plot(here[:, 0], here[:, 1], ".", markersize=2, color=colour, label=name)
    steps = np.arange(1, 1 + draws.shape[1])
    below.plot(steps, which[name].mean(axis=0).cumsum() / steps, color=colour)
    below.plot(steps, without[name].mean(axis=0).cumsum() / steps, ":", color=colour)
    below.axhline(target.quantities[name].mean, color=colour, linewidth=0.6)
above.set(aspect="equal", xlabel="x", ylabel="y")
above.legend(loc="upper center", frameon=False, ncols=3, markerscale=5)
above.set_ylim(-1.4, 1.9)
below.set(xlabel="draws of each chain", ylabel="share of draws so far", ylim=(0.25, 0.45))
below.plot([], [], "k", label="with jumps")
below.plot([], [], "k:", label="without")
below.plot([], [], "k", linewidth=0.6, label="share of the area")
below.legend(loc="upper right", frameon=False, ncols=3)
plt.show()

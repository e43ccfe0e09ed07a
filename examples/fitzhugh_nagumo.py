"""A neuron seen without noise
===========================

The voltage x of a model neuron (FitzHugh 1961; Nagumo et al. 1962) is read 40 times, exactly. Noise acts inside the
neuron alone, on its recovery z, which nobody sees. Which parameters, and which paths, can have made these readings? A
likelihood cannot be written down, and readings without noise cannot be weighed. But parameters, initial state and
noise are inputs of a simulator, and those that give these readings exactly are a manifold in the space of inputs: its
chains are draws of parameters and path together. The figures show both.
"""

import time

import jax
import matplotlib.pyplot as plt
import numpy as np
from arviz_stats.base import array_stats

import implicit_manifolds as im
from implicit_manifolds.targets import lifted

jax.config.update("jax_enable_x64", True)

# %%
# dx = (x - x³ - z)/ε dt and dz = (γx - z + β) dt + σ dB, in 200 steps of 0.05, all units being the model's own. The 206
# inputs u are standard normal: four parameters, the initial state and 200 increments of noise. What was read is
# F(u) = 0, forty equations, and the posterior is the prior conditioned on them (Graham & Storkey 2017), which is what
# measure "ambient" means. Chains start at draws of the prior, projected.

law = lifted.fitzhugh_nagumo()
CHAINS, DRAWS, FORGOTTEN = 8, 400, 60
starts = law.starts(jax.random.key(0), CHAINS)
sampler = im.mcmc.ConstrainedHMC(
    law.mdf, law.energy, step_size=lifted.STEP_SIZE, max_steps=lifted.MAX_STEPS, measure=law.measure
)
im.mcmc.run(0, sampler, starts, 1)  # compiles, so that the clock does not see it
wall, cpu = time.perf_counter(), time.process_time()
chains = im.mcmc.run(jax.random.key(1), sampler, starts, FORGOTTEN + DRAWS)
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
chains = chains._replace(positions=chains.positions[FORGOTTEN:])

# %%
# Trajectories refused by cause, distance from F = 0, and what the chains are worth.

found = im.mcmc.summary(chains)
print({name: f"{share:.2%}" for name, share in found.reasons.items() if share}, f"|F| to {found.largest_residual:.0e}")
print(f"{wall:.0f} s, {cpu:.0f} s of CPU; all inputs: R-hat to {found.r_hat.max():.3f}, ", end="")
print(f"ESS from {found.ess_bulk.min():.0f}")
draws = chains.positions.swapaxes(0, 1)
values = {name: np.asarray(jax.jit(jax.vmap(jax.vmap(f)))(draws)) for name, f in lifted.FUNCTIONS.items()}
truth = {name: float(f(lifted.true_inputs())) for name, f in lifted.FUNCTIONS.items()}
print(f"{'':>12} {'truth':>7} {'mean':>7} {'sd':>6} {'R-hat':>6} {'ESS':>5} {'z':>5}")
for name, value in values.items():
    r_hat = float(array_stats.rhat(value, method="rank", chain_axis=0, draw_axis=1))
    ess = float(array_stats.ess(value, method="bulk", chain_axis=0, draw_axis=1))
    known = law.quantities[name]
    z = (value.mean() - known.mean) / np.hypot(known.deviation / ess**0.5, known.standard_error)
    print(f"{name:>12} {truth[name]:7.3f} {value.mean():7.3f} {value.std():6.3f} {r_hat:6.3f} {ess:5.0f} {z:5.1f}")
    assert r_hat < 1.01
    assert abs(z) < 4
    assert np.quantile(value, 0.0005) < truth[name] < np.quantile(value, 0.9995)
assert found.largest_residual < 1e-8

# %%
# `python -m benchmarks.constrained_targets --targets fitzhugh_nagumo` compares with mici, one chain after the other.

# %%
# Parameters: prior, posterior and truth.

flat = draws.reshape(-1, law.dimension)
prior = np.random.default_rng(0).standard_normal((20_000, law.dimension))
names = {"sigma": "noise σ", "epsilon": "time scale ε", "gamma": "coupling γ", "beta": "stimulus β"}
told = [lifted.parameters(inputs.T) for inputs in (prior, flat, lifted.true_inputs())]
figure, panels = plt.subplots(1, 4, figsize=(10, 2.8), layout="constrained")
for panel, (name, label) in zip(panels, names.items(), strict=True):
    before, after, true = (np.asarray(getattr(neuron, name)) for neuron in told)
    edges = np.linspace(*np.quantile(before, [0.002, 0.998]), 70)
    panel.hist(before, edges, density=True, color="0.75", label="prior")
    panel.hist(after, edges, density=True, color="C0", alpha=0.7, label="posterior")
    panel.axvline(true, color="#d1495b", label="truth")
    panel.set(xlabel=f"{label} (model units)", yticks=[])
panels[0].set_ylabel("density per model unit")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
plt.show()

# %%
# Paths: x goes through every reading, and between them it is known nearly as well. z was never seen.

paths = np.asarray(jax.jit(jax.vmap(lifted.path))(flat[::4]))
true_path = np.asarray(lifted.path(lifted.true_inputs()))
steps = lifted.STEP * np.arange(1, lifted.SEEN * lifted.STEPS + 1)
read = steps[lifted.STEPS - 1 :: lifted.STEPS]
figure, panels = plt.subplots(2, 1, figsize=(9, 4.8), sharex=True, layout="constrained")
for panel, coordinate, label in zip(panels, range(2), ("voltage x", "recovery z"), strict=True):
    low, high = np.quantile(paths[..., coordinate], [0.025, 0.975], axis=0)
    panel.fill_between(steps, low, high, color="C0", alpha=0.35, linewidth=0, label="posterior, 95%")
    panel.plot(steps, paths[::150, :, coordinate].T, color="C0", linewidth=0.5)
    panel.plot(steps, true_path[:, coordinate], color="#d1495b", linewidth=1, label="truth")
    panel.set(ylabel=f"{label} (model units)")
panels[0].plot(read, lifted.neuron_data(), "o", color="black", markersize=3, label="read")
panels[1].set_xlabel("time (model units)")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
plt.show()

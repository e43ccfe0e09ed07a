"""Factors that are orthonormal
============================

Ten sensors see three hidden signals through noise. In which directions of R¹⁰ do the signals enter, how strong are
they, and how sure is that? The directions are three orthonormal columns, a point of a Stiefel manifold: chains draw
from the posterior there, as it is. The usual way is to unroll the manifold by Householder reflections and sample
their vectors in flat space; here both do the same data, and must agree. The figures show what was learned, and how
the two compare.
"""

import dataclasses
import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import numpyro
import numpyro.distributions as dist
from arviz_stats.base import array_stats
from numpyro.infer import MCMC, NUTS

import implicit_manifolds as im
from implicit_manifolds.targets import factors

jax.config.update("jax_enable_x64", True)

# %%
# A row of data is y = W diag(s) z + σe with z and e standard normal. Both are integrated out (Tipping & Bishop 1999),
# so the posterior is one of W, three scales s and the noise σ: 34 numbers, of which 6 are held by WᵀW = I. W is uniform
# a priori, which on the manifold is an energy of zero. Starts are uniform too.

law = factors.orthonormal_factors()
CHAINS, DRAWS = 8, 1500
starts = law.starts(jax.random.key(0), CHAINS)
sampler = im.mcmc.ConstrainedHMC(law.mdf, law.energy, step_size=factors.STEP_SIZE, max_steps=factors.MAX_STEPS)
# Where chains start the energy is steep, and steps of the size that suits the law would be refused.
careful = dataclasses.replace(sampler, step_size=factors.STEP_SIZE / 3)
near = im.mcmc.run(jax.random.key(1), careful, starts, 300).positions[-1]


def timed(run):
    """What `run()` returns, and the seconds of CPU it took."""
    began = time.process_time()
    return jax.block_until_ready(run()), time.process_time() - began


chains, seconds = timed(lambda: im.mcmc.run(jax.random.key(2), sampler, near, DRAWS))
found = im.mcmc.summary(chains)
print(
    {name: f"{share:.2%}" for name, share in found.reasons.items() if share},
    f"largest |F| {found.largest_residual:.0e}",
)
assert found.largest_residual < 1e-10

# %%
# The rival, by the published formulas (Nirwan & Bertschinger 2019; Pourzanjani et al. 2021): v₁, v₂, v₃ of 10, 9 and 8
# standard normal numbers, and W = H₁H₂H₃I, where H(v) reflects the first axis onto the direction of v and acts on the
# last rows alone. W is then uniform. One sign differs: theirs is that of the first number of v, where W jumps and the
# steps of NumPyro's no-U-turn sampler came out tens of times too short in half of the chains.


def reflected(columns, v):
    """H(v) times some columns, of which the last rows turn: I - 2uuᵀ, u along v - ‖v‖e₁."""
    mirror = v.at[0].add(-jnp.linalg.norm(v))
    mirror /= jnp.linalg.norm(mirror)
    above, rows = columns[: -len(v)], columns[-len(v) :]
    return jnp.concatenate([above, rows - 2 * jnp.outer(mirror, mirror @ rows)])


def frame(vectors):
    """W (10, 3) of v₁, v₂, v₃; the shortest acts first."""
    columns = jnp.eye(factors.FEATURES)[:, : factors.FACTORS]
    for v in reversed(vectors):
        columns = reflected(columns, v)
    return columns


def unrolled():
    """The same posterior in flat space."""
    normal = lambda name, size: numpyro.sample(name, dist.Normal().expand([size]).to_event(1))
    loadings = frame([normal(f"v{i}", factors.FEATURES - i) for i in range(factors.FACTORS)])
    parts = factors.Factors(loadings, normal("log scales", factors.FACTORS), numpyro.sample("log noise", dist.Normal()))
    numpyro.factor("data", -factors.minus_log_likelihood(SCATTER, parts))
    numpyro.deterministic("point", factors.packed(parts))


SCATTER = factors.factor_data().T @ factors.factor_data()
rival = MCMC(
    NUTS(unrolled), num_warmup=500, num_samples=DRAWS, num_chains=CHAINS, chain_method="vectorized", progress_bar=False
)
rival.warmup(jax.random.key(3), collect_warmup=False)
rival.run(jax.random.key(4))  # compiles
# Draws are asked for within: NumPyro returns before they are there.
_, rival_seconds = timed(lambda: (rival.run(jax.random.key(5)), rival.get_samples())[1])

# %%
# The data do not tell a column from its negative, nor the order of the columns, so only what is the same for all of
# them can be compared. Means must agree within their standard errors.

draws = {
    "on the manifold": (np.swapaxes(chains.positions, 0, 1), seconds),
    "unrolled": (np.asarray(rival.get_samples(group_by_chain=True)["point"]), rival_seconds),
}
table = {}
for name, function in factors.FUNCTIONS.items():
    both = [np.asarray(jax.jit(jax.vmap(jax.vmap(function)))(points)) for points, _ in draws.values()]
    ess = np.array([float(array_stats.ess(values, method="mean", chain_axis=0, draw_axis=1)) for values in both])
    r_hat = [float(array_stats.rhat(values, method="rank", chain_axis=0, draw_axis=1)) for values in both]
    means, errors = [values.mean() for values in both], [values.std() for values in both] / np.sqrt(ess)
    table[name] = means, errors, ess, r_hat
    told = "  ".join(f"{m:7.3f} ± {e:.3f} (R-hat {r:.3f})" for m, e, r in zip(means, errors, r_hat, strict=True))
    print(f"{name:>18}: {told}  off by {(means[0] - means[1]) / np.hypot(*errors):4.1f} errors")
least = np.min([row[2] for row in table.values()], axis=0)
for (name, (_, spent)), size in zip(draws.items(), least, strict=True):
    print(f"{name}: least effective size {size:.0f} in {spent:.1f} s of CPU, {size / spent:.0f} a second")
assert max(row[3][0] for row in table.values()) < 1.01
assert max(row[3][1] for row in table.values()) < 1.02
assert all(abs(means[0] - means[1]) < 4 * np.hypot(*errors) for means, errors, _, _ in table.values())
for name, (means, errors, _, _) in table.items():  # and with what is known of the target, from a run of 160,000 draws
    assert abs(means[0] - law.quantities[name].mean) < 4 * np.hypot(errors[0], law.quantities[name].standard_error)

# %%
# How much of each sensor lies in the space of the three signals: the diagonal of WWᵀ, with 90% of the posterior. The
# truth is a cross. On the right, effective draws a second of CPU of each compared quantity.

points = draws["on the manifold"][0].reshape(-1, law.dimension)
loadings = points[:, : factors.FRAME].reshape(-1, factors.FEATURES, factors.FACTORS)
shares = np.sum(loadings**2, axis=2)
low, middle, high = np.quantile(shares, [0.05, 0.5, 0.95], axis=0)
truth = np.sum(factors.true_loadings() ** 2, axis=1)
inside = np.mean((truth > low) & (truth < high))
print(f"{inside:.0%} of the true shares lie within their 90%")
assert np.all((truth > shares.min(axis=0)) & (truth < shares.max(axis=0)))

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.9), layout="constrained")
sensors = np.arange(1, factors.FEATURES + 1)
left.errorbar(sensors, middle, [middle - low, high - middle], fmt="o", color="C0", capsize=3, label="posterior, 90%")
left.plot(sensors, truth, "x", color="#d1495b", markersize=8, markeredgewidth=2, label="truth")
left.set(xlabel="sensor", ylabel="share in the space of the signals", ylim=(0, 1), xticks=sensors)
left.legend(frameon=False)
speeds = np.array([row[2] for row in table.values()]) / np.array([seconds, rival_seconds])
rows = np.arange(len(table))
for offset, speed, name, colour in zip((0.2, -0.2), speeds.T, draws, ("C0", "0.6"), strict=True):
    right.barh(rows + offset, speed, 0.38, color=colour, label=name)
right.set(yticks=rows, yticklabels=list(table), xlabel="effective draws per second of CPU")
figure.legend(*right.get_legend_handles_labels(), loc="outside lower right", ncols=2, frameon=False)
plt.show()

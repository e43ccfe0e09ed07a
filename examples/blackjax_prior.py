"""A learned manifold as prior in BlackJAX
=======================================

An oscillator runs round a cycle that is known from records alone: they show where it is and how long the oscillator
stays in each part of it. A manifold M and a density learned from them are the prior of another state, of which the
position is measured. NUTS draws from the posterior, and the figure holds it against weighted draws of the prior.
"""

import blackjax
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im

# %%
# A state is a position and a velocity of van der Pol's oscillator; 1,000 were recorded at random times.

slope = lambda s: jnp.stack([s[1], (1 - s[0] ** 2) * s[1] - s[0]])
advance = lambda s, _: (s + 0.01 * slope(s + 0.005 * slope(s)), s)  # by 0.01 s
_, path = jax.lax.scan(advance, jnp.array([2.0, 0.0]), None, 20_000)
states = np.random.default_rng(0).choice(np.asarray(path[5000:]), 1000, replace=False)
config = im.FitConfig(
    zero_set=im.ManifoldConfig(hidden=(48, 48), restarts=2, warmup_steps=600, num_steps=300),
    likelihood=im.LikelihoodConfig(members=2, num_steps=200, kernel=False),
    manifold="zero-set",
)
model = im.fit(jax.random.key(0), states, 1, config).model

# %%
# NUTS moves through all of the plane, so the prior lets a state stand off M by a little, ``off``: ``score`` gives the
# log-density at the nearest point of M, and the distance.

measured, noise, off = 1.9, 0.15, 0.05  # m; off also in m/s
log_likelihood = lambda x: -0.5 * ((x[0] - measured) / noise) ** 2


def log_posterior(x):
    """Log of prior and likelihood of a state, (2,) to (), up to a constant."""
    scored = im.functional.score(model, x)
    return scored.log_density - 0.5 * (scored.distance / off) ** 2 + log_likelihood(x)


@jax.jit
def draw(key, start):
    """8,000 states of one chain after its warm-up, (8000, 2)."""
    warm_up_key, key = jax.random.split(key)
    warm_up = blackjax.window_adaptation(blackjax.nuts, log_posterior, max_num_doublings=6)
    tuned, _ = warm_up.run(warm_up_key, start, num_steps=300)
    kernel = blackjax.nuts(log_posterior, **tuned.parameters)
    step = lambda state, key: (kernel.step(key, state)[0], state.position)
    return jax.lax.scan(step, tuned.state, jax.random.split(key, 8000))[1]


draws = np.asarray(draw(jax.random.key(1), jnp.array([2.0, 0.0])))

# %%
# The same by other means: independent draws of the prior, which are on M, weighted by the likelihood.

prior = im.sample(jax.random.key(3), model, 20_000).points
weights = np.exp(jax.vmap(log_likelihood)(prior))
weights /= weights.sum()
mean = weights @ prior
spread = np.sqrt(weights @ (prior - mean) ** 2)
print(f"mean position (m) and velocity (m/s): {draws.mean(axis=0).round(2)} by NUTS, {mean.round(2)} by weights")
print(f"standard deviations: {draws.std(axis=0).round(2)} by NUTS, {spread.round(2)} by weights")
assert (np.abs(draws.mean(axis=0) - mean) < 0.3 * spread).all()
assert (np.abs(draws.std(axis=0) / spread - 1) < 0.3).all()

# %%
# NUTS and weights agree, but for the edge at the greatest position of the cycle: it is sharp on M, and blurred by what
# ``off`` allows.

figure = plt.figure(figsize=(8, 4.2), layout="constrained")
panels = figure.subplot_mosaic([["plane", "position"], ["plane", "velocity"]], width_ratios=[1.1, 1])
plane = panels["plane"]
plane.axvspan(measured - noise, measured + noise, color="#d1495b", alpha=0.2, label="measured ± noise")
plane.scatter(*states.T, s=4, color="#d1495b", linewidths=0, label="records")
plane.scatter(*draws[::8].T, s=4, color="C0", linewidths=0, label="posterior, NUTS")
plane.set(aspect="equal", xlabel="position (m)", ylabel="velocity (m/s)", ylim=(-3.2, 4.4))
plane.legend(loc="upper left", frameon=False, markerscale=3)
for k, (name, unit) in enumerate({"position": "m", "velocity": "m/s"}.items()):
    bins = np.linspace(*np.quantile(draws[:, k], [0.001, 0.999]), 40)
    panels[name].hist(draws[:, k], bins, density=True, color="C0", alpha=0.4, label="NUTS")
    panels[name].hist(prior[:, k], bins, weights=weights, density=True, histtype="step", color="black", label="weights")
    panels[name].set(xlabel=f"{name} ({unit})", ylabel=f"density\nper {unit}")
panels["position"].legend(loc="upper left", frameon=False)
plt.show()

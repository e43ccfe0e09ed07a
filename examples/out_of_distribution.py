"""Two ways not to belong
======================

A point may be unusual in two ways: it is off the manifold M that data lie on, or it is on M where data are rare. A
learned model has a score for either, the distance from M and the log-density at the nearest point of M. The figure
shows that each score finds its own kind.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds.datasets.synthetic import von_mises_torus

# %%
# Data are on a torus of radius 3 and tube 1, most of them about its outermost point at (4, 0, 0), and were measured
# with a noise of 0.02 in each coordinate.

rng = np.random.default_rng(0)


def measured(count):
    """Fresh points of the torus with noise, (count, 3)."""
    return von_mises_torus(rng, count, concentration=2.0) + rng.normal(scale=0.02, size=(count, 3))


config = im.FitConfig(
    zero_set=im.ManifoldConfig(restarts=2, warmup_steps=1000, num_steps=600),
    likelihood=im.LikelihoodConfig(members=2, num_steps=300, kernel=False),
    manifold="zero-set",
)
model = im.fit(jax.random.key(0), measured(2000), 1, config).model

# %%
# Fresh points of three kinds: usual ones; rare ones, mirrored to the far side of the torus; and ones off M, moved by
# 0.3 in a random direction. ``log_density`` gives both scores.

moves = rng.normal(size=(500, 3))
moves *= 0.3 / np.linalg.norm(moves, axis=1, keepdims=True)
kinds = {"usual": measured(500), "rare": measured(500) * [-1, 1, 1], "off M": measured(500) + moves}
scored = {kind: im.log_density(model, points) for kind, points in kinds.items()}
assert all(found.converged.all() for found in scored.values())
scores = {"distance": {}, "-log density": {}}
for kind, found in scored.items():
    scores["distance"][kind], scores["-log density"][kind] = found.distance, -found.log_density
chances = {
    (name, kind): np.mean(of["usual"][:, None] < of[kind]) for name, of in scores.items() for kind in ("rare", "off M")
}
for (name, kind), chance in chances.items():
    print(f"a point that is {kind} has a greater {name} than a usual one in {chance:.0%} of pairs")
assert chances["distance", "off M"] > 0.85
assert chances["-log density", "rare"] > 0.85
assert abs(chances["-log density", "off M"] - 0.5) < 0.1

# %%
# The density is blind to what is off M, because it is that of the nearest point of M. Rare points are a little farther
# from M than usual ones, for where data are rare M itself is less well known.

figure, (plane, curves) = plt.subplots(1, 2, figsize=(8, 3.9), layout="constrained")
for (kind, found), color in zip(scored.items(), ("0.6", "C0", "C1"), strict=True):
    plane.scatter(found.distance, found.log_density, s=7, color=color, alpha=0.6, linewidths=0, label=kind)
plane.set(xscale="log", xlim=(1e-4, 1), xlabel="distance from M", ylabel="log-density (nats per unit area)")
plane.legend(loc="lower left", frameon=False, markerscale=2)
for (name, kind), chance in chances.items():
    levels = np.sort(np.concatenate([scores[name][kind], scores[name]["usual"]]))[::-1]
    alarms, hits = (1 - np.searchsorted(np.sort(scores[name][one]), levels) / 500 for one in ("usual", kind))
    color, line = {"rare": "C0", "off M": "C1"}[kind], {"distance": "-", "-log density": "--"}[name]
    curves.plot(alarms, hits, line, color=color, label=f"{kind} by {name}: {chance:.2f}")
curves.plot([0, 1], [0, 1], color="0.8", linewidth=0.8)
curves.set(aspect="equal", xlabel="share of usual points flagged", ylabel="share of unusual points flagged")
curves.legend(loc="lower right", frameon=False, fontsize="small", title="area under the curve", title_fontsize="small")
plt.show()

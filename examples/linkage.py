"""What a robot can do
===================

A five-bar robot has two motors, 3 dm apart. Each turns a crank of 1 dm, and two rods of 1.8 dm join the cranks' ends
to one tool. Its configurations are the zeros of four equations in six coordinates: a surface, written down and not
learned. The figures show a dozen of its points and where the tool can be.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im

# %%
# Coordinates are the places of the three free joints: the end of the left crank, the tool, the end of the right crank.
# Each equation is the squared length of a bar less what it must be. Charts spread from one known configuration, with
# both cranks up, over all that is connected with it.

MOTORS = np.array([[-1.5, 0.0], [1.5, 0.0]])  # dm
LENGTHS = np.array([1.0, 1.8, 1.8, 1.0])  # dm
joints = lambda x: jnp.concatenate([MOTORS[:1], x.reshape(3, 2), MOTORS[1:]])
bars = lambda x: jnp.sum(jnp.diff(joints(x), axis=0) ** 2, axis=1) - LENGTHS**2
both_up = np.array([[-1.5, 1.0, 0.0, 1.0 + np.sqrt(1.8**2 - 1.5**2), 1.5, 1.0]])
half = jnp.full(6, 4.5)
surface = im.cover(jax.random.key(0), im.Manifold(jax.tree_util.Partial(bars), im.Box(-half, half), both_up))
found = im.topology(surface)
print(im.describe(found))
assert found.betti == (1, 4, 1)

# %%
# The rods are too short to close the chain at every pair of crank angles. Where they do, the tool is on one side or
# the other of the line through the cranks' ends: two tori, each with a hole where the rods would have to be longer,
# joined along the rim of the hole, where the rods are in line. That is a surface of genus 2. The robot can bring the
# tool from one side to the other, but only through a configuration in which the rods are in line.
#
# Points of the pool are independent, and uniform on the surface when weighted by the area that each stands for.

pool = im.draw_pool(jax.random.key(1), surface, 100_000)
area, error = im.volume(pool)
print(f"area {area:.2f} dm² with a standard error of {error:.2f} dm²")
chains, share = np.asarray(jax.vmap(joints)(pool.points)), pool.weights / pool.weights.sum()
off = np.abs(np.linalg.norm(np.diff(chains, axis=1), axis=2) - LENGTHS).max()
middle = share @ chains[:, 2]
print(
    f"bars are right to {off:.0e} dm; the tool's mean place is ({middle[0]:.3f}, {middle[1]:.3f}) dm, by symmetry 0, 0"
)
assert off < 1e-4
assert np.abs(middle).max() < 0.03

# %%
# A dozen configurations, drawn uniformly. Motors are squares, the tool is the red dot.

figure, panels = plt.subplots(3, 4, figsize=(7, 5.4), sharex=True, sharey=True, layout="constrained")
for panel, one in zip(panels.flat, np.random.default_rng(4).choice(len(share), 12, p=share), strict=True):
    panel.plot(*chains[one].T, color="0.35", linewidth=2, marker="o", markersize=4)
    panel.plot(*MOTORS.T, "s", color="black", markersize=6)
    panel.plot(*chains[one, 2], "o", color="#d1495b", markersize=8)
    panel.set(aspect="equal", xlim=(-2.9, 2.9), ylim=(-2.9, 2.9))
figure.supxlabel("x (dm)")
figure.supylabel("y (dm)")
plt.show()

# %%
# Where the tool is when configurations are uniform. Its density is high where a crank and a rod are in line: the tool
# hardly moves there while the crank turns.

reach, axes = plt.subplots(figsize=(5.2, 4.8), layout="constrained")
edges = np.linspace(-2.9, 2.9, 117)
density, _, _ = np.histogram2d(*chains[:, 2].T, edges, weights=share / (edges[1] - edges[0]) ** 2)
image = axes.pcolormesh(edges, edges, np.where(density > 0, density, np.nan).T, cmap="viridis", vmin=0, vmax=0.6)
axes.plot(*MOTORS.T, "s", color="black", label="motors")
axes.set(aspect="equal", xlim=(-2.2, 2.2), xlabel="x of the tool (dm)", ylabel="y of the tool (dm)")
axes.legend(loc="upper right", frameon=False)
reach.colorbar(image, label="density per dm²", extend="max")
plt.show()

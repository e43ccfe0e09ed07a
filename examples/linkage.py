"""
What a robot arm can do
=======================

A five-bar robot has two motors, 3 dm apart. Each turns a crank of 1 dm, and two rods of 1.8 dm join the cranks' ends to one
tool. Its configurations are the zeros of four equations in six coordinates: a surface, written down and not learned.
The figures show a dozen of its points and where the tool can be.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im

# %%
# The coordinates are the places of the three free joints: the end of the left crank, the tool, and the end of the right
# crank. Each constraint is the squared length of a bar less what it must be.

MOTORS = np.array([[-1.5, 0.0], [1.5, 0.0]])  # dm
LENGTHS = np.array([1.0, 1.8, 1.8, 1.0])  # dm


def chain(joints):
    """All five joints in order, (..., 6) to (..., 5, 2)."""
    left, right = (jnp.broadcast_to(motor, (*joints.shape[:-1], 1, 2)) for motor in MOTORS)
    return jnp.concatenate([left, joints.reshape(*joints.shape[:-1], 3, 2), right], axis=-2)


def bars(joints):
    """The four constraints, (6,) to (4,)."""
    return jnp.sum(jnp.diff(chain(joints), axis=0) ** 2, axis=1) - LENGTHS**2


# %%
# Charts spread from one known configuration over all that is connected with it. Both cranks point up in this one.

start = np.array([[-1.5, 1.0, 0.0, 1.0 + np.sqrt(1.8**2 - 1.5**2), 1.5, 1.0]])
half = jnp.full(6, 4.5)
surface = im.Manifold(jax.tree_util.Partial(bars), im.Box(-half, half), start)
surface = im.cover(jax.random.key(0), surface)
found = im.topology(surface)
print(im.describe(found))
assert found.betti == (1, 4, 1)

# %%
# The rods are too short to close the chain at every pair of crank angles. Where they do, the tool is on one side or the
# other of the line through the cranks' ends: two tori, each with a hole where the rods would have to be longer, joined
# along the rim of the hole, where the rods are in line. That is a surface of genus 2. The robot can bring the tool from
# one side to the other, but only through a configuration in which the rods are in line.
#
# The pool's points are independent, and uniform on the surface when weighted by the area that each stands for: the area
# in which a small move is as long as those of the three joints, squared and added, say.

pool = im.draw_pool(jax.random.key(1), surface, 100_000)
area, error = im.volume(pool)
tool, share = pool.points[:, 2:4], pool.weights / pool.weights.sum()
print(f"area {area:.2f} dm² with a standard error of {error:.2f} dm²")
lengths = np.linalg.norm(np.diff(chain(pool.points), axis=1), axis=2)
print(f"bars are at most {np.abs(lengths - LENGTHS).max():.1e} dm too long or too short")
assert np.abs(lengths - LENGTHS).max() < 1e-4
to_motors = np.linalg.norm(tool[:, None] - MOTORS, axis=2)
assert to_motors.min() > 0.8 - 1e-4  # a crank and a rod folded
assert to_motors.max() < 2.8 + 1e-4  # and stretched
middle = share @ tool
print(f"mean place of the tool: {middle[0]:.3f} dm, {middle[1]:.3f} dm; by symmetry 0, 0")
assert np.abs(middle).max() < 0.03

# %%
# A dozen configurations, drawn uniformly: motors are squares, the tool is the red dot.

chosen = np.random.default_rng(4).choice(len(share), 12, replace=False, p=share)
figure, panels = plt.subplots(3, 4, figsize=(7, 5.4), sharex=True, sharey=True, layout="constrained")
for panel, joints in zip(panels.flat, np.asarray(chain(pool.points[chosen])), strict=True):
    panel.plot(*joints.T, color="0.35", linewidth=2, marker="o", markersize=4)
    panel.plot(*MOTORS.T, "s", color="black", markersize=6)
    panel.plot(*joints[2], "o", color="#d1495b", markersize=8)
    panel.set(aspect="equal", xlim=(-2.9, 2.9), ylim=(-2.9, 2.9))
figure.supxlabel("x (dm)")
figure.supylabel("y (dm)")
plt.show()

# %%
# Where the tool is when configurations are uniform. Its density is high where a crank and a rod are in line: the tool
# hardly moves there while the crank turns.

reach, axes = plt.subplots(figsize=(6, 4.8), layout="constrained")
bins = np.linspace(-2.9, 2.9, 117)
density, _, _ = np.histogram2d(*tool.T, bins=(bins, bins), weights=share / np.diff(bins)[0] ** 2)
shown = np.where(density > 0, density, np.nan).T
image = axes.pcolormesh(bins, bins, shown, cmap="viridis", vmin=0, vmax=0.6)
axes.plot(*MOTORS.T, "s", color="black", label="motors")
axes.set(aspect="equal", xlim=(-2.2, 2.2), xlabel="x of the tool (dm)", ylabel="y of the tool (dm)")
axes.legend(loc="upper right", frameon=False)
reach.colorbar(image, label="density per dm²", extend="max")
plt.show()

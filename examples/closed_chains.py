"""How many ways to put a linkage together
========================================

Bars joined to a closed chain can often be assembled in two ways, mirror images that no motion turns into each other;
one must take a joint apart. Whether that is so is known from the lengths alone. Here charts find it from the equations
of the bars, chains jump from one assembly to the other, and a loop of rods in space folds as the exact law says.
"""

import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds.targets import linkages
from implicit_manifolds.targets.score import score

# %%
# The last bar of each chain is held still, and the places of the other joints are the coordinates. A polygon's space of
# configurations has two parts where three of its bars are long, any two of them together longer than half of all, and
# one part else (Kapovich & Millson 1995); its Betti numbers are a count of short sets of bars (Farber & Schütz 2007).
#
# To find parts without that knowledge, random points are projected to the equations' zeros; charts spread from there.
# Where Betti numbers are not settled, as on tori as thin as those of the third chain, `describe` says so.


def charted(lengths):
    """Configurations of a planar chain in charts, which spread from a hundred random ones."""
    mdf, half = linkages.bars(lengths), jnp.full(2 * len(lengths) - 4, sum(lengths) / 2)
    random = jax.random.uniform(jax.random.key(1), (100, len(half)), minval=-half, maxval=half)
    found = jax.jit(jax.vmap(lambda x: im.manifold.project(mdf, x)))(random)
    space = im.Manifold(mdf, im.Box(-2 * half, 2 * half))
    return im.cover(jax.random.key(0), space, seen=np.asarray(found.position[found.converged]))


spaces = {}
for lengths in ((0.8, 2.2, 1.8, 2.0), (1.5, 1.2, 1.4, 2.2), (2.0, 0.5, 2.0, 0.7, 2.0), (1.0, 1.0, 1.0, 1.0, 3.5)):
    spaces[lengths] = charted(lengths)
    seen, known = im.topology(spaces[lengths]), linkages.betti(lengths)
    print(f"bars of {lengths} dm: {known[0]} part(s) and Betti numbers {known} are known, {seen.betti} found")
    print(f"  {im.describe(seen)}")
    assert len(seen.components) == known[0]
    assert seen.betti == known or not seen.settled

# %%
# Four bars: a crank of 0.8 dm turns all the way, and the end of the rocker is drawn to a goal by a spring. Without
# jumps each chain stays with the assembly in which it began. With charts every trajectory is followed by a jump to a
# fresh configuration anywhere, taken or refused by Metropolis and Hastings' rule, and shares come out right.


def tuned_run(target, num_chains, num_samples, atlas=None, num_steps=4):
    """Chains of a target and how good they are."""
    sampler = im.mcmc.ConstrainedHMC(
        target.mdf, target.energy, step_size=0.2, measure=target.measure, num_steps=num_steps, atlas=atlas
    )
    starts = target.starts(jax.random.key(2), num_chains)
    tuned = im.mcmc.warm_up(jax.random.key(3), sampler, starts, num_steps=200)
    im.mcmc.run(jax.random.key(4), tuned.sampler, tuned.state.position, 1, thinning=4)  # compiles
    wall, cpu = time.perf_counter(), time.process_time()
    chains = im.mcmc.run(jax.random.key(5), tuned.sampler, tuned.state.position, num_samples, thinning=4)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    draws = np.moveaxis(chains.positions.astype(np.float64), 0, 1)
    found, refused = score(target, draws), im.mcmc.summary(chains).reasons
    print(
        f"{target.name}: R-hat {found.largest_r_hat:.4g}, least ESS {found.least_ess:.0f}, in {wall:.1f} s of wall and"
    )
    print(f"  {cpu:.1f} s of CPU; largest residual {found.residual:.0e} dm²; steps by outcome: ", end="")
    print(", ".join(f"{name.lower()} {share:.1%}" for name, share in refused.items() if share))
    print("  standard errors from the known means: ", {name: round(z, 1) for name, z in found.z.items()})
    return chains, draws, found


def of_left(target, draws):
    """Whether each draw is of the assembly that turns left, (chains, samples)."""
    left = target.quantities["left part"].function
    return np.asarray(jax.jit(jax.vmap(jax.vmap(left)))(draws)) > 0.5


four_bar = linkages.four_bar()
local, local_draws, local_score = tuned_run(four_bar, 50, 100)
jumping, draws, found = tuned_run(four_bar, 50, 100, spaces[0.8, 2.2, 1.8, 2.0].atlas)
for name, some in (("without", local_draws), ("with", draws)):
    left = of_left(four_bar, some)
    crossed = (left != left[:, :1]).any(axis=1).mean()
    print(f"{name} jumps {crossed:.0%} of chains cross; turning left: {left.mean():.3f} of draws, ", end="")
    print(f"{four_bar.quantities['left part'].mean:.3f} by quadrature")
print(f"jumps are taken with a mean probability of {jumping.info.jump_probability.mean():.2f}")
assert local_score.largest_r_hat > 1.5
assert found.largest_r_hat < 1.01
assert found.largest_z < 5

# %%
# The path of the coupler's midpoint, in both assemblies, and how often the chains are where along the crank's turn.

figure, (picture, turn) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left, crank = of_left(four_bar, draws).ravel(), np.arctan2(draws[..., 1], draws[..., 0]).ravel()
x = draws.reshape(-1, 2, 2)
grid = np.linspace(-np.pi, np.pi, 401)
for side, name, color in ((True, "turns left", "C0"), (False, "turns right", "C1")):
    mine = x[left == side]
    picture.plot(*mine.mean(axis=1).T, ".", markersize=2, color=color)
    shown = np.array([[0.0, 0.0], *mine[0], [2.0, 0.0]])
    picture.plot(*shown.T, "-o", color=color, label=name)
    turn.hist(crank[left == side], np.linspace(-np.pi, np.pi, 41), weights=np.full(len(mine), 20 / np.pi / len(x)),
              color=color, alpha=0.4)  # fmt: skip
    _, density = linkages.four_bar_law(grid, np.full(len(grid), -1 if side else 1))
    turn.plot(grid, density / np.exp(four_bar.log_normalizer), color=color)
picture.plot(*linkages.FOUR_BAR_GOAL, "*", color="C3", markersize=12, label="goal of the rocker's end")
picture.set(aspect="equal", xlabel="x (dm)", ylabel="y (dm)", xlim=(-1.4, 3), ylim=(-2.8, 1.7))
picture.legend(frameon=False, loc="lower left")
turn.set(xlabel="angle of the crank (radians)", ylabel="density per radian", title="lines: exact, bars: chains")
plt.show()

# %%
# Six rods with ball joints in space: a loop has one part, whatever its lengths, and twelve coordinates less five
# equations leave seven dimensions. Rods that point anywhere, given that they close the loop, have a law that is known:
# diagonals from one joint are uniform in the polytope that triangles leave them, and dihedral angles uniform
# (Cantarella & Shonkwiler 2016). That is the measure "ambient" of squared lengths. A spring on the middle diagonal
# tilts it.

loop = linkages.spatial_loop()
_, rods, found = tuned_run(loop, 50, 100, num_steps=6)
assert found.largest_r_hat < 1.01
assert found.largest_z < 5

places = rods.reshape(-1, 4, 3)
lengths, (middle, _, cells) = np.linalg.norm(places, axis=2), linkages.diagonals()
loops = plt.figure(figsize=(9, 3.8), layout="constrained")
space, law = loops.add_subplot(1, 2, 1, projection="3d"), loops.add_subplot(1, 2, 2)
for one, color in zip(places[::1250], ("C0", "C1", "C2", "C4"), strict=True):
    space.plot(*np.concatenate([np.zeros((1, 3)), one, [[1.5, 0.0, 0.0]]]).T, "-o", color=color, markersize=4)
space.plot([0, 1.5], [0, 0], [0, 0], color="black", linewidth=3)
space.set(xlabel="x (dm)", ylabel="y (dm)", zlabel="z (dm)")
law.hist(lengths[:, 2], 50, density=True, color="C0", alpha=0.4, label="chains")
law.plot(middle, cells / (middle[1] - middle[0]), color="C0", label="exact")
law.set(xlabel="middle diagonal (dm)", ylabel="density per dm", xlim=(0, 2.2))
law.legend(frameon=False)
plt.show()

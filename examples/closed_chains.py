"""How many ways to put a linkage together
========================================

Bars joined to a closed chain can often be assembled in two ways, mirror images that no motion turns into each other;
one must take a joint apart. Whether that is so is known from the lengths alone. Here charts find it from the equations
of the bars, chains jump from one assembly to the other, and loops of rods and of hinged links in space fold as exact
laws say.
"""

import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import implicit_manifolds as im
from implicit_manifolds.targets import linkages, revolutes
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

# %%
# Seven links with hinges, as a robot's arm whose hand holds its own foot: six angles, as points of circles, and five
# equations of closure leave one degree of freedom. The last hinge's pin can be put in either way up, and each assembly
# has a mirror image. Charts spread from random closings, and of a manifold of so few dimensions they also give
# independent configurations, whose weights are the lengths they stand for times the task's density. Beside them stands
# the law by quadrature, along the curves that Newton's method follows.

seven = revolutes.seven_revolutes()
closings = seven.starts(jax.random.key(0), 200).astype(np.float32)
hinged = im.cover(jax.random.key(0), im.Manifold(seven.mdf, im.Box(-1.2 * np.ones(12), 1.2 * np.ones(12)), closings))
seen, curves = im.topology(hinged), revolutes.curves()
print(f"{len(curves)} curves of lengths", ", ".join(f"{gaps.sum():.2f}" for _, gaps in curves), "are known")
print(f"  {im.describe(seen)}")
assert seen.settled
assert len(seen.components) == len(curves)

pool = im.draw_pool(jax.random.key(1), hinged, 50_000)
mass = im.volumes.pools.log_integral(pool, -np.asarray(jax.vmap(seven.energy)(pool.points)))
print(f"log Z {mass.value:.4f} ± {mass.standard_error:.4f}, by quadrature {seven.log_normalizer:.4f}")
assert abs(mass.value - seven.log_normalizer) < 5 * mass.standard_error
weights = pool.weights * np.exp(-np.asarray(jax.vmap(seven.energy)(pool.points)))
weights /= weights.sum()
for name, (function, mean, *_) in seven.quantities.items():
    values = np.asarray(jax.vmap(function)(pool.points))
    error = np.sqrt((weights**2 * (values - mean) ** 2).sum())
    print(f"  {name}: {weights @ values:.4f} ± {error:.4f}, by quadrature {mean:.4f}")
    assert abs(weights @ values - mean) < 5 * error

up, angle = np.asarray(jax.vmap(revolutes.pin)(pool.points)) > 0, np.arctan2(pool.points[:, 1], pool.points[:, 0])
exact_angle, gaps = np.concatenate([part for part, _ in curves])[:, 0], np.concatenate([gaps for _, gaps in curves])
exact = revolutes.configurations(np.concatenate([part for part, _ in curves])).astype(np.float32)
share = gaps * np.exp(-np.asarray(jax.vmap(seven.energy)(exact)) - seven.log_normalizer)
exact_up, edges = np.asarray(jax.vmap(revolutes.pin)(exact)) > 0, np.linspace(-np.pi, np.pi, 41)
loops = plt.figure(figsize=(9, 3.8), layout="constrained")
space, law = loops.add_subplot(1, 2, 1, projection="3d"), loops.add_subplot(1, 2, 2)
for side, name, color in ((True, "pin up", "C0"), (False, "pin down", "C1")):
    for one in np.random.default_rng(0).choice(
        pool.points[up == side], 2, p=weights[up == side] / weights[up == side].sum()
    ):
        places = [joint.place for joint in revolutes.joints(jnp.asarray(one).reshape(6, 2))]
        space.plot(*np.array([np.zeros(3), *places, np.zeros(3)]).T, "-o", color=color, markersize=4)
    law.hist(angle[up == side], edges, weights=weights[up == side], color=color, alpha=0.4, label=name)
    law.stairs(
        np.histogram(exact_angle[exact_up == side], edges, weights=share[exact_up == side])[0], edges, color=color
    )
space.set(xlabel="x (dm)", ylabel="y (dm)", zlabel="z (dm)")
law.set(xlabel="angle of the first hinge (radians)", ylabel="share of a cell", title="lines: exact, bars: charts")
law.legend(frameon=False)
plt.show()

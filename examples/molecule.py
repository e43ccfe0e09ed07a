"""What rigid bonds do to a molecule
=================================

Butane, four carbons in a chain, turns about its middle bond. Simulations often hold bonds and angles rigid, and then
the law of the dihedral angle is not exp(-V/RT): a metric factor comes in, which Fixman's correction takes out again.
Both laws are drawn here by chains on one level set, and compared with quadrature; then the two angles of a peptide.
"""

import time

import jax
import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import kstest

import implicit_manifolds as im
from implicit_manifolds.targets import molecules
from implicit_manifolds.targets.score import score

# %%
# Bonds are 1.53 Å long and their angles 109.47°: five squared distances, in mass-weighted coordinates of the four atoms
# about their centre of mass. What is left are rotations and the dihedral angle φ. Zeros of these five equations carry
# two measures. By volume ("hausdorff") configurations are weighed as motion with rigid bonds weighs them. Conditioned
# on the equations ("ambient") they are what ever stiffer springs would leave: φ then has the density exp(-V/RT).
#
# At 300 K the barrier between trans and gauche is 12 kJ/mol, five times RT. Tempered chains at two higher temperatures
# cross it and pass what they find on to the chain at 300 K.


def draws_of(target, temperatures, num_chains, num_samples):
    """Chains of a target, said how good they are: (chains, samples, n), and their `Score`."""
    cold = im.mcmc.ConstrainedHMC(target.mdf, target.energy, measure=target.measure, num_steps=3)
    sampler = im.mcmc.ParallelTempering(cold, temperatures, step_size=0.2)
    starts = target.starts(jax.random.key(1), num_chains)
    tuned = im.mcmc.warm_up(jax.random.key(2), sampler, starts, num_steps=200)
    im.mcmc.run(jax.random.key(3), tuned.sampler, tuned.state.position, 1, thinning=8)  # compiles
    wall, cpu = time.perf_counter(), time.process_time()
    chains = im.mcmc.run(jax.random.key(4), tuned.sampler, tuned.state.position, num_samples, thinning=8)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    draws = np.moveaxis(chains.positions.astype(np.float64), 0, 1)
    found, refused = score(target, draws), im.mcmc.summary(chains).reasons
    print(
        f"{target.name}: R-hat {found.largest_r_hat:.4f}, least ESS {found.least_ess:.0f}, in {wall:.1f} s of wall and"
    )
    print(f"  {cpu:.1f} s of CPU; largest residual {found.residual:.0e} Å²; swaps taken: ", end="")
    print(", ".join(f"{2 * share:.0%}" for share in chains.info.swap_probability.mean(axis=0)))
    print("  steps by outcome: ", ", ".join(f"{name.lower()} {share:.1%}" for name, share in refused.items() if share))
    print("  standard errors from the exact means: ", {name: round(z, 1) for name, z in found.z.items()})
    assert found.largest_r_hat < 1.01
    assert found.largest_z < 5
    return draws, found


def angles_of(target, atoms, draws):
    """A dihedral angle in radians, (chains, samples)."""
    to_x = target.mdf.args[0]
    angle = jax.vmap(lambda z: jax.numpy.arctan2(*molecules.circle_of(molecules.places(to_x, z)[atoms])[::-1]))
    return np.asarray(jax.jit(angle)(draws.reshape(-1, target.dimension))).reshape(draws.shape[:2])


# %%
# 12 steps of such a chain are worth one independent draw, so draws 40 steps apart are taken as independent for the test
# of Kolmogorov and Smirnov. Means tell the two laws apart: those of one law miss the other's by many standard errors.

laws, drawn, scores = {}, {}, {}
for measure in ("hausdorff", "ambient"):
    butane = molecules.butane(measure)
    draws, scores[measure] = draws_of(butane, [1.0, 0.4, 0.15], num_chains=50, num_samples=300)
    drawn[measure] = angles_of(butane, np.arange(4), draws)
    grid, density, _ = laws[measure] = molecules.butane_law(measure)
    step = grid[1] - grid[0]
    edges, cumulative = np.append(grid, np.pi + step / 2) - step / 2, np.append(0, np.cumsum(density)) * step
    test = kstest(drawn[measure][:, ::5].ravel(), lambda x, e=edges, c=cumulative: np.interp(x, e, c))
    print(f"{measure}: distance {test.statistic:.4f} from the exact law, p = {test.pvalue:.2f}")
    assert test.pvalue > 1e-4

for one, other in (("hausdorff", "ambient"), ("ambient", "hausdorff")):
    known = molecules.butane(other).quantities["cos φ"]
    miss = (scores[one].mean["cos φ"] - known.mean) / known.deviation * np.sqrt(scores[one].ess["cos φ"])
    print(f"mean of cos φ: draws by {one} miss the exact law by {other} by {miss:.1f} standard errors")
    assert abs(miss) > 5

# %%
# Rigid bonds make gauche, near ±60°, more frequent by a tenth: √det g, the volume of the motions that are left, is
# greater there. Fixman's correction, ½ RT log det G of the equations' gradients added to the energy, would undo this.

figure, (both, ratio) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
degrees, bins = np.rad2deg(grid), np.linspace(-180, 180, 73)
for measure, name, color in (("hausdorff", "rigid", "C0"), ("ambient", "stiff", "C1")):
    both.hist(np.rad2deg(drawn[measure]).ravel(), bins, density=True, color=color, alpha=0.35)
    both.plot(degrees, laws[measure][1] * np.pi / 180, color=color, label=name)
both.set(xlabel="dihedral angle φ (degrees)", ylabel="density per degree", xlim=(-180, 180))
both.legend(title="lines: quadrature\nbars: chains", frameon=False, loc="upper center")
counts = [np.histogram(np.abs(np.rad2deg(drawn[m])), np.linspace(0, 180, 19))[0] for m in ("hausdorff", "ambient")]
middles, shown = np.arange(5, 180, 10), (counts[0] > 100) & (counts[1] > 100)
share = counts[0][shown] / counts[1][shown]
error = share * np.sqrt(sum(drawn[m].size / scores[m].least_ess / c[shown] for m, c in zip(drawn, counts, strict=True)))
ratio.errorbar(middles[shown], share, error, fmt="o", color="0.3", label="chains, with standard errors")
ratio.plot(degrees, laws["hausdorff"][1] / laws["ambient"][1], color="C3", label="√det g, scaled")
ratio.set(
    xlabel="dihedral angle φ (degrees)", ylabel="rigid density over stiff density", xlim=(0, 180), ylim=(0.8, 1.4)
)
ratio.legend(frameon=False)
plt.show()

# %%
# The alanine dipeptide has ten heavy atoms and two such angles. Planes of the peptide bonds are linear conditions, and
# hold in the coordinates chosen; ten equations are left in R^15. All but (φ, ψ) and rotations being rigid, the exact
# law is a density on a torus, a sum over a grid. Its Lennard-Jones and torsion energies are illustrative, in vacuum
# and without charges.

alanine = molecules.alanine_dipeptide()
draws, peptide = draws_of(alanine, [1.0, 0.5, 0.2], num_chains=50, num_samples=150)
phi, psi = (np.rad2deg(angles_of(alanine, np.array(t.atoms), draws)) for t in (molecules.PHI, molecules.PSI))
at_phi, at_psi, cells, _ = molecules.alanine_law(300.0)
side = np.rad2deg(at_phi[1, 0] - at_phi[0, 0])
is_stretched = lambda psi: np.abs((psi + 60) % 360 - 180) < 80  # 40° < ψ < 200°
chains_say, exact_share = is_stretched(psi).mean(), cells[is_stretched(np.rad2deg(at_psi))].sum()
print(f"stretched, 40° < ψ < 200°: {chains_say:.3f} by chains, {exact_share:.3f} by quadrature")
assert abs(chains_say - exact_share) < 5 * np.sqrt(exact_share * (1 - exact_share) / peptide.least_ess)

# %%
# Chains and quadrature agree in both angles: the plane of Ramachandran, and its marginals.

plane, (exact, chain, marginal) = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained")
limits, edges = (1e-6, 4e-4), np.linspace(-180, 180, 61)
for axes, values, title in (
    (exact, cells / side**2, "quadrature"),
    (chain, np.histogram2d(phi.ravel(), psi.ravel(), edges, density=True)[0], "chains"),
):
    ends = np.linspace(-180, 180, len(values) + 1)
    values = np.where(values > limits[0], values, np.nan)
    image = axes.pcolormesh(ends, ends, values.T, norm="log", cmap="viridis", clim=limits, rasterized=True)
    axes.set(aspect="equal", title=title, xlabel="φ (degrees)", ylabel="ψ (degrees)", facecolor="0.9")
plane.colorbar(image, ax=chain, label="density per square degree", extend="max")
for angle, name, color, axis in ((phi, "φ", "C0", 1), (psi, "ψ", "C1", 0)):
    marginal.hist(angle.ravel(), edges, density=True, color=color, alpha=0.35)
    marginal.plot(np.rad2deg(at_phi[:, 0]), cells.sum(axis=axis) / side, color=color, label=name)
marginal.set(xlabel="angle (degrees)", ylabel="density per degree", xlim=(-180, 180))
marginal.legend(title="lines: quadrature\nbars: chains", frameon=False)
plt.show()

"""Constrained HMC step by step: its integrator, its refusals, and what they are called."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from implicit_manifolds import Box
from implicit_manifolds._types import relative_tolerance
from implicit_manifolds.manifold.analytic import circle_in_space, sphere, torus, torus_point
from implicit_manifolds.manifold.multipliers import newton, quasi_newton
from implicit_manifolds.mcmc import ConstrainedHMC, Reason
from implicit_manifolds.mcmc.constrained_hmc import _trajectory
from implicit_manifolds.mcmc.phase_space import log_det_sqrt_gram, potential

RADIUS, TUBE = 1.0, 0.5


def _wave(strength, x):
    return strength * (x[0] + jnp.sin(2 * x[1]) + x[-1] ** 2)


def _flat(x):
    return jnp.zeros((), x.dtype)


def torus_sampler(step_size=0.1, num_steps=1, **options):
    return ConstrainedHMC(torus(RADIUS, TUBE), Partial(_wave, 1.0), step_size, num_steps=num_steps, **options)


@jax.jit
def start_all(sampler, key, positions):
    return jax.vmap(sampler.init)(positions, jax.random.split(key, len(positions)))


@jax.jit
def flow(sampler, states):
    """The trajectories of all chains, before any Metropolis decision."""
    return jax.vmap(lambda state: _trajectory(sampler, state))(states)


@jax.jit
def step_all(sampler, key, states):
    return jax.vmap(sampler.step)(jax.random.split(key, len(states.position)), states)


def torus_starts(count, dtype=jnp.float64):
    angles = np.random.default_rng(0).uniform(-np.pi, np.pi, size=(2, count))
    return jnp.asarray(torus_point(*angles, RADIUS, TUBE), dtype)


def energy_of(points):
    return np.asarray(points.potential + 0.5 * jnp.sum(points.momentum**2, axis=1))


# The integrator -----------------------------------------------------------------------------------


def test_the_energy_error_of_a_trajectory_of_given_length_is_of_second_order(x64):
    states = start_all(torus_sampler(), jax.random.key(0), torus_starts(200))
    errors = []
    for step_size, num_steps in ((0.04, 10), (0.02, 20), (0.01, 40)):
        end = flow(torus_sampler(step_size, num_steps), states)
        assert (end.reason == Reason.ACCEPTED).all()
        errors.append(np.sqrt(np.mean((energy_of(end.point) - energy_of(states)) ** 2)))
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4, rtol=0.1)
    assert errors[0] > 1e-4


def test_a_trajectory_run_backwards_returns_to_its_start(x64):
    sampler = torus_sampler(0.15, 7)
    states = start_all(sampler, jax.random.key(0), torus_starts(200))
    end = flow(sampler, states)
    made = np.asarray(end.reason == Reason.ACCEPTED)
    assert made.mean() > 0.9
    back = flow(sampler, end.point._replace(momentum=-end.point.momentum))
    assert (back.reason[made] == Reason.ACCEPTED).all()
    np.testing.assert_allclose(back.point.position[made], states.position[made], atol=1e-10)
    np.testing.assert_allclose(back.point.momentum[made], -states.momentum[made], atol=1e-9)
    assert np.linalg.norm(end.point.position - states.position, axis=1).mean() > 0.3


def test_the_flow_is_symplectic_in_the_angles_of_the_torus_and_their_momenta(x64):
    sampler = torus_sampler(0.2, 3)

    def embedding(angles):
        return torus_point(angles[0], angles[1], RADIUS, TUBE)

    def flow_in_angles(phase):
        """(φ, ψ, p_φ, p_ψ) with p_i = <p, ∂x/∂q_i> through the flow and back into the same chart."""
        frame = jax.jacfwd(embedding)(phase[:2])
        momentum = frame @ jnp.linalg.solve(frame.T @ frame, phase[2:])
        start = sampler.init(embedding(phase[:2]))._replace(momentum=momentum)
        end = _trajectory(sampler, start).point
        x, y, z = end.position
        angles = jnp.stack([jnp.arctan2(y, x), jnp.arctan2(z, jnp.hypot(x, y) - RADIUS)])
        return jnp.concatenate([angles, jax.jacfwd(embedding)(angles).T @ end.momentum])

    centre = jnp.asarray([0.4, 1.1, 0.7, -0.3])
    shift = 1e-5 * np.concatenate([np.eye(4), -np.eye(4)])
    differences = jax.jit(jax.vmap(flow_in_angles))(np.asarray(centre) + shift)
    slope = np.asarray((differences[:4] - differences[4:]).T / 2e-5)
    form = np.block([[np.zeros((2, 2)), np.eye(2)], [-np.eye(2), np.zeros((2, 2))]])
    np.testing.assert_allclose(slope.T @ form @ slope, form, atol=1e-7)
    assert np.abs(slope - np.eye(4)).max() > 0.3


def test_positions_stay_on_the_manifold_and_momenta_tangent(dtype):
    sampler = torus_sampler(0.2, 5)
    states = start_all(sampler, jax.random.key(0), torus_starts(100, dtype))
    for step in range(5):
        states, _ = step_all(sampler, jax.random.key(step), states)
    tolerance = relative_tolerance(dtype)
    ring = np.hypot(states.position[:, 0], states.position[:, 1])
    residual = (ring - RADIUS) ** 2 + states.position[:, 2] ** 2 - TUBE**2
    assert np.abs(residual).max() < 2 * tolerance
    normal = states.linearization.jacobian[:, 0]
    assert np.abs(np.sum(normal * states.momentum, axis=1)).max() < 10 * tolerance


def test_another_solver_makes_the_same_chain(x64):
    chains = []
    for solver in (quasi_newton, newton):
        sampler = torus_sampler(0.15, 4, solver=solver)
        states = start_all(sampler, jax.random.key(0), torus_starts(100))
        for step in range(4):
            states, info = step_all(sampler, jax.random.key(step), states)
        chains.append((states.position, info.reason))
    same = np.asarray(chains[0][1] == chains[1][1])
    assert same.mean() > 0.97  # the one may still solve where the other gave up
    far = np.abs(chains[0][0] - chains[1][0]).max(axis=1) > 1e-8
    assert far.mean() < 0.05


@pytest.mark.parametrize("factor", [1e4, 1e-4])
def test_the_units_of_f_change_no_chain(factor, build):
    chains = []
    for mdf in (torus(RADIUS, TUBE), build.scaled(torus(RADIUS, TUBE), factor, jnp.float32)):
        sampler = ConstrainedHMC(mdf, Partial(_wave, 1.0), 0.2, num_steps=2)
        states = start_all(sampler, jax.random.key(0), torus_starts(200, jnp.float32))
        chains.append(step_all(sampler, jax.random.key(1), states))
    (one, info), (other, other_info) = chains
    same = np.asarray(info.reason == other_info.reason)
    assert same.mean() > 0.98
    assert (np.abs(one.position - other.position).max(axis=1)[same] < 1e-4).all()


def test_new_numbers_in_the_sampler_compile_nothing():
    traces = []

    def counted(strength, x):
        traces.append(1)
        return strength * x[0]

    run = jax.jit(lambda sampler, key, states: sampler.step(key, states))
    for number in (0.1, 0.2):
        sampler = ConstrainedHMC(sphere(number), Partial(counted, number), number, number, number, number)
        run(sampler, jax.random.key(0), sampler.init(jnp.asarray([number, 0.0])))
        if number == 0.1:
            seen = len(traces)
    assert len(traces) == seen + 1  # `init`, which is not jitted here


# Momenta and targets ------------------------------------------------------------------------------


def test_a_full_refresh_draws_the_momentum_normal_in_the_tangent_space(x64):
    count = 20_000
    x = np.array([2.0, -1.0, 2.0]) / 3
    sampler = ConstrainedHMC(sphere(1.0), Partial(_flat), 1e-6)
    states = start_all(sampler, jax.random.key(1), jnp.tile(jnp.asarray(x), (count, 1)))
    states, _ = step_all(sampler, jax.random.key(0), states)
    momentum, tangent = np.asarray(states.momentum), np.eye(3) - np.outer(x, x)
    # Entries of mean and second moment, each within 4.5 standard errors (at most √(2/n)): false alarm 6e-5.
    assert (np.abs(momentum.mean(axis=0)) <= 4.5 / np.sqrt(count)).all()
    assert (np.abs(momentum.T @ momentum / count - tangent) <= 4.5 * np.sqrt(2 / count)).all()


def test_persistence_keeps_that_share_of_the_momentum_and_a_refusal_turns_it_round(x64):
    positions = jnp.tile(jnp.asarray([0.6, 0.0, 0.8]), (20_000, 1))
    tiny = ConstrainedHMC(sphere(1.0), Partial(_flat), 1e-6, 0.8)
    states = start_all(tiny, jax.random.key(0), positions)
    for sampler, sign in (
        (tiny, 1),
        (ConstrainedHMC(sphere(1.0), Partial(_flat), 1e-6, 0.8, box=Box(jnp.full(3, 2.0), jnp.full(3, 3.0))), -1),
    ):
        after, info = step_all(sampler, jax.random.key(1), states)
        expected = Reason.ACCEPTED if sign > 0 else Reason.OUT_OF_BOUNDS
        assert (info.reason == expected).all()
        kept = np.sum(np.asarray(states.momentum * after.momentum)) / np.sum(np.asarray(states.momentum) ** 2)
        # 40,000 tangent components of noise with standard deviation 0.6: standard error 0.003.
        assert abs(kept - sign * 0.8) < 4.5 * 0.6 / np.sqrt(40_000)


def test_the_ambient_target_adds_half_log_det_of_the_gram_matrix(x64):
    mdf, x = circle_in_space(1.5), jnp.asarray([0.9, 1.2, 0.0])
    jacobian = np.asarray(jax.jacobian(mdf)(x))
    expected = 0.5 * np.linalg.slogdet(jacobian @ jacobian.T)[1]
    np.testing.assert_allclose(log_det_sqrt_gram(mdf, x), expected, rtol=1e-12)
    sampler = ConstrainedHMC(mdf, Partial(_wave, 2.0), measure="ambient")
    np.testing.assert_allclose(potential(sampler, x), _wave(2.0, x) + expected, rtol=1e-12)
    state, shift = sampler.init(x), 1e-6 * np.eye(3)
    differences = [float(potential(sampler, x + d) - potential(sampler, x - d)) / 2e-6 for d in shift]
    tangent = np.eye(3) - np.linalg.pinv(jacobian) @ jacobian
    np.testing.assert_allclose(state.slope, tangent @ differences, atol=1e-7)


def test_a_random_walk_has_no_gradient_in_its_proposals_but_the_energy_in_its_decisions(x64):
    steep = ConstrainedHMC(sphere(1.0), Partial(_wave, 5.0), 0.3, use_gradient=False)
    flat = ConstrainedHMC(sphere(1.0), Partial(_wave, 0.0), 0.3, use_gradient=False)
    angle = np.linspace(-3, 3, 400)
    positions = jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    states = start_all(steep, jax.random.key(0), positions)
    flows = [flow(sampler, states).point.position for sampler in (steep, flat)]
    np.testing.assert_array_equal(*flows)
    after, info = step_all(steep, jax.random.key(1), states)
    made = np.asarray(info.acceptance_probability > 0)
    change = np.asarray(jax.vmap(steep.energy)(after.position) - jax.vmap(steep.energy)(positions))
    accepted = np.asarray(info.reason == Reason.ACCEPTED)
    # Without forces the speed of a step is kept on a circle, so H changes by U alone.
    np.testing.assert_allclose(info.energy_error[accepted], change[accepted], atol=1e-9)
    np.testing.assert_allclose(
        info.acceptance_probability[made], np.minimum(1, np.exp(-np.asarray(info.energy_error)[made])), rtol=1e-12
    )
    assert 0.2 < accepted.mean() < 0.95


def _uncalled(x):
    shape = jax.ShapeDtypeStruct((), x.dtype)
    return jax.pure_callback(lambda x: np.asarray(2 * x[0], x.dtype), shape, x, vmap_method="sequential")


def test_a_random_walk_asks_for_no_gradient_at_all():
    sampler = ConstrainedHMC(sphere(1.0), Partial(_uncalled), 0.3, use_gradient=False)
    states = start_all(sampler, jax.random.key(0), jnp.asarray([[1.0, 0.0], [0.0, 1.0]]))
    after, _ = step_all(sampler, jax.random.key(1), states)
    np.testing.assert_allclose(after.potential, 2 * after.position[:, 0], rtol=1e-6)


@pytest.mark.parametrize("size", [1e-4, 1.0])
def test_other_sheets_are_told_apart_on_a_torus_of_any_size(size):
    sampler = ConstrainedHMC(torus(size * RADIUS, size * TUBE), Partial(_flat), 0.5 * size)
    states = start_all(sampler, jax.random.key(0), size * torus_starts(5000, jnp.float32))
    _, info = step_all(sampler, jax.random.key(1), states)
    assert 0.005 < (info.reason == Reason.NOT_REVERSIBLE).mean() < 0.1


# Refusals -----------------------------------------------------------------------------------------


def _wave_or_root(weights, x):
    return _wave(weights[0], x) + weights[1] * jnp.sqrt(jnp.where(weights[1] > 0, x[0], 1))


WIDE, NARROW = [[-9.0, -9.0], [9.0, 9.0]], [[0.9, -2.0], [2.0, 2.0]]


@pytest.mark.parametrize(
    ("step_size", "reverse_tolerance", "bounds", "weights", "expected"),
    [
        (3.0, 1e-4, WIDE, (0.0, 0.0), Reason.NOT_CONVERGED),
        (0.3, 1e-4, WIDE, (8.0, 0.0), Reason.ENERGY),
        (0.5, jnp.nan, WIDE, (0.0, 0.0), Reason.NOT_REVERSIBLE),  # no distance is within NaN
        (0.9, 1e-4, WIDE, (0.0, 0.1), Reason.NON_FINITE),
        (0.5, 1e-4, NARROW, (0.0, 0.0), Reason.OUT_OF_BOUNDS),
    ],
    ids=lambda part: getattr(part, "name", ""),
)
def test_a_refused_proposal_leaves_the_chain_where_it_was_and_says_why(
    step_size, reverse_tolerance, bounds, weights, expected
):
    sampler = ConstrainedHMC(
        sphere(1.0),
        Partial(_wave_or_root, jnp.asarray(weights)),
        step_size,
        reverse_tolerance=reverse_tolerance,
        box=Box(*jnp.asarray(bounds)),
        num_steps=2,
    )
    angle = np.linspace(-0.4, 0.4, 300)
    states = start_all(sampler, jax.random.key(0), jnp.asarray(np.stack([np.cos(angle), np.sin(angle)], axis=1)))
    after, info = step_all(sampler, jax.random.key(1), states)
    refused = np.asarray(info.reason == expected)
    assert refused.mean() > 0.05
    stayed = np.asarray(info.reason != Reason.ACCEPTED)
    np.testing.assert_array_equal(after.position[stayed], states.position[stayed])
    assert (np.asarray(after.position != states.position).any(axis=1) == ~stayed).all()
    np.testing.assert_array_equal(info.acceptance_probability[refused] > 0, expected == Reason.ENERGY)
    assert np.isfinite(after.position).all()
    if expected == Reason.ENERGY:
        assert (info.energy_error[refused] > 0).all()
    assert (info.residual_norm < 1e-5).all()  # of solves that converged


def test_reverse_distances_are_at_rounding_or_as_far_as_another_sheet(dtype):
    """Nothing lies near the tolerance that tells the two apart, so its exact value does not matter."""
    sampler = ConstrainedHMC(torus(RADIUS, TUBE), Partial(_flat), 0.5)
    states = start_all(sampler, jax.random.key(0), torus_starts(5000, dtype))
    _, info = step_all(sampler, jax.random.key(1), states)
    distance = np.asarray(info.reverse_distance)[np.asarray(info.reason != Reason.NOT_CONVERGED)]
    assert ((distance < 100 * relative_tolerance(dtype)) | (distance > 1e-2)).all()
    assert 0.01 < (distance > 1e-2).mean() < 0.1
    # Tangents of length over a diameter of the tube often end elsewhere, and are caught.
    assert (info.reason == Reason.NOT_REVERSIBLE).sum() == (distance > 1e-2).sum()

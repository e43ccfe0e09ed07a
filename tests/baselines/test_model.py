import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import stats
from scipy.special import ive

from implicit_manifolds import Box, InputError
from implicit_manifolds.baselines.autoencoders import Identity, log_volume
from implicit_manifolds.baselines.flows import FlowAutoencoder, InflatedFlow
from implicit_manifolds.baselines.latents import EnergyLatent, FlowLatent, StandardNormal
from implicit_manifolds.baselines.model import Pushforward, image, log_density, reconstruct, sample
from implicit_manifolds.ebim.kernels import KernelEnergy, kernel_source
from implicit_manifolds.networks.flows import Flow
from implicit_manifolds.networks.residual import ResidualMLP
from implicit_manifolds.scaling import Scaling
from implicit_manifolds.volumes.importance import Estimate, energies_at
from implicit_manifolds.volumes.pools import box_source, log_integral, volume

SCALING = Scaling(np.array([1.0, -2.0, 0.5]), 3.0)


@jax.tree_util.register_static
class Paraboloid:
    """(a, b) -> (a, b, a² + b²), a chart that is injective and has a volume element in closed form."""

    def encode(self, x):
        return x[:2]

    def decode(self, z):
        return jnp.append(z, jnp.sum(z**2))

    def __eq__(self, other):
        return isinstance(other, Paraboloid)

    def __hash__(self):
        return hash(Paraboloid)


def test_density_is_that_of_the_codes_over_the_area_of_the_chart(x64):
    model = Pushforward(Paraboloid(), StandardNormal(2), SCALING)
    codes = np.random.default_rng(0).normal(size=(30, 2))
    points = SCALING.restore(np.column_stack([codes, (codes**2).sum(axis=1)]))
    off = points + np.array([0.0, 0.0, 0.6])
    found = log_density(model, off)
    normal = -0.5 * (codes**2).sum(axis=1) - np.log(2 * np.pi)
    area = 0.5 * np.log(1 + 4 * (codes**2).sum(axis=1))
    np.testing.assert_allclose(found.log_density, normal - area - 2 * np.log(3.0), rtol=1e-12)
    np.testing.assert_allclose(found.energy, -normal, rtol=1e-12)
    np.testing.assert_allclose(found.distance, 0.6, rtol=1e-10)
    projected = reconstruct(model, off)
    np.testing.assert_allclose(projected.points, points, atol=1e-12)
    np.testing.assert_allclose(projected.distance, 0.6, rtol=1e-10)


def test_samples_have_the_law_of_the_density(x64):
    model = Pushforward(Paraboloid(), StandardNormal(2), SCALING)
    points = sample(jax.random.key(0), model, 20_000)
    standard = np.asarray(SCALING.standardize(points))
    np.testing.assert_allclose(standard[:, 2], (standard[:, :2] ** 2).sum(axis=1), atol=1e-12)
    # Means of 20,000 normals, five standard errors; mean and variance of a sum of two squares.
    assert np.abs(standard[:, :2].mean(axis=0)).max() < 5 / 20_000**0.5
    assert abs(standard[:, 2].mean() - 2) < 5 * 2 / 20_000**0.5


@pytest.mark.slow
def test_the_integral_of_an_ambient_flow_s_density_is_one(x64):
    flow = Flow(2, layers=3, bins=5, bound=3.0, width=16, linear=True, rngs=nnx.Rngs(0))
    model = Pushforward(Identity(2), FlowLatent(flow, 2), Scaling(np.zeros(2), 2.0))
    axis = np.linspace(-14, 14, 561)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    density = np.exp(log_density(model, grid).log_density)
    assert density.sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=2e-3)
    # The mean of the samples is that of the density, within five standard errors of 4,000.
    drawn = sample(jax.random.key(1), model, 4000)
    mean = (density[:, None] * grid).sum(axis=0) * (axis[1] - axis[0]) ** 2
    assert (np.abs(drawn.mean(axis=0) - mean) < 5 * drawn.std(axis=0) / 4000**0.5).all()


def test_a_context_changes_density_and_samples_row_by_row(x64):
    flow = Flow(1, layers=2, bins=5, bound=4.0, width=16, context=1, linear=True, rngs=nnx.Rngs(0))
    model = Pushforward(Identity(1), FlowLatent(flow, 1), Scaling(np.zeros(1), 1.0))
    points, contexts = np.full((2, 1), 0.4), np.array([[-1.0], [1.0]])
    both = log_density(model, points, contexts).log_density
    for row in range(2):
        alone = log_density(model, points[row : row + 1], contexts[row : row + 1]).log_density
        np.testing.assert_allclose(both[row], alone[0], rtol=1e-12)
    assert abs(both[0] - both[1]) > 1e-3
    first, second = (sample(jax.random.key(0), model, 10, context) for context in contexts)
    assert np.abs(first - second).max() > 1e-3


def _cosine(kappa, z):
    return -kappa * jnp.cos(z[0])


def test_an_energy_in_a_box_is_normalised_sampled_and_nothing_outside(x64):
    kappa, box = 2.0, Box(jnp.asarray([-np.pi]), jnp.asarray([np.pi]))
    log_z = float(np.log(2 * np.pi * ive(0, kappa)) + kappa)
    law = EnergyLatent(jax.tree_util.Partial(_cosine, kappa), box, Estimate(log_z, 0.0))
    angles = np.asarray(law.draw(jax.random.key(0), 20_000))[:, 0]
    assert len(np.unique(angles)) == 20_000
    mean = ive(1, kappa) / ive(0, kappa)
    assert abs(np.cos(angles).mean() - mean) < 5 * np.cos(angles).std() / 20_000**0.5
    assert float(law.log_density(jnp.asarray([0.3]))) == pytest.approx(kappa * np.cos(0.3) - log_z)
    assert law.log_density(jnp.asarray([3.2])) == -np.inf


@pytest.mark.parametrize("separate", [False, True])
@pytest.mark.slow
def test_an_m_flow_decodes_onto_the_slice_of_its_flow_and_a_code_comes_back(x64, separate):
    flow = Flow(3, layers=3, bins=5, bound=3.0, width=16, rngs=nnx.Rngs(0))
    encoder = ResidualMLP(3, 2, width=8, blocks=1, rngs=nnx.Rngs(1)) if separate else None
    pair = FlowAutoencoder(flow, 3, 2, encoder)
    z = jnp.asarray([0.3, -0.8])
    np.testing.assert_allclose(flow.inverse(pair.decode(z))[0], [0.3, -0.8, 0.0], atol=1e-9)
    if not separate:
        np.testing.assert_allclose(pair.encode(pair.decode(z)), z, atol=1e-9)
    jacobian = jax.jacobian(pair.decode)(z)
    exact = 0.5 * np.linalg.slogdet(jacobian.T @ jacobian)[1]
    assert float(log_volume(pair, z)) == pytest.approx(exact, abs=1e-10)


def test_points_of_another_dimension_are_refused():
    with pytest.raises(InputError, match="2 coordinates, the model has 3"):
        log_density(Pushforward(Paraboloid(), StandardNormal(2), SCALING), np.zeros((4, 2)))


def test_the_density_of_an_inflated_flow_is_that_of_its_flow_in_all_of_space(x64):
    epsilon = 0.1
    flow = Flow(3, layers=3, bins=5, bound=3.0, width=16, rngs=nnx.Rngs(0))
    model = Pushforward(InflatedFlow(flow, 3, 2, epsilon), StandardNormal(2), SCALING)
    standard = np.random.default_rng(0).normal(size=(10, 3))
    inverse = jax.vmap(lambda x: flow.inverse(x)[0])
    normal = stats.norm.logpdf(inverse(standard), scale=[1, 1, epsilon]).sum(axis=1)
    jacobians = jax.jit(jax.vmap(jax.jacobian(lambda x: flow.inverse(x)[0])))(standard)
    found = log_density(model, SCALING.restore(standard)).log_density
    np.testing.assert_allclose(found, normal + np.linalg.slogdet(jacobians)[1] - 3 * np.log(3.0), atol=1e-8)
    drawn = sample(jax.random.key(0), model, 10)
    np.testing.assert_allclose(inverse(SCALING.standardize(drawn))[:, 2], 0, atol=1e-8)


def test_images_of_codes_come_with_the_density_there(x64):
    model = Pushforward(Paraboloid(), StandardNormal(2), SCALING)
    codes = np.random.default_rng(0).normal(size=(10, 2))
    points, density = image(model, codes)
    np.testing.assert_allclose(points, SCALING.restore(np.column_stack([codes, (codes**2).sum(axis=1)])), atol=1e-12)
    np.testing.assert_allclose(density, log_density(model, points).log_density, atol=1e-10)


def test_kernels_help_to_integrate_a_peak_and_samples_of_it_have_its_law(x64):
    box = Box(jnp.asarray([-5.0, -5.0]), jnp.asarray([5.0, 5.0]))
    centres = jnp.asarray([[1.0, 2.0], [1.01, 2.0]])
    kernel = KernelEnergy(centres, jnp.full((1, 2), 0.03), jnp.ones(1), 2)
    energy = jax.tree_util.Partial(_peak)
    exact = np.log(2 * np.pi * 0.02**2)
    errors = []
    for source in (kernel_source(box, kernel), box_source(box)):
        pool = source.draw(jax.random.key(0), 2**15)
        found = log_integral(pool, -energies_at(energy, pool.points))
        assert abs(found.value - exact) < 5 * found.standard_error
        errors.append(found.standard_error)
    assert errors[0] < errors[1] / 3
    near = kernel_source(box, kernel).draw(jax.random.key(1), 2**15)
    assert volume(near).value == pytest.approx(100.0, rel=0.02)
    drawn = np.asarray(EnergyLatent(energy, box, Estimate(exact, 0.0), kernel).draw(jax.random.key(0), 2000))
    np.testing.assert_allclose(drawn.mean(axis=0), [1.0, 2.0], atol=5 * 0.02 / 2000**0.5)
    np.testing.assert_allclose(drawn.std(axis=0), 0.02, rtol=0.1)


def _peak(z):
    return jnp.sum((z - jnp.asarray([1.0, 2.0])) ** 2) / (2 * 0.02**2)

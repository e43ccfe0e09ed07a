"""Angles, places and rotations: there and back, and densities by their measures."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import implicit_manifolds as im
from implicit_manifolds.coordinates import coordinates_of, from_description
from implicit_manifolds.ebim.measures import log_density_by_coordinates
from implicit_manifolds.errors import InputError
from implicit_manifolds.manifold.analytic import sphere


def mixed(count=60):
    """Names and values of a table of every kind of column, and what they mean."""
    random = np.random.default_rng(0)
    turns = Rotation.random(2 * count, random)
    values = np.column_stack(
        [
            random.uniform(0, 360, count),
            random.uniform(-180, 180, count),
            random.uniform(-90, 90, count),
            random.normal(size=count),
            turns[:count].as_quat(canonical=True, scalar_first=True),
            turns[count:].as_matrix().reshape(-1, 9),
        ]
    )
    matrix = [f"r{i}" for i in range(9)]
    names = ["angle", "lon", "lat", "height", "w", "x", "y", "z", *matrix]
    options = {"angles": "deg", "angle_columns": ["angle"], "lonlat": ["lon", "lat"]}
    return names, values, options | {"quaternion": ["w", "x", "y", "z"], "rotation_matrix": matrix}


def test_every_kind_of_column_comes_back_as_it_was():
    names, values, options = mixed()
    found = coordinates_of(names, values, **options)
    assert (found.freedom, found.measure) == (10, "rad_sr_unit_haar2")
    np.testing.assert_allclose(found.restore(found.embed(values)), values, rtol=0, atol=1e-10)
    assert from_description(found.described()) == found
    # The other quaternion of a rotation is the same point.
    negated = values.copy()
    negated[:, 4:8] *= -1
    np.testing.assert_allclose(found.embed(negated), found.embed(values), atol=1e-12)


def test_frames_are_derivatives_of_the_embedding(x64):
    names, values, options = mixed(5)
    found = coordinates_of(names, values, **options)
    frame = np.asarray(found.frame(jnp.asarray(found.embed(values)[0])))
    step = 1e-6

    def moved(change):
        return (found.embed((values[0] + change)[None])[0] - found.embed((values[0] - change)[None])[0]) / (2 * step)

    unit = np.eye(len(names)) * step
    np.testing.assert_allclose(moved(np.degrees(unit[0])), frame[:, 0], atol=1e-8)
    np.testing.assert_allclose(moved(unit[3])[5:6], frame[5:6, 3], atol=1e-8)
    # Of a place: an orthonormal basis of the plane that longitude and latitude span.
    latitude = np.radians(values[0, 2])
    span = np.stack([moved(np.degrees(unit[1])) / np.cos(latitude), moved(np.degrees(unit[2]))], axis=1)
    np.testing.assert_allclose(frame[:, 1:3] @ frame[:, 1:3].T, span @ span.T, atol=1e-8)
    # Of rotations: R exp(t E), by three turns of a radian each.
    matrix = found.embed(values)[0, -9:].reshape(3, 3)
    for axis in range(3):
        turned = [matrix @ Rotation.from_rotvec(sign * step * np.eye(3)[axis]).as_matrix() for sign in (1, -1)]
        np.testing.assert_allclose((turned[0] - turned[1]).ravel() / (2 * step), frame[-9:, 7 + axis], atol=1e-8)


@pytest.fixture(scope="module")
def places():
    random = np.random.default_rng(0)
    count = 600
    return np.column_stack(
        [np.degrees(random.vonmises(0, 2, count)), np.degrees(np.arcsin(random.uniform(-1, 1, count)))]
    )


@pytest.mark.parametrize("radius", [pytest.param(1.0, marks=pytest.mark.slow), 1.05])
def test_a_density_per_steradian_integrates_to_one_though_the_sphere_be_another(places, quick, radius):
    found = coordinates_of(["lon", "lat"], places, lonlat=["lon", "lat"])
    model = im.fit_density(jax.random.key(0), found.embed(places), sphere(radius), config=quick).model
    random = np.random.default_rng(1)
    even = np.column_stack([random.uniform(-180, 180, 4000), np.degrees(np.arcsin(random.uniform(-1, 1, 4000)))])
    density = 4 * np.pi * np.exp(log_density_by_coordinates(model, found, even))
    # Four standard errors: false alarm 6e-5; half a percent for log Z.
    assert abs(density.mean() - 1) < 4 * density.std() / np.sqrt(4000) + 0.005
    by_volume = im.log_density(model, found.embed(even)).log_density
    np.testing.assert_allclose(
        log_density_by_coordinates(model, found, even), by_volume + 2 * np.log(radius), atol=2e-4
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"lonlat": ["lat", "lon"]}, "latitude 170 in row 1, beyond 90 degrees; name the longitude first"),
        ({"lonlat": ["lon"]}, "lonlat takes 2 columns, not 1"),
        ({"lonlat": ["lon", "x"]}, "there is no column x"),
        ({"lonlat": ["lon", "lat"], "angles": "deg", "angle_columns": ["lat"]}, "lat is given two meanings"),
        ({"angle_columns": ["lat"]}, "need a unit"),
        ({"quaternion": ["lon", "lat", "a", "b"]}, "no quaternions of norm one"),
    ],
)
def test_what_columns_cannot_mean_is_a_sentence(options, said):
    values = np.asarray([[170.0, 10.0, 0.0, 1.0], [-20.0, 5.0, 0.0, 1.0]])
    with pytest.raises(InputError, match=said):
        coordinates_of(["lon", "lat", "a", "b"], values, **options).embed(values)


def test_columns_of_one_name_or_too_few_are_refused():
    with pytest.raises(InputError, match="two columns are named x; rename one"):
        coordinates_of(["x", "x"], np.ones((2, 2)))
    with pytest.raises(InputError, match="a column for each of 2 names"):
        coordinates_of(["x", "y"], np.ones((2, 3)))

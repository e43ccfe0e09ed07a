import numpy as np
import pytest

from implicit_manifolds.datasets.earth import load_earth, unit_vectors


@pytest.mark.parametrize(("name", "count"), [("flood", 4875), ("fire", 12809), ("quakes_all", 6120), ("volerup", 827)])
def test_every_event_is_read_as_a_unit_vector(real_data, name, count):
    points = load_earth(name)
    assert points.shape == (count, 3)
    assert points.dtype == np.float64
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1, rtol=0, atol=1e-15)


def test_no_data_row_is_taken_for_a_header(real_data):
    first = {"flood": (35.8142, 5.23026), "fire": (-25.088, 152.358), "quakes_all": (31.1, 35.5)}
    first["volerup"] = (-30.2, -178.47)
    for name, degrees in first.items():
        x, y, z = load_earth(name)[0]
        np.testing.assert_allclose(np.degrees([np.arcsin(z), np.arctan2(y, x)]), degrees)


def test_latitude_comes_first_and_longitude_turns_eastwards():
    points = unit_vectors(np.array([[0.0, 0.0], [0.0, 90.0], [90.0, 17.0], [-90.0, 17.0]]))
    np.testing.assert_allclose(points, [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]], atol=1e-15)

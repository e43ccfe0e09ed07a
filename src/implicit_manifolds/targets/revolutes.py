"""A loop of seven revolute joints in space, which moves with one degree of freedom: four closed curves of angles.

Links are given as Denavit and Hartenberg (1955) do, by lengths and twists, with no offsets. The last joint is a pin,
put through its hole either way up: closing a loop by equations that are independent everywhere cannot tell which,
since a map of the sphere of its directions to a plane takes every regular value an even number of times. So there are
two assemblies, and of each a mirror image (all angles with the other sign), because the links have no offsets.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

from .._random import host_generator
from .._types import Vector
from .target import Quantity, Target

LENGTHS = np.array([1.0, 0.8, 1.1, 0.9, 1.2, 0.7, 1.0])  # dm
TWISTS = np.radians([80.0, -75.0, 95.0, 70.0, -85.0, 100.0, -90.0])
STIFFNESS, GOAL = 1.0, np.array([0.2, 1.2, 0.9])  # 1/dm² and dm, of the task: joint 4 is to be at its goal
MEANS = {
    "pin": (0.228696, 0.973498),
    "x of joint 4": (-0.077703, 0.703252),
    "y of joint 4": (0.786387, 0.664221),
    "z of joint 4": (0.292078, 0.630380),
    "cosine of angle 1": (0.518778, 0.469602),
    "cosine of angle 5": (0.139955, 0.628332),
}
"""Mean and deviation; `python -m implicit_manifolds.targets.revolutes` prints them."""
LOG_NORMALIZER = 2.875935


class Joint(NamedTuple):
    """Where a joint is, and how it is turned: (3,) each; it turns about its third direction."""

    place: Vector
    first: Vector
    second: Vector
    axis: Vector


def joints(pairs) -> list[Joint]:
    """Joints 2 to 7, of the cosine and sine of the angle of each before (6, 2); joint 1 is the origin's."""
    joint, found = Joint(jnp.zeros(3, pairs.dtype), *jnp.eye(3, dtype=pairs.dtype)), []
    for (cosine, sine), length, twist in zip(pairs, LENGTHS, TWISTS, strict=False):
        link, across = cosine * joint.first + sine * joint.second, cosine * joint.second - sine * joint.first
        c, s = float(np.cos(twist)), float(np.sin(twist))
        joint = Joint(
            joint.place + float(length) * link, link, c * across + s * joint.axis, c * joint.axis - s * across
        )
        found.append(joint)
    return found


def _ajar(pairs):
    """By how much the last joint is off its pin, (5,): in place (3) and in direction (2)."""
    place, _, _, axis = joints(pairs)[-1]
    across = float(np.cos(TWISTS[6])) * axis[1] - float(np.sin(TWISTS[6])) * axis[2]
    return jnp.concatenate([place.at[0].add(float(LENGTHS[6])), jnp.stack([axis[0], across])])


def closed_loop(x):
    """F of cosines and sines of six angles, one after the other, (12,) to (11,): circles, then closure."""
    pairs = x.reshape(6, 2)
    return jnp.concatenate([jnp.sum(pairs**2, axis=1) - 1, _ajar(pairs)])


def joint_4(x):
    """Its place (3,), of x (12,)."""
    return joints(x.reshape(6, 2))[2].place


def pin(x):
    """1 where the pin of the last joint is one way up, -1 where it is the other."""
    return joints(x.reshape(6, 2))[-1].axis @ jnp.asarray(_PIN, x.dtype)


_PIN = np.array([0.0, np.sin(TWISTS[6]), np.cos(TWISTS[6])])


def _task(x):
    return 0.5 * STIFFNESS * jnp.sum((joint_4(x) - jnp.asarray(GOAL, x.dtype)) ** 2)


def _place(index, x):
    return joint_4(x)[index]


def _cosine(index, x):
    return x[2 * index]


FUNCTIONS = {
    "pin": Partial(pin),
    "x of joint 4": Partial(_place, 0),
    "y of joint 4": Partial(_place, 1),
    "z of joint 4": Partial(_place, 2),
    "cosine of angle 1": Partial(_cosine, 0),
    "cosine of angle 5": Partial(_cosine, 4),
}


def configurations(angles: np.ndarray) -> np.ndarray:
    """Points of M (..., 12) from angles (..., 6)."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(*angles.shape[:-1], 12)


def _ajar_at(angles):
    return _ajar(jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1))


def _closer(angles):
    """A step of Newton's method for angles that close the loop, the shortest, and none longer than ½."""
    step = jnp.linalg.pinv(jax.jacfwd(_ajar_at)(angles)) @ _ajar_at(angles)
    return angles - step / jnp.maximum(1, 2 * jnp.linalg.norm(step))


@jax.jit
@jax.vmap
def _closed(angles):
    """Angles that close the loop, searched from others, and by how much it is ajar there."""
    angles = jax.lax.fori_loop(0, 40, lambda _, x: _closer(x), angles)
    return angles, jnp.abs(_ajar_at(angles)).max()


@jax.jit
def _followed(angles, along, step):
    """A thousand steps along M, and the direction of the last."""

    def onward(carry, _):
        angles, along = carry
        tangent = jnp.linalg.svd(jax.jacfwd(_ajar_at)(angles))[2][-1]
        along = jnp.where(along @ tangent < 0, -tangent, tangent)
        angles = _closer(_closer(_closer(angles + step * along)))
        return (angles, along), angles

    return jax.lax.scan(onward, (angles, along), length=1000)


def _anywhere(random, count):
    """Angles (count, 6) that close the loop, from random ones."""
    found = np.zeros((0, 6))
    with jax.enable_x64(True):
        while len(found) < count:
            angles, ajar = map(np.asarray, _closed(random.uniform(-np.pi, np.pi, (2 * count, 6))))
            found = np.concatenate([found, angles[ajar < 1e-13]])
    return found[:count]


def _starts(key, count):
    return configurations(_anywhere(host_generator(key), count))


def curves(step: float = 0.01, tries: int = 200) -> list[tuple[np.ndarray, np.ndarray]]:
    """The parts of M that random starts are on: angles (count, 6) along each, and the length each stands for (count,).

    Curves are followed by steps along the tangent, each closed by Newton's method, until they are back.
    """
    starts, parts = _anywhere(np.random.default_rng(0), tries), []
    while len(starts):
        x = configurations(_around(starts[0], step))
        gaps = np.linalg.norm(x - np.roll(x, 1, axis=0), axis=1)
        parts.append((np.arctan2(x[:, 1::2], x[:, ::2]), 0.5 * (gaps + np.roll(gaps, -1))))
        off = np.linalg.norm(x - configurations(starts)[:, None], axis=-1)
        starts = starts[off.min(axis=1) > step]
    return parts


def _around(start, step):
    """Angles on the curve through `start`, once around."""
    path, along, home = start[None], np.zeros(6), configurations(start)
    while True:
        with jax.enable_x64(True):
            (_, along), onward = _followed(path[-1], along, step)
        path = np.concatenate([path, onward])
        back = np.linalg.norm(configurations(path) - home, axis=1) < 0.75 * step
        back[: len(path) - 1000 if len(path) > 1001 else 3] = False
        if back.any():
            return path[: back.argmax()]


def seven_revolutes() -> Target:
    """Seven revolute joints in a loop: four closed curves, joint 4 drawn to a goal; means by quadrature along them.

    Density exp(-E) by length in the angles' cosines and sines, which is length in the angles.
    """
    quantities = {name: Quantity(FUNCTIONS[name], *known, 0.0, "quadrature") for name, known in MEANS.items()}
    return Target(
        "seven_revolutes", 12, Partial(closed_loop), Partial(_task), "hausdorff", _starts, quantities,
        seven_revolutes.__doc__ or "", None, LOG_NORMALIZER,
    )  # fmt: skip


def _print_means() -> None:
    parts = curves()
    x, length = configurations(np.concatenate([part for part, _ in parts])), np.concatenate([gaps for _, gaps in parts])
    with jax.enable_x64(True):
        weight = length * np.exp(-jax.vmap(_task)(x))
        print(f"# {len(parts)} curves of length", *(f"{gaps.sum():.4f}" for _, gaps in parts))
        print(f"LOG_NORMALIZER = {np.log(weight.sum()):.6f}")
        share = weight / weight.sum()
        for name, function in FUNCTIONS.items():
            values = np.asarray(jax.vmap(function)(x))
            mean = (share * values).sum()
            print(f'    "{name}": ({mean:.6f}, {np.sqrt((share * (values - mean) ** 2).sum()):.6f}),')


if __name__ == "__main__":
    _print_means()

"""The training loop: it learns, stops at NaN, compiles once, and resumes bit for bit."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from implicit_manifolds._pytree import pytree
from implicit_manifolds.errors import Paused, TrainingDiverged
from implicit_manifolds.training import loop
from implicit_manifolds.training.loop import adam, initial_state, train
from implicit_manifolds.training.objective import Objective
from implicit_manifolds.training.pause import stopping_after

DATA = jnp.asarray(np.random.default_rng(0).normal((1.0, -2.0), size=(60, 2)), jnp.float32)


@pytree
@dataclass(frozen=True)
class MeanObjective(Objective):
    """Least squares to the data's mean; its memory counts updates, and the term 'late' breaks at `breaks_at`."""

    breaks_at: float = 1e9

    def initial_memory(self, key, model):
        return jnp.zeros(())

    def sample(self, key, model, memory, batch_size):
        return memory, memory + 1

    def loss(self, key, model, batch, negatives):
        fit = jnp.mean((batch - model[None]) ** 2)
        late = jnp.where(negatives >= self.breaks_at, jnp.nan, 0.0)
        return fit + late, {"fit": fit, "late": late}


def start(objective, key=0):
    return initial_state(jax.random.key(key), objective, adam(0.1, 200), jnp.zeros(2))


def run(objective, state=None, num_steps=200, **options):
    state = start(objective) if state is None else state
    return train(objective, adam(0.1, 200), state, DATA, num_steps=num_steps, batch_size=10, **options)


def test_training_reaches_the_least_squares_solution_and_records_every_round():
    state, history = run(MeanObjective())
    np.testing.assert_allclose(state.model, DATA.mean(axis=0), atol=0.02)
    assert history.steps[-1] == 204  # 34 rounds of 6 batches
    assert len(history.terms["fit"]) == 34
    assert history.terms["fit"][-1] < history.terms["fit"][0]


def test_each_round_visits_every_point_once():
    @pytree
    @dataclass(frozen=True)
    class Visits(MeanObjective):
        def loss(self, key, model, batch, negatives):
            seen = jnp.zeros(60).at[jnp.argmin(jnp.abs(batch[:, None, 0] - DATA[None, :, 0]), axis=1)].set(1.0)
            return jnp.sum(model) * 0, {"seen": jnp.sum(seen)}

    _, history = run(Visits())
    np.testing.assert_allclose(history.terms["seen"], 10)  # ten distinct points a batch, six disjoint batches


def test_a_term_that_is_not_finite_stops_training_and_is_named_with_its_step():
    with pytest.raises(TrainingDiverged, match=r"^training: the term 'late' was not finite at step 78;"):
        run(MeanObjective(breaks_at=77.0))


def test_parameters_that_the_last_update_breaks_are_named_though_no_term_shows_it():
    @pytree
    @dataclass(frozen=True)
    class Steep(MeanObjective):
        def loss(self, key, model, batch, negatives):
            flat = jnp.where(negatives >= self.breaks_at, 0.0, 1.0)
            return jnp.sqrt(0 * jnp.sum(model) + flat), {"flat": flat}  # its slope at zero is not finite

    run(Steep(breaks_at=12.0), num_steps=12)
    with pytest.raises(TrainingDiverged, match="the model was not finite after the last step"):
        run(Steep(breaks_at=11.0), num_steps=12)


def test_new_parameters_and_data_compile_nothing():
    run(MeanObjective())
    before = loop._train_chunk._cache_size()
    run(MeanObjective(breaks_at=1e8), start(MeanObjective(), key=5))
    assert loop._train_chunk._cache_size() == before


def test_fewer_points_than_a_batch_are_one_batch():
    state, history = train(
        MeanObjective(), adam(0.1, 200), start(MeanObjective()), DATA[:4], num_steps=3, batch_size=10
    )
    assert history.steps.tolist() == [1, 2, 3]
    assert np.isfinite(state.model).all()


def test_pieces_of_a_training_end_as_one_that_never_stopped(tmp_path):
    whole, history = run(MeanObjective(), num_steps=30)
    pieces = 0
    while True:
        try:
            with stopping_after(0):
                state, resumed = run(MeanObjective(), num_steps=30, checkpoint_dir=tmp_path / "saved")
            break
        except Paused:
            pieces += 1
    assert pieces == 5  # rounds of six updates
    np.testing.assert_array_equal(state.model, whole.model)
    for term, values in history.terms.items():
        np.testing.assert_array_equal(resumed.terms[term], values)
    with stopping_after(0):
        run(MeanObjective(), num_steps=30)  # without a directory nothing could go on


SCRIPT = """
import sys, jax, numpy as np
from pathlib import Path
from implicit_manifolds import EnergyConfig, FitConfig, LikelihoodConfig, ManifoldConfig
from implicit_manifolds import fit
from implicit_manifolds.training.checkpoint import flatten
angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 100)
points = np.column_stack([np.cos(angle), np.sin(angle)])
steps = {"num_steps": 400, "batch_size": 20}
config = FitConfig(
    ManifoldConfig(hidden=(8,), restarts=2, warmup_steps=400, langevin_steps=5, buffer_size=100, **steps),
    EnergyConfig(hidden=(8,), langevin_steps=3, buffer_size=100, starts=50, **steps),
    LikelihoodConfig(hidden=(8,), features=4, members=2, pool_size=500, pool_batch=100, held_out=500, **steps),
    manifold="zero-set",
)
folder = None if sys.argv[1] == "none" else Path(sys.argv[1])
model = fit(jax.random.key(1), points, 1, config, checkpoint_dir=folder).model
np.savez(sys.argv[2], **flatten(model))
"""


def launch(folder, out):
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen([sys.executable, "-c", SCRIPT, str(folder), str(out)], env=environment)


def kill_when(process, folder: Path, wanted: int):
    """SIGKILL as soon as `wanted` finished checkpoints stand in the folder."""
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        if sum(path.name.isdigit() for path in folder.glob("*")) >= wanted:
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.002)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_and_resumed_fit_gives_bit_identical_parameters(tmp_path):
    whole = launch("none", tmp_path / "whole.npz")
    folder = tmp_path / "checkpoints"
    kill_when(launch(folder, tmp_path / "never.npz"), folder / "energy", 1)  # in the midst of the third stage
    assert not (tmp_path / "never.npz").exists()
    assert launch(folder, tmp_path / "resumed.npz").wait() == 0
    assert whole.wait() == 0
    expected, resumed = np.load(tmp_path / "whole.npz"), np.load(tmp_path / "resumed.npz")
    assert set(expected) == set(resumed)
    for name in expected:
        np.testing.assert_array_equal(expected[name], resumed[name], err_msg=name)

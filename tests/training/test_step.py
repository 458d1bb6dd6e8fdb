"""How a training step is made, on which its speed rests: nothing here is timed."""

import pytest


class Unread(dict):
    """Figures of a step on a device: reading one would wait for it."""

    def __getitem__(self, name):
        raise AssertionError(f"{name} was read")


@pytest.fixture
def trainer(request, tensorflow, tiny):
    """A trainer of two epochs of which the last batch is short; of two blocks, or as many as it is asked for."""
    import numpy as np

    from vit_train.data.images import Examples
    from vit_train.rundir.layout import RunDir
    from vit_train.training.distribution import Devices
    from vit_train.training.prepare import new_model
    from vit_train.training.trainer import Trainer

    config = tiny("train.steps_per_epoch=null", f"model.depth={getattr(request, 'param', 2)}", "augment=none")
    examples = Examples(np.zeros((70, 8, 8, 3), np.uint8), np.zeros(70, np.int32))
    devices = Devices(config)
    _, model, _ = new_model(config, examples, "0123456789", devices)
    run = RunDir.create(config.outputs, "digits", "vit")
    return Trainer(model, examples, examples, config, run, devices)


@pytest.mark.parametrize("trainer", [1], indirect=True)
def test_the_step_is_traced_once_for_all_epochs_and_short_batches(trainer, monkeypatch):
    traced, step = [], trainer.model.train_step
    monkeypatch.setattr(trainer.model, "train_step", lambda *arguments: traced.append(1) or step(*arguments))
    trainer.fit(lambda rows: None)
    assert (trainer.progress.step, len(traced)) == (6, 1)


def test_elementwise_work_is_compiled_and_no_random_numbers_are_kept(trainer):
    import tensorflow as tf

    batch = tf.zeros((4, 8, 8, 3)), tf.zeros(4, tf.int32)
    graph = tf.function(trainer.model.train_step).get_concrete_function(batch).graph.as_graph_def()
    functions = graph.library.function
    compiled = [node.op for each in functions if each.attr["_XlaMustCompile"].b for node in each.node_def]
    everything = [node.op for node in graph.node] + [node.op for each in functions for node in each.node_def]
    assert compiled.count("Erf") == 2 * 2  # of both layers, in the forward pass and back; blocks share them
    assert everything.count("Erf") == compiled.count("Erf")
    assert everything.count("Rsqrt") == compiled.count("Rsqrt") == 1  # of LayerNorm
    assert not [kind for kind in everything if "Random" in kind or kind == "SquaredDifference"]


def test_no_step_reads_figures_from_the_device(trainer):
    from vit_train.progress import TrainingDisplay

    trainer.epoch_began = trainer.looked_at
    trainer.steps = 10_000
    trainer.display = TrainingDisplay(1, trainer.steps, 32)
    for _ in range(1000):
        trainer.after_step(Unread())
    assert trainer.progress.step == 1000


JAX = """
import jax, jax.numpy as jnp
from conftest import TINY
from benchmarks.compiled_step import compiled_step, inspect, waits
from vit_train.machine import backend
from vit_train.config.compose import load_config
config = load_config([*TINY, "compute.backend=jax", "compute.devices=cpu", "augment.placement=device"])
backend.configure(config.compute, config.seed)
step = compiled_step(config)
facts, memory = inspect(step, config.train.batch_size), step.memory_analysis()
assert facts["waits for the host"] == "0", facts
batch = config.train.batch_size * (32 * 32 * 3 + 8 * 4 + 4)  # images, transforms and labels
assert memory.argument_size_in_bytes - memory.alias_size_in_bytes < batch + 1000, facts
def talkative(x):
    jax.debug.callback(print, x)
    return x
assert waits(jax.jit(talkative).lower(jnp.ones(3)).compile().as_text()) > 0
"""


@pytest.mark.slow
def test_on_jax_a_step_updates_its_state_in_place_and_never_waits_for_the_host(run_on):
    run_on("jax", JAX)

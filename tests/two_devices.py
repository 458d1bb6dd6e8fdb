"""A process with two virtual CPU devices: `two_devices.py BACKEND FOLDER` trains there and prints what came of it."""

import functools
import json
import os
import shutil
import sys
from pathlib import Path

CUT, POISONED = 17, 20  # after 17 steps the run's directory is copied; in batch 20 the first image is infinite
RUN = (
    "dataset.fraction=0.26",
    "dataset.validation=0.2",
    "train.batch_size=28",  # 299 and 75 images: the last batch of training and that of validation are odd
    "train.steps_per_epoch=null",
    "train.skip_nonfinite_steps=1",
    "train.checkpoint.every=5",
    "optimizer.clip_norm=0.5",
)
ONE, ALL = "compute.devices=cpu", "compute.devices=all"


def two_devices(backend):
    """Makes them, before anything looks for devices."""
    if backend == "jax":
        os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
        return
    import tensorflow as tf

    halves = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], halves)


def observe(losses):
    """Notes the running loss of each step, poisons a batch, and copies the run's directory as a kill would leave it."""
    import tensorflow as tf

    from vit_train.training import trainer

    batches, after_step = trainer.training_batches, trainer.Trainer.after_step

    def poison(step, batch):
        images, labels, *weights = batch
        bad = (step == POISONED) & (tf.range(tf.shape(labels)[0]) == 0)
        return tf.where(bad[:, None, None, None], float("inf"), images), labels, *weights

    def poisoned(train, config, first, last, **part):
        clean = batches(train, config, first, last, **part)
        if config.augment.placement == "device":
            return clean
        return tf.data.Dataset.zip(tf.data.Dataset.range(first, last), clean).map(poison)

    @functools.wraps(after_step)
    def observed(self, logs):
        after_step(self, logs)
        self._sync()
        losses.append(float(self.model.get_metrics_result()["cross_entropy"]))
        if self.progress.step == CUT and self.config.resume is None:
            shutil.copytree(self.run.path, f"{self.run.path}-cut")

    trainer.training_batches, trainer.Trainer.after_step = poisoned, observed


def outcome(config, losses):
    from vit_train.run import train

    losses.clear()
    report = train(config)
    run = Path(report.run_dir)
    environment = json.loads((run / "environment.json").read_text())
    rows = (run / "history.csv").read_text().splitlines()[1:]
    return {
        "run": report.run_dir,
        "losses": [*losses],
        "history": [[float(value) for value in row.split(",")[:-2]] for row in rows],  # without times
        "test": [report.test.loss, report.test.accuracy],
        "skipped": report.training["skipped_steps"],
        "devices": environment["devices"],
        "log": (run / "train.log").read_text(),
    }


def refusal(config):
    from vit_train.errors import ConfigError
    from vit_train.run import train

    try:
        train(config)
    except ConfigError as error:
        return str(error)


def replicas_after_each(config, gradients):
    """The variable and the optimizer's state in each replica, after each of the steps with `gradients` of both."""
    import keras
    import numpy as np
    import tensorflow as tf

    from vit_train.training.distribution import Devices
    from vit_train.training.optimizer import AdamW
    from vit_train.training.schedule import Schedule

    with Devices(config).scope():
        strategy = tf.distribute.get_strategy()
        variable = keras.Variable(np.float32([1, -2, 0.5]))
        schedule = Schedule("cosine", 1e-2, 0, 100, 0.0)
        optimizer = AdamW(schedule, decay="independent", weight_decay=0.1, nonfinite_steps_allowed=1)
        optimizer.build([variable])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [variable]))
    states = []
    for both in gradients:
        parts = strategy.experimental_distribute_values_from_function(
            lambda context, both=both: tf.constant(both[context.replica_id_in_sync_group])
        )
        strategy.run(step, args=(parts,))
        values = [strategy.experimental_local_results(each.value) for each in (variable, *optimizer.variables)]
        states.append([[value[replica].numpy().tolist() for value in values] for replica in (0, 1)])
    return states


def dropped_in_each(config):
    """What a layer drops in each replica."""
    import tensorflow as tf

    from vit_train.models.dropout import Dropout
    from vit_train.training.distribution import Devices

    with Devices(config).scope():
        strategy, layer = tf.distribute.get_strategy(), Dropout(0.5)
        layer.build((100,))
    parts = strategy.run(tf.function(lambda: layer(tf.ones(100), training=True)))
    return [part.numpy().tolist() for part in strategy.experimental_local_results(parts)]


def of_tensorflow(config):
    from vit_train.config.compose import load_config

    good, bad = [[0.1, -0.2, 0.3], [0.3, 0.4, 0.5]], [[0.1, 0.2, 0.3], [0.1, float("nan"), 0.3]]
    resnet = load_config(["experiment=resnet50v2", ALL, f"outputs={config.outputs}"])
    return {
        "refused_model": refusal(resnet),
        "replicas": replicas_after_each(config, [good, bad, good]),
        "dropped": dropped_in_each(config),
    }


def main(backend, folder):
    from conftest import TINY

    from vit_train.config.compose import load_config
    from vit_train.rundir import resume

    dropout = () if backend == "jax" else ("model.dropout=0", "model.head_dropout=0")
    base = [*TINY, *RUN, *dropout, f"compute.backend={backend}", f"outputs={folder}"]
    found = {"refused": refusal(load_config([*base, ALL, "train.batch_size=33"]))}
    found["created"] = [path.name for path in Path(folder).iterdir()]
    observe(losses := [])
    for name, devices in (("one", ONE), ("two", ALL)):
        found[name] = outcome(load_config([*base, devices]), losses)
    if backend == "tensorflow":
        import tensorflow as tf  # on JAX it must not come first, as it loads Keras

        found |= of_tensorflow(load_config([*base, ALL]))
        tf.config.run_functions_eagerly(True)  # the rest is short, and graphs of it take longer
    for name, start, devices in (("on_one", "two", ONE), ("on_two", "one", ALL)):
        found[name] = outcome(resume.load([f"resume={found[start]['run']}-cut", devices]), losses)
    short = ("augment.placement=device", "train.epochs=1", "train.steps_per_epoch=2")
    found["on_device"] = outcome(load_config([*base, *short, ALL]), losses)
    print(json.dumps(found))


if __name__ == "__main__":
    two_devices(sys.argv[1])
    main(*sys.argv[1:])

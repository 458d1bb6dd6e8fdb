"""A run directory with made-up numbers, for tests of what is written from numbers."""

import json

import numpy as np

from vit_train.config.compose import load_config, to_yaml
from vit_train.report import writer
from vit_train.rundir import history, predictions
from vit_train.rundir.environment import describe_environment
from vit_train.rundir.layout import RunDir
from vit_train.training.evaluate import from_logits

SPLIT = {"train": 90, "validation": 10, "test": 300}


def run_of(folder, class_names, epochs=3, *overrides):
    """(run directory, config, report): as a run of CIFAR-100's config leaves them before it draws and writes pages."""
    config = load_config([f"outputs={folder}", *overrides])
    run = RunDir.create(config.outputs, config.dataset.name, config.model.name)
    run.config.write_text(to_yaml(config))
    run.environment.write_text(json.dumps(describe_environment("cpu")))
    values = (0.5, 0.75, 0.25)
    rows = [dict.fromkeys(history.COLUMNS, values[i % 3]) | {"epoch": i + 1.0, "step": i + 1.0} for i in range(epochs)]
    history.write(rows, run.history)
    generator, classes = np.random.default_rng(0), len(class_names)
    labels = generator.integers(0, classes, SPLIT["test"])
    logits = generator.normal(size=(SPLIT["test"], classes)) + 2 * np.eye(classes)[labels]
    found = from_logits(logits.astype(np.float32), labels)
    predictions.write(found, class_names, run.predictions)
    report = writer.of_training(config, run, SPLIT, 1234, rows)
    return run, config, writer.with_test(report, found, class_names, 0, {})

"""A run, from config to report: the table of contents."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from vit_train import console
from vit_train.config.compose import to_yaml
from vit_train.config.own import ACTIVE
from vit_train.config.schema import Config
from vit_train.files import replace_file, written_beside
from vit_train.machine import backend, cluster
from vit_train.machine.precision import choose
from vit_train.report import loggers, writer
from vit_train.report.live import LivePage
from vit_train.rundir import predictions, room
from vit_train.rundir.environment import describe_environment, require_same_data
from vit_train.rundir.history import Row
from vit_train.rundir.layout import RunDir
from vit_train.training import evaluate

if TYPE_CHECKING:
    from vit_train.data.images import Dataset, ImageSource
    from vit_train.training.prepare import Prepared
    from vit_train.training.trainer import Trainer


def train(config: Config, command: str | None = None, together: bool = False) -> writer.Report:
    """Trains, evaluates and reports; all it leaves is in the run directory that the report names.

    Nothing is created before config and data are known to fit each other. `command` is how the user asked for it; with
    `together`, compute.devices=cluster waits for other processes. Raises the errors of `vit_train.errors`, or Followed
    where another process brings the run to its end.
    """
    loggers.require_installed(config.logging)
    backend.require_installed(config.compute)
    console.doing(f"loading {backend.PACKAGES[config.compute.backend]}")
    backend.configure(config.compute, config.seed, together)
    # These import Keras, which takes backend and precision once, when it is first imported.
    from vit_train.data import pipeline
    from vit_train.models import export
    from vit_train.report import story
    from vit_train.training.prepare import prepare

    console.doing(f"reading {config.dataset.name} and building {config.model.name}")
    with cluster.losses_explained():
        prepared = prepare(config)
    if not cluster.leads():
        _follow(config, prepared)
    dataset, network, model = prepared.dataset, prepared.network, prepared.model
    sizes, parameters = prepared.sizes, network.count_params()
    _require_room(config, prepared)
    run = _run_dir(config)
    with run.locked(), console.logged_to(run.log):
        cluster.tell_of(run.path)
        trainer = _trainer(config, prepared, run)
        with backend.memory_errors_explained(config), cluster.losses_explained():
            trainer.restore()  # before anything of a run that continues is changed
        _begin(config, run, prepared, command)
        page = LivePage(config, run, sizes, parameters)
        with loggers.opened(config, run) as logs:

            def log(rows: list[Row]) -> None:
                logs.epochs(rows)
                page.epochs(rows)

            with (
                story.told_if_it_ends(config, run, sizes, parameters),
                backend.memory_errors_explained(config),
                pipeline.data_errors(run.path),
                cluster.losses_explained(),
            ):
                rows = trainer.fit(log)
                network = prepared.devices.alone(network)
                deployed, found, rule, own_results = _tested(config, run, prepared, network)
            predictions.write(found, dataset.class_names, run.predictions, dataset.test.paths, rule=rule)
            if config.dataset.folds is not None:
                _predict_fold(run, config, deployed, dataset, prepared.validation)
            report = writer.of_training(config, run, sizes, parameters, rows)
            skipped = int(model.optimizer.nonfinite_steps.numpy())
            report = writer.with_test(report, found, dataset.class_names, skipped, own_results, rule)
            report = dataclasses.replace(report, exports=export.export_weights(config.model, network, run.ternary))
            console.doing("drawing the figures and pages" if config.figures else "writing the pages")
            return story.conclude(report, run, config, deployed, dataset.test, prepared.training)


def _tested(config: Config, run: RunDir, prepared: "Prepared", network: Any) -> tuple[Any, Any, Any, Any]:
    """(the model as it is used, which is saved; its test predictions; its rule for unknown images; own metrics)."""
    from vit_train.data import pipeline
    from vit_train.models import preprocessing
    from vit_train.training import own_metrics

    dataset, batch_size = prepared.dataset, config.train.batch_size
    console.doing(f"testing on {len(dataset.test):,} images")
    names, fitting = dataset.class_names, config.dataset.fitting
    deployed = preprocessing.with_preprocessing(network, prepared.training.size, names, fitting)
    known = pipeline.raw_batches(prepared.validation, batch_size)
    rule = evaluate.set_rule(deployed, known.as_numpy_iterator(), config.evaluate)
    with written_beside(run.model) as part:
        deployed.save(part)
    own = own_metrics.build(len(names))
    batches = pipeline.raw_batches(dataset.test, batch_size)
    found = evaluate.predict(deployed, batches.as_numpy_iterator(), metrics=own)
    return deployed, found, rule, own_metrics.results(own)


def _follow(config: Config, prepared: "Prepared") -> NoReturn:
    """What a process does of a run that another one leads: its part of the training. Raises Followed at the end."""
    from vit_train.data import pipeline

    path = cluster.tell_of(Path())
    trainer = _trainer(config, prepared, RunDir(path))
    with backend.memory_errors_explained(config), pipeline.data_errors(path), cluster.losses_explained():
        trainer.restore()
        trainer.fit(lambda rows: None)
        cluster.part()
    raise cluster.Followed


def _trainer(config: Config, prepared: "Prepared", run: RunDir) -> "Trainer":
    from vit_train.training.trainer import Trainer

    images = prepared.training, prepared.validation
    return Trainer(prepared.model, *images, config, run, prepared.devices, prepared.early, prepared.cached)


def _predict_fold(run: RunDir, config: Config, deployed: Any, dataset: "Dataset", validation: "ImageSource") -> None:
    """Writes what the model says of the images of its fold, from which it has not learned."""
    from vit_train.data import pipeline, split

    console.doing(f"predicting the {len(validation):,} images of fold {config.dataset.fold}")
    with pipeline.data_errors(run.path):
        batches = pipeline.raw_batches(validation, config.train.batch_size)
        found = evaluate.predict(deployed, batches.as_numpy_iterator())
    assert config.dataset.folds is not None
    rows = np.flatnonzero(split.fold_of_each(dataset, config.dataset.folds, config.seed) == config.dataset.fold)
    predictions.write(found, dataset.class_names, run.out_of_fold, validation.paths, rows)


def _require_room(config: Config, prepared: "Prepared") -> None:
    weights, moments = prepared.model.variables, prepared.model.optimizer.variables
    room.require_room(
        RunDir(Path(config.resume)) if config.resume else None,
        config.outputs,
        room.bytes_of(weights),
        room.bytes_of(moments),
        len(prepared.dataset.test),
        config.figures,
    )


def _run_dir(config: Config) -> RunDir:
    if config.resume is not None:
        return RunDir(Path(config.resume))
    return RunDir.create(config.outputs, config.dataset.name, config.model.name)


def _begin(config: Config, run: RunDir, prepared: "Prepared", command: str | None) -> None:
    """Writes what is known before training, and says it."""
    dataset, devices = prepared.dataset, prepared.devices
    require_same_data(run, dataset.fingerprint)
    precision, reason = choose(config.compute)
    environment = {**describe_environment(devices.name, devices.count, command), "precision": precision}
    environment |= {"data_sha256": dataset.fingerprint, "class_names": dataset.class_names}
    environment |= {"image_size": dataset.train.size, "init": prepared.init, "plugins": dict(ACTIVE.get().files)}
    writer.reopen(run)
    replace_file(run.config, to_yaml(dataclasses.replace(config, resume=None)))
    replace_file(run.environment, json.dumps(environment, indent=2) + "\n")
    console.say(f"run directory: {run.path}")
    for note in dataset.notes:
        console.say(note)
    compute, decay = config.compute, config.optimizer.decay_per_step
    console.say(
        f"{config.model.name}, {prepared.network.count_params():,} parameters, on {config.dataset.name}: "
        + ", ".join(f"{count:,} {part}" for part, count in prepared.sizes.items())
        + f" images; {compute.backend} {precision} on {environment['device']}"
    )
    if prepared.init and config.resume is None:
        console.say(prepared.init["summary"])
    if reason:
        console.say(f"compute.precision=auto: {precision}, since {reason}")
    for line in prepared.model.optimizer.table:
        console.say(line)
    if 0 < decay < 2**-24:
        console.say(
            f"note: the weight decay takes {decay:.1g} of a weight per step: below the precision of float32, it "
            "has no effect; raise optimizer.weight_decay, or set it to 0"
        )

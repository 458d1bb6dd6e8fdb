"""A run, from config to report: the table of contents."""

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

from vit_train import backend, console, history
from vit_train.compose import to_yaml
from vit_train.config import Config
from vit_train.data.images import Dataset
from vit_train.environment import describe_environment
from vit_train.errors import DataError
from vit_train.evaluate import Scores, score, score_classes
from vit_train.files import replace_file
from vit_train.report import writer
from vit_train.run_dir import RunDir


def train(config: Config) -> writer.Report:
    """Trains, evaluates and reports; all it leaves is in the run directory that the report names.

    Nothing is created before config and data are known to fit each other. Raises the errors of `vit_train.errors`.
    """
    backend.configure(config.compute, config.seed)
    # These import Keras, which takes backend and precision once, when it is first imported.
    from vit_train import fit
    from vit_train.data import pipeline, sources, split
    from vit_train.models import preprocessing, vit

    dataset = split.take_fraction(sources.load_dataset(config), config.dataset.fraction, config.seed)
    training, validation = split.split_validation(dataset, config.dataset.validation, config.seed)
    with backend.memory_errors_explained(config):
        network = vit.build_vit(config.model, len(dataset.class_names))
        preprocessing.set_statistics(network, *training.statistics())
        model = fit.compiled(network, training, config)

    run = _run_dir(config)
    with (
        run.locked(),
        console.logged_to(run.log),
        backend.memory_errors_explained(config),
        pipeline.data_errors(run.path),
    ):
        sizes = {"train": len(training), "validation": len(validation), "test": len(dataset.test)}
        _begin(config, run, dataset, sizes, network.count_params())
        rows = fit.fit(model, training, validation, config, run)
        deployed = preprocessing.with_preprocessing(network, training.size, dataset.class_names)
        deployed.save(run.model)
        logits = deployed.predict(pipeline.raw_batches(dataset.test, config.train.batch_size), verbose=0)
        best = history.best(rows, config.train.checkpoint.monitor)
        report = writer.Report(
            dataset=config.dataset.name,
            model=config.model.name,
            parameters=network.count_params(),
            split=sizes,
            best_epoch=int(best["epoch"]),
            validation=Scores(best["val_loss"], best["val_accuracy"], best["val_top5_accuracy"]),
            test=score(logits, dataset.test.labels),
            per_class=score_classes(logits, dataset.test.labels, dataset.class_names),
            training=_summary(rows, config.train.checkpoint.monitor, int(model.optimizer.bad_steps)),
            status="completed",
            run_dir=str(run.path),
        )
        writer.write(report, run)
    return report


def _run_dir(config: Config) -> RunDir:
    if config.resume is not None:
        return RunDir(Path(config.resume))
    return RunDir.create(config.outputs, config.dataset.name, config.model.name)


def _begin(config: Config, run: RunDir, dataset: Dataset, sizes: dict[str, int], parameters: int) -> None:
    """Writes what is known before training, and says it."""
    environment = {**describe_environment(backend.device_name()), "data_sha256": dataset.fingerprint}
    _require_same_data(run, environment["data_sha256"])
    replace_file(run.config, to_yaml(dataclasses.replace(config, resume=None)))
    replace_file(run.environment, json.dumps(environment, indent=2) + "\n")
    run.report_json.unlink(missing_ok=True)  # of a finished run that is being extended
    for note in dataset.notes:
        console.say(note)
    compute, decay = config.compute, config.optimizer.decay_per_step
    console.say(
        f"{config.model.name}, {parameters:,} parameters, on {config.dataset.name}: "
        + ", ".join(f"{count:,} {part}" for part, count in sizes.items())
        + f" images; {compute.backend} {compute.precision} on {environment['device']}"
    )
    if 0 < decay < 2**-24:
        console.say(
            f"note: the weight decay takes {decay:.1g} of a weight per step: below the precision of float32, it "
            "has no effect; raise optimizer.weight_decay, or set it to 0"
        )


def _require_same_data(run: RunDir, data_sha256: str | None) -> None:
    """A run that goes on must see what it began with."""
    if not run.environment.exists():
        return
    if json.loads(run.environment.read_text(encoding="utf-8")).get("data_sha256") != data_sha256:
        raise DataError(
            f"resume={run.path}: the pictures are not those that the run began with; bring them back or start a new run"
        )


def _summary(rows: list[dict[str, float]], monitor: str, skipped_steps: int) -> dict[str, Any]:
    """Totals over the epochs; the throughput is the median epoch's, which leaves out the start-up of the first."""
    return {
        "epochs": len(rows),
        "steps": int(rows[-1]["step"]),
        "skipped_steps": skipped_steps,
        "seconds": sum(row["seconds"] for row in rows),
        "images_per_second": statistics.median(row["images_per_second"] for row in rows),
        "monitor": monitor,
    }

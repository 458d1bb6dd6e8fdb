"""A run, from config to report: the table of contents."""

import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

from vit_train import backend, console, history
from vit_train.compose import to_yaml
from vit_train.config import Config
from vit_train.environment import describe_environment
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
    from vit_train.models import build, export, preprocessing

    dataset = split.take_fraction(sources.load_dataset(config.dataset), config.dataset.fraction, config.seed)
    training, validation = split.split_validation(dataset, config.dataset.validation, config.seed)
    network = build.build_model(config.model, len(dataset.class_names))
    preprocessing.set_statistics(network, *pipeline.channel_statistics(training.images))
    model = fit.compiled(network, training, config)

    run = _run_dir(config)
    with run.locked(), console.logged_to(run.log):
        sizes = {"train": len(training), "validation": len(validation), "test": len(dataset.test)}
        _begin(config, run, sizes, network.count_params())
        rows = fit.fit(model, training, validation, config, run)
        deployed = preprocessing.with_preprocessing(network, training.images.shape[1:3])
        deployed.save(run.model)
        logits = deployed.predict(dataset.test.images, config.train.batch_size, verbose=0)
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
            training=_summary(rows, config.train.checkpoint.monitor),
            status="completed",
            run_dir=str(run.path),
            exports=export.export_weights(config.model, network, run),
        )
        writer.write(report, run)
    return report


def _run_dir(config: Config) -> RunDir:
    if config.resume is not None:
        return RunDir(Path(config.resume))
    return RunDir.create(config.outputs, config.dataset.name, config.model.name)


def _begin(config: Config, run: RunDir, sizes: dict[str, int], parameters: int) -> None:
    """Writes what is known before training, and says it."""
    environment = describe_environment(backend.device_name())
    replace_file(run.config, to_yaml(dataclasses.replace(config, resume=None)))
    replace_file(run.environment, json.dumps(environment, indent=2) + "\n")
    run.report_json.unlink(missing_ok=True)  # of a finished run that is being extended
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


def _summary(rows: list[dict[str, float]], monitor: str) -> dict[str, Any]:
    """Totals over the epochs; the throughput is the median epoch's, which leaves out the start-up of the first."""
    return {
        "epochs": len(rows),
        "steps": int(rows[-1]["step"]),
        "seconds": sum(row["seconds"] for row in rows),
        "images_per_second": statistics.median(row["images_per_second"] for row in rows),
        "monitor": monitor,
    }

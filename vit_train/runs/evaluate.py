"""`vit-runs evaluate`: the test figures of a run's model."""

import argparse
from dataclasses import asdict, replace

from vit_train.config.compose import load_config
from vit_train.config.convert import convert
from vit_train.config.dataset import PICTURES
from vit_train.config.groups import groups
from vit_train.config.schema import Config
from vit_train.console import print_table
from vit_train.data.images import Dataset
from vit_train.errors import ConfigError, DataError
from vit_train.rundir import records
from vit_train.rundir.environment import with_data_from_here
from vit_train.rundir.find import find_run
from vit_train.rundir.layout import RunDir
from vit_train.runs.loading import load
from vit_train.text import setting


def run(options: argparse.Namespace) -> int:
    """Prints loss and accuracies on the test set, and leaves the run as it is."""
    found = find_run(options.run, options.outputs)
    config = _config(found, options.dataset, options.root)
    model, names = load(found, config.compute)
    from vit_train.data import pipeline, sources
    from vit_train.report.scores import evaluate
    from vit_train.report.writer import finite, table_of
    from vit_train.training import own_metrics
    from vit_train.training.evaluate import predict

    try:
        dataset = sources.load_dataset(config)
    except DataError as error:
        if options.root is None:
            raise DataError(f"{error}; --root PATH says where the data set's files are") from error
        raise
    _require_fit(dataset, names, model.input_shape[1:3])
    with pipeline.data_errors():
        batches = pipeline.raw_batches(dataset.test, config.train.batch_size)
        own = own_metrics.build(len(names))
        scores = evaluate(predict(model, batches.as_numpy_iterator(), options.tta == "flip", own))
        scores = replace(scores, own=finite(own_metrics.results(own)))
    part = "test" if options.tta is None else f"test, tta={options.tta}"
    print_table(*table_of([(part, len(dataset.test), scores)]))
    return 0


def _require_fit(dataset: Dataset, names: tuple[str, ...], size: tuple[int, int]) -> None:
    """Raises ConfigError unless the images are of the classes and the size (height, width) that the model takes."""
    if dataset.class_names != names:
        theirs, own = (f"{', '.join(some[:3])}, ... ({len(some)})" for some in (dataset.class_names, names))
        raise ConfigError(
            f"--dataset {dataset.name}: its classes are {theirs}, and those of the model {own}; they must be the same, "
            "in the same order"
        )
    if dataset.test.size != size:
        theirs, own = ("{} x {}".format(*sides) for sides in (dataset.test.size, size))
        raise ConfigError(f"--dataset {dataset.name}: its images have {theirs} pixels, and the model takes {own}")


def _config(run: RunDir, dataset: str | None, root: str | None) -> Config:
    """The run's config, with another data set, all of it, in the place of its own if one is named."""
    config = records.load_config(run)
    if dataset is None and root is None:
        return with_data_from_here(run, config)
    values = config.to_dict()
    if dataset is not None:
        # Of the other keys none has a say in what the test set is.
        if dataset in groups()["dataset"]:
            place = [] if root is None else [setting("dataset.root", root)]
            usual = load_config([f"dataset={dataset}", *place]).to_dict()["dataset"]
        else:
            usual = values["dataset"] | {"name": dataset, "root": None}
        values["dataset"] = usual | {"fraction": 1.0, "validation": 0.1}
        if usual["name"] in PICTURES:
            values["dataset"] |= asdict(config.dataset.fitting)
        elif "channels" in usual:
            values["dataset"]["channels"] = config.dataset.fitting.channels
    if root is not None:
        values["dataset"]["root"] = root
    return convert(Config, values)

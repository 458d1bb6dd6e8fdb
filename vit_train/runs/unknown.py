"""`vit-runs unknown`: a rule by which a finished run's model says "none of these", and how well that works."""

import argparse
import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vit_train.config.convert import convert
from vit_train.config.schema import Config
from vit_train.config.training import EvaluateConfig
from vit_train.console import print_table, put
from vit_train.errors import ConfigError, DataError
from vit_train.rundir import records
from vit_train.rundir.environment import with_data_from_here
from vit_train.rundir.find import find_run
from vit_train.rundir.layout import RunDir
from vit_train.rundir.unknown import SCORES, Rule, rule_of, scores_of
from vit_train.runs.loading import load
from vit_train.runs.predicted import images_of
from vit_train.runs.repair import tell_again
from vit_train.text import one_line

Batches = Iterable[npt.NDArray[np.uint8]]
_DATA_SETS = ("cifar10", "cifar100", "digits")
_NOISE = 10_000  # images of each kind


def run(options: argparse.Namespace) -> int:
    """Sets the rule if --score asks for it, prints which one there is, and a table of the data of --against."""
    found = find_run(options.run, options.outputs)
    config = records.load_config(found)
    if options.score:
        wanted = evaluate_config(options.score, options.false_alarms)
        tell_again(found.path, f"vit-runs unknown {found.path}", dataclasses.replace(config, evaluate=wanted))
    model, _ = load(found, config.compute)
    rule = rule_of(model)
    put(_sentence(found, rule))
    if options.against:
        others = {name: _images(name, model, options.root) for name in _named(options.against)}
        print_table(_HEADER, list(_rows(found, config, model, rule, others)), text_columns=2)
    return 0


def evaluate_config(score: str, false_alarms: str) -> EvaluateConfig:
    """The keys evaluate.*; raises ConfigError for a rate that is none."""
    try:
        return convert(EvaluateConfig, {"unknown": score, "false_alarms": float(false_alarms)})
    except (ValueError, ConfigError):
        raise ConfigError(
            f"--false-alarms {one_line(false_alarms)}: must be a number above 0 and below 1, such as 0.05"
        ) from None


def _sentence(run: RunDir, rule: Rule | None) -> str:
    if rule is None:
        return f"{run.path}: calls nothing unknown; --score energy sets a rule"
    report = (records.attempt(records.read_report, run) or {}).get("unknown") or {}
    text = f"{run.path}: calls unknown what has {rule.score} below {rule.threshold:.4g}, "
    text += f"picked to refuse {rule.false_alarms:.1%} of the validation images"
    if report:
        kept = "-" if report["kept_accuracy"] is None else f"{report['kept_accuracy']:.2%}"
        text += f"; it refuses {report['refused']:.1%} of the test images, and the accuracy of the others is {kept}"
    return text


_HEADER = ["images", "score", "number", "refused", "AUROC", "FPR at 95 % TPR"]


def _rows(
    run: RunDir, config: Config, model: Any, rule: Rule | None, others: dict[str, Batches]
) -> Iterator[list[str]]:
    """Rows of _HEADER for the test images and, of each score, for others against them."""
    from vit_train.data import pipeline, sources
    from vit_train.report.refusals import separation

    with pipeline.data_errors():
        test = sources.load_dataset(with_data_from_here(run, config)).test
        batches = pipeline.raw_batches(test, config.train.batch_size).as_numpy_iterator()
        known = _scores(model, (images for images, _ in batches))
        for name, images in {"test": None, **others}.items():
            found = known if images is None else _scores(model, images)
            for score in SCORES:
                refused = f"{rule.refuses(found[score]).mean():.1%}" if rule and rule.score == score else "-"
                rates = [] if images is None else [f"{rate:.2%}" for rate in separation(known[score], found[score])]
                yield [name, score, f"{len(found[score]):,}", refused, *(rates or ["-", "-"])]


def _scores(model: Any, batches: Batches) -> dict[str, npt.NDArray[np.float32]]:
    """Both scores of images, float32 [N] each."""
    logits = np.concatenate([np.asarray(model.predict_on_batch(images)) for images in batches])
    return {score: scores_of(score, logits) for score in SCORES}


def _named(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        yield from ("uniform noise", "Gaussian noise") if name == "noise" else (name,)


def _images(name: str, model: Any, root: str | None) -> Batches:
    """Batches uint8 [B, H, W, C], for the model, of the images that --against names; DataError if there are none."""
    if name.endswith(" noise"):
        return _noise(name, model.input_shape[1:])
    if name in _DATA_SETS and not Path(name).exists():
        return _test_images(name, model.input_shape[1:], root)

    def read() -> Iterator[npt.NDArray[np.uint8]]:
        for found in images_of(model, Path(name)):
            if isinstance(found, DataError):
                raise found
            yield np.stack([image for _, image in found])

    return read()


def _noise(name: str, image: tuple[int, int, int]) -> Iterator[npt.NDArray[np.uint8]]:
    """Values evenly from 0 to 255, or normal around 0.5 with a deviation of 1, cut to [0, 1] (arXiv 1706.02690)."""
    generator = np.random.default_rng(0)
    for start in range(0, _NOISE, 250):
        shape = (min(250, _NOISE - start), *image)
        if name == "uniform noise":
            yield generator.integers(0, 256, shape, dtype=np.uint8)
        else:
            yield np.rint(255 * np.clip(generator.normal(0.5, 1, shape), 0, 1)).astype(np.uint8)


def _test_images(name: str, image: tuple[int, int, int], root: str | None) -> Iterator[npt.NDArray[np.uint8]]:
    from vit_train.config.compose import load_config
    from vit_train.data import sources
    from vit_train.text import setting

    place = [setting("dataset.root", root)] if root else []
    test = sources.load_dataset(load_config([f"dataset={name}", f"dataset.channels={image[2]}", *place])).test
    if test.size != image[:2]:
        theirs, own = ("{} x {}".format(*sides) for sides in (test.size, image[:2]))
        raise ConfigError(f"--against {name}: its images have {theirs} pixels, and the model takes {own}")
    for start in range(0, len(test), 250):
        yield test.read(np.arange(start, min(start + 250, len(test))))

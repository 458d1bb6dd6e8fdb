"""What keys of several sections rule out together."""

from typing import Any

from vit_train.config.convert import show
from vit_train.config.dataset import PICTURES
from vit_train.errors import ConfigError

Config = Any  # that of `schema`, which asks this module


def require_compatible(config: Config) -> None:
    """Raises ConfigError, one sentence, for keys that do not go together."""
    augment, train, compute = config.augment, config.train, config.compute
    if train.batch_size % augment.repeats:
        raise ConfigError(
            f"augment.repeats={augment.repeats}: does not divide train.batch_size={train.batch_size}, so that a batch "
            "cannot hold every image so often; change one of them"
        )
    if augment.mixes and augment.placement == "device" and compute.splits:
        raise ConfigError(
            "augment.placement=device: batches cannot be mixed after they are split over the devices of "
            f"compute.devices={compute.devices}; use augment.placement=host"
        )
    if augment.source_size is not None:
        _require_source_size(config)
    if train.low_resolution is not None:
        config.model.require_size("train.low_resolution", train.low_resolution)
    warmup = config.schedule.warmup
    if warmup.unit == "epoch" and warmup.value > train.epochs:
        raise ConfigError(f"schedule.warmup='{warmup}': is longer than the training of train.epochs={train.epochs}")
    if config.dataset.fold >= (config.dataset.folds or 1):
        raise ConfigError(
            f"dataset.fold={config.dataset.fold}: must be less than dataset.folds={show(config.dataset.folds)}, as "
            "folds are counted from 0"
        )
    if config.dataset.fitting.channels == 1 and config.model.mean is not None:
        raise ConfigError(
            "dataset.channels=1: model.mean and model.std are of three, as weights that began with colours have them; "
            "use dataset.channels=3, which shows a grey picture in each"
        )
    if train.cache_features:
        _require_one_size_and_device(config)
    if train.accumulate > 1:
        _require_parts(config)
    if compute.batch_parts > 1:
        _require_parts_at_once(config)
    if train.recompute:
        _require_second_pass(config)
    if config.dataset.sampling == "balanced":
        _require_balance(config)
    if config.head.fits:
        _require_features(config)


def _require_one_size_and_device(config: Config) -> None:
    if config.augment.varies or config.augment.repeats > 1:
        raise ConfigError(
            "train.cache_features=true: images that are varied have other features in each epoch; use augment=none"
        )
    if config.compute.splits:
        raise ConfigError(
            "train.cache_features=true: features are computed on one device; use compute.devices=auto with it"
        )
    if config.train.low_resolution is not None:
        raise ConfigError(
            f"train.low_resolution={config.train.low_resolution}: does not go with train.cache_features=true, which "
            "computes the features of one size"
        )


def _require_source_size(config: Config) -> None:
    augment, dataset, size = config.augment, config.dataset.name, config.model.image_size
    asked = f"augment.source_size={augment.source_size}"
    if dataset not in PICTURES:
        raise ConfigError(f"{asked}: is for picture files, and dataset={dataset} has none; use null")
    if not size <= augment.source_size <= 2 * size:  # beyond that, pixels would be left out where nothing is cropped
        raise ConfigError(f"{asked}: must be {size} to {2 * size}, once to twice model.image_size={size}")
    if augment.placement == "device":
        raise ConfigError(f"{asked}: is made for augment.placement=host; use that")


def _require_parts(config: Config) -> None:
    parts, train = f"train.accumulate={config.train.accumulate}", config.train
    if train.accumulate > train.batch_size:
        raise ConfigError(f"{parts}: is more than the images of a step, train.batch_size={train.batch_size}")
    if config.compute.backend == "torch":
        raise ConfigError(f"{parts}: is made for compute.backend=tensorflow and jax; lower train.batch_size instead")
    if config.compute.splits:
        raise ConfigError(f"{parts}: is made for one device; use compute.devices=auto")
    if config.augment.mixes and config.augment.placement == "device":
        raise ConfigError(f"{parts}: batches cannot be mixed after they are split; use augment.placement=host")


def _require_parts_at_once(config: Config) -> None:
    parts, size = f"compute.batch_parts={config.compute.batch_parts}", config.train.batch_size
    if config.compute.batch_parts > size:
        raise ConfigError(f"{parts}: is more than the images of a step, train.batch_size={size}")
    if config.train.cache_features:
        raise ConfigError(f"{parts}: does not go with train.cache_features=true; use compute.batch_parts=1")
    if config.augment.mixes and config.augment.placement == "device":
        raise ConfigError(f"{parts}: batches cannot be mixed after they are split; use augment.placement=host")


def _require_second_pass(config: Config) -> None:
    if config.model.name != "vit":
        raise ConfigError(
            f"train.recompute=true: model={config.model.name} has no block that it is made for; use false"
        )
    if config.compute.backend == "torch":
        raise ConfigError("train.recompute=true: is made for compute.backend=tensorflow and jax; use false")
    if config.compute.kernels == "keras":
        raise ConfigError(
            "train.recompute=true: Keras' dropout would drop others the second time; use compute.kernels=auto"
        )


def _require_balance(config: Config) -> None:
    loss, train, too = config.loss, config.train, "makes up for uneven classes, too"
    for name, clashes, reason in (
        ("loss.class_weights=balanced", loss.class_weights == "balanced", too),
        (f"loss.logit_adjustment={loss.logit_adjustment:g}", loss.logit_adjustment > 0, too),
        ("train.cache_features=true", train.cache_features, "goes through every image once an epoch"),
        ("train.reshuffle=false", not train.reshuffle, "would never show most images of a large class"),
        (f"augment.repeats={config.augment.repeats}", config.augment.repeats > 1, "repeats images by another rule"),
    ):
        if clashes:
            raise ConfigError(f"dataset.sampling=balanced: does not go with {name}, which {reason}; change one")


def _require_features(config: Config) -> None:
    """What a head that is fitted needs."""
    head, loss = f"head={config.head.name}", config.loss
    if not config.train.cache_features:
        raise ConfigError(
            f"{head}: is fitted to features that are computed once; use experiment=probe, or train.cache_features=true"
        )
    if units := getattr(config.model, "head_units", None):
        raise ConfigError(
            f"model.head_units={show(units)}: nothing would train these layers with {head}; set model.head_units=[]"
        )
    for name, value, usual in (
        ("loss.label_smoothing", loss.label_smoothing, 0.0),
        ("loss.class_weights", loss.class_weights, None),
        ("loss.logit_adjustment", loss.logit_adjustment, 0.0),
        ("train.ema_decay", config.train.ema_decay, None),
    ):
        if value != usual:
            raise ConfigError(f"{name}={show(value)}: is for training in steps; leave it out, or use head=trained")

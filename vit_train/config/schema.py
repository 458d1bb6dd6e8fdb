"""What a run can be told: every key with its type, meaning, unit and limits. The values stand in conf/*.yaml."""

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal

from vit_train.config.augmentation import AugmentConfig
from vit_train.config.convert import key, show
from vit_train.config.dataset import DatasetConfig
from vit_train.config.durations import Duration
from vit_train.config.heads import HeadConfig
from vit_train.config.launchers import LauncherConfig
from vit_train.config.models import ModelConfig
from vit_train.config.optimizers import OptimizerConfig
from vit_train.config.training import LossConfig, ScheduleConfig, TrainConfig
from vit_train.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """What computes, and in what precision."""

    backend: Literal["tensorflow", "jax", "torch"] = key("the library under Keras")
    precision: Literal["float32", "bfloat16", "auto"] = key(
        "type of activations; bfloat16 keeps weights and loss in float32; auto takes it where it is known to be faster"
    )
    devices: Literal["auto", "cpu", "gpu", "all"] = key(
        "auto takes a GPU if the backend finds one; cpu never does, gpu must; all splits each batch over all it finds",
        may_change=True,
    )
    kernels: Literal["auto", "keras"] = key(
        "auto fuses attention, normalisation, dropout and the optimizer's step; keras computes each as Keras does, "
        "slower, to check a number",
        absent="auto",
    )

    def __post_init__(self) -> None:
        if self.devices == "all" and self.backend == "torch":
            raise ConfigError(
                "compute.devices=all: on PyTorch a model is trained on one device here; "
                "use compute.backend=tensorflow or jax, or compute.devices=auto"
            )


@dataclass(frozen=True, kw_only=True)
class LoggingConfig:
    """Where figures go while the run trains, besides its directory."""

    tensorboard: bool = key("whether to write TensorBoard's event files, into the run directory", affects_result=False)
    mlflow: bool = key(
        "whether to log to MLflow, into OUTPUTS/mlruns or where MLFLOW_TRACKING_URI says", affects_result=False
    )


@dataclass(frozen=True, kw_only=True)
class Config:
    """All that a run can be told; a run is a pure function of it."""

    open_sections = ("model", "dataset", "augment")  # to which plugins add

    dataset: DatasetConfig
    augment: AugmentConfig
    model: ModelConfig
    loss: LossConfig
    head: HeadConfig
    optimizer: OptimizerConfig
    schedule: ScheduleConfig
    train: TrainConfig
    compute: ComputeConfig
    logging: LoggingConfig
    init: str | None = key(
        "weights to start from: a run directory or its model.keras, a .safetensors or .npz file of another library or "
        "a folder with one, hf:ORG/NAME or timm:NAME; the model follows them, and its head is new unless the classes "
        "are the same",
        absent=None,
    )
    plugin: str | tuple[str, ...] | None = key(
        "Python file with models, data sets, augmentations or metrics of one's own, or a list of such files; only a "
        "command names it",
        absent=None, may_change=True,
    )  # fmt: skip
    seed: int = key("seed of weights, split, order, augmentation and dropout", minimum=0, maximum=2**31 - 1)
    outputs: str = key("folder that receives the run directory", affects_result=False)
    figures: bool = key("whether to draw figures at the end of the run, which takes some seconds", affects_result=False)
    resume: str | None = key(
        "a run directory to continue with; auto takes the newest unfinished run of the same config",
        affects_result=False,
    )

    def __post_init__(self) -> None:
        if self.train.batch_size % self.augment.repeats:
            raise ConfigError(
                f"augment.repeats={self.augment.repeats}: does not divide train.batch_size={self.train.batch_size}, so "
                "that a batch cannot hold every image so often; change one of them"
            )
        if self.augment.mixes and self.augment.placement == "device" and self.compute.devices == "all":
            raise ConfigError(
                "augment.placement=device: batches cannot be mixed after they are split over the devices of "
                "compute.devices=all; use augment.placement=host"
            )
        if self.train.cache_features and (self.augment.varies or self.augment.repeats > 1):
            raise ConfigError(
                "train.cache_features=true: images that are varied have other features in each epoch; use augment=none"
            )
        if self.train.cache_features and self.compute.devices == "all":
            raise ConfigError(
                "train.cache_features=true: features are computed on one device; use compute.devices=auto with it"
            )
        if self.train.cache_features and self.train.low_resolution is not None:
            raise ConfigError(
                f"train.low_resolution={self.train.low_resolution}: does not go with train.cache_features=true, which "
                "computes the features of one size"
            )
        if self.train.low_resolution is not None:
            self.model.require_size("train.low_resolution", self.train.low_resolution)
        warmup = self.schedule.warmup
        if warmup.unit == "epoch" and warmup.value > self.train.epochs:
            raise ConfigError(
                f"schedule.warmup='{warmup}': is longer than the training of train.epochs={self.train.epochs}"
            )
        if self.dataset.fold >= (self.dataset.folds or 1):
            raise ConfigError(
                f"dataset.fold={self.dataset.fold}: must be less than dataset.folds={show(self.dataset.folds)}, as "
                "folds are counted from 0"
            )
        if self.dataset.sampling == "balanced":
            self._require_balance()
        if self.head.fits:
            self._require_features()

    def _require_features(self) -> None:
        """Each fit of a head to features is an epoch of one step, whatever the recipe says."""
        head, loss = f"head={self.head.name}", self.loss
        if not self.train.cache_features:
            raise ConfigError(
                f"{head}: is fitted to features that are computed once; use experiment=probe, or "
                "train.cache_features=true"
            )
        if units := getattr(self.model, "head_units", None):
            raise ConfigError(
                f"model.head_units={show(units)}: nothing would train these layers with {head}; set model.head_units=[]"
            )
        for name, value, usual in (
            ("loss.label_smoothing", loss.label_smoothing, 0.0),
            ("loss.class_weights", loss.class_weights, None),
            ("loss.logit_adjustment", loss.logit_adjustment, 0.0),
            ("train.ema_decay", self.train.ema_decay, None),
        ):
            if value != usual:
                raise ConfigError(f"{name}={show(value)}: is for training in steps; leave it out, or use head=trained")
        object.__setattr__(
            self, "train", dataclasses.replace(self.train, epochs=len(self.head.fits), steps_per_epoch=1)
        )

    def _require_balance(self) -> None:
        loss, too = self.loss, "makes up for uneven classes, too"
        for name, clashes, reason in (
            ("loss.class_weights=balanced", loss.class_weights == "balanced", too),
            (f"loss.logit_adjustment={loss.logit_adjustment:g}", loss.logit_adjustment > 0, too),
            ("train.cache_features=true", self.train.cache_features, "goes through every image once an epoch"),
            ("train.reshuffle=false", not self.train.reshuffle, "would never show most images of a large class"),
            (f"augment.repeats={self.augment.repeats}", self.augment.repeats > 1, "repeats images by another rule"),
        ):
            if clashes:
                raise ConfigError(f"dataset.sampling=balanced: does not go with {name}, which {reason}; change one")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in YAML; `convert(Config, config.to_dict())` gives the same config."""
        return dataclasses.asdict(self, dict_factory=_plain)


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """What a sweep can be told besides what its runs are; only with -m, and in no run's config."""

    launcher: LauncherConfig
    jobs: int = key("runs at once; on this machine they split the GPUs, one each, and the CPU cores", minimum=1)
    resume: str | None = key("a sweep's folder to continue with; auto takes the newest of the same command")
    retry_failed: bool = key("whether continuing with a sweep also starts its failed runs again")
    trials: int | None = key(
        "runs of a Bayesian search, which may vary KEY=interval(A,B) too; null runs every combination", minimum=1
    )
    prune: bool | None = key("whether a search stops hopeless runs; null means yes, or as the sweep began")


def _plain(items: list[tuple[str, Any]]) -> Any:
    values = dict(items)
    if values.keys() == {"value", "unit"}:  # a Duration
        return str(Duration(**values))
    if "match" in values:  # a ParameterGroup
        return {name: value for name, value in items if value is not None}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in items}

"""What a run can be told: every key with its type, meaning, unit and limits. The values stand in conf/*.yaml."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal

from vit_train.config.augmentation import AugmentConfig
from vit_train.config.combinations import require_compatible
from vit_train.config.convert import key
from vit_train.config.dataset import DatasetConfig
from vit_train.config.durations import Duration
from vit_train.config.heads import HeadConfig
from vit_train.config.launchers import LauncherConfig
from vit_train.config.models import ModelConfig
from vit_train.config.optimizers import OptimizerConfig
from vit_train.config.training import EvaluateConfig, LossConfig, ScheduleConfig, TrainConfig
from vit_train.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ComputeConfig:
    """What computes, and in what precision."""

    backend: Literal["tensorflow", "jax", "torch"] = key("the library under Keras")
    precision: Literal["float32", "bfloat16", "auto"] = key(
        "type of activations; bfloat16 keeps weights and loss in float32; auto takes it where it is known to be faster"
    )
    devices: Literal["auto", "cpu", "gpu", "all", "cluster"] = key(
        "auto takes a GPU if the backend finds one; cpu never does, gpu must; all splits each batch over all it finds, "
        "cluster over those of all processes, on one machine or many, that srun or KERAS_DISTRIBUTION_* tell of",
        may_change=True,
    )
    kernels: Literal["auto", "keras"] = key(
        "auto fuses attention, normalisation, dropout and the optimizer's step; keras computes each as Keras does, "
        "slower, to check a number",
        absent="auto",
    )
    batch_parts: int = key(
        "parts of each batch that a processor computes at the same time, on TensorFlow: on two cores 2 are faster than "
        "both cores on each operation; a GPU and other backends take the batch as one",
        absent=1, minimum=1,
    )  # fmt: skip
    profile_steps: int = key(
        "steps of the first epoch to trace, after 10 others: what each operation costs is said, and kept in "
        "RUN/profile; 0 traces none",
        absent=0, minimum=0, affects_result=False,
    )  # fmt: skip

    @property
    def splits(self) -> bool:
        """Whether each batch is split over several devices."""
        return self.devices in ("all", "cluster")

    def __post_init__(self) -> None:
        if self.devices == "cluster" and self.backend != "jax":
            raise ConfigError(
                "compute.devices=cluster: several processes train one model on JAX only; use compute.backend=jax"
            )
        if self.devices == "all" and self.backend == "torch":
            raise ConfigError(
                "compute.devices=all: on PyTorch a model is trained on one device here; "
                "use compute.backend=tensorflow or jax, or compute.devices=auto"
            )
        if self.profile_steps and self.backend == "torch":
            raise ConfigError(
                f"compute.profile_steps={self.profile_steps}: only TensorFlow and JAX are traced here; "
                "use compute.backend=tensorflow or jax, or torch.profiler on a script of yours"
            )


@dataclass(frozen=True, kw_only=True)
class LoggingConfig:
    """Where figures go while the run trains, besides its directory."""

    tensorboard: bool = key("whether to write TensorBoard's event files, into the run directory", affects_result=False)
    mlflow: bool = key(
        "whether to log to MLflow, into OUTPUTS/mlruns or where MLFLOW_TRACKING_URI says", affects_result=False
    )
    wandb: bool = key(
        "whether to log to Weights & Biases: online for those who have logged in there, else offline, into RUN/wandb",
        absent=False, affects_result=False,
    )  # fmt: skip


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
    evaluate: EvaluateConfig
    compute: ComputeConfig
    logging: LoggingConfig
    init: str | None = key(
        "weights to start from: a run directory or its model.keras, a .safetensors, .npz or .h5 file of another "
        "library or a folder with one, hf:ORG/NAME or timm:NAME; the model follows them, and its head is new unless "
        "the classes are the same",
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
        require_compatible(self)
        if self.head.fits:  # each an epoch of one step, whatever the recipe says
            train = dataclasses.replace(self.train, epochs=len(self.head.fits), steps_per_epoch=1)
            object.__setattr__(self, "train", train)

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
    lr_range: int | None = key(
        "steps of a training at a growing learning rate, which runs in place of a sweep and suggests one; null sweeps",
        minimum=20,
    )
    lr_from: float = key("learning rate that sweep.lr_range begins with", above=0, below=math.inf)
    lr_to: float = key("learning rate that it ends with, unless the loss diverges", above=0, below=math.inf)

    def __post_init__(self) -> None:
        if self.lr_to < 10 * self.lr_from:
            raise ConfigError(
                f"sweep.lr_to={self.lr_to:g}: must be at least ten times sweep.lr_from={self.lr_from:g}; change one"
            )


def _plain(items: list[tuple[str, Any]]) -> Any:
    values = dict(items)
    if values.keys() == {"value", "unit"}:  # a Duration
        return str(Duration(**values))
    if "match" in values:  # a ParameterGroup
        return {name: value for name, value in items if value is not None}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in items}

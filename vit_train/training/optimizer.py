"""The update rules, with both conventions of weight decay, and the optimizer of a run."""

from typing import Any

import keras
import numpy as np
from keras import ops

from vit_train.config.optimizers import AdamWConfig, SGDConfig
from vit_train.config.schema import Config
from vit_train.models.fused import fused
from vit_train.training.groups import freeze, table, treatments
from vit_train.training.guard import Guarded
from vit_train.training.schedule import Schedule, build_schedule

register = keras.saving.register_keras_serializable(package="vit_train")


class Decayed(Guarded):
    """A mixin for a Keras optimizer: weight decay of either convention, and multipliers for each variable.

    Before each step of the optimizer, a weight w becomes

    decay="scaled":       w - weight_decay * learning_rate(step) * w    Keras 3, PyTorch
    decay="independent":  w - weight_decay * multiplier(step) * w       tensorflow-addons

    where multiplier is the schedule's fraction of its peak: 1 when constant, and else what the documentation of
    tensorflow-addons asks its users to schedule by hand (the AdamW paper's eta). At a learning rate of 1e-3, the same
    `weight_decay` is a thousand times stronger when independent.

    `multipliers` are (of the learning rate, of the decay) for each trainable variable in order; None is 1 for all.
    `table` has lines that say so to the user.
    """

    def __init__(
        self,
        learning_rate: Schedule,
        *,
        decay: str,
        weight_decay: float,
        multipliers: list[tuple[float, float]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **options)
        self.decay, self.multipliers = decay, multipliers
        self.table: tuple[str, ...] = ()

    @property
    def schedule(self) -> Schedule:
        """The schedule of the learning rate."""
        schedule: Schedule = self._learning_rate
        return schedule

    def _apply_weight_decay(self, variables: list[Any]) -> None:
        pass  # see update_step

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's decay and step; `variable` may be TensorFlow's own, of one replica."""
        place = self._get_variable_index(variable)
        of_rate, of_decay = self.multipliers[place] if self.multipliers else (1.0, 1.0)
        rate = ops.cast(learning_rate, "float32")
        if of_rate != 1:
            rate = rate * of_rate
        decay = self.weight_decay * (rate if self.decay == "scaled" else self.schedule.multiplier(self.iterations))
        self.step(place, gradient, variable, rate, ops.cast(decay * of_decay if of_decay else 0, "float32"))

    def step(self, place: int, gradient: Any, variable: Any, rate: Any, decay: Any) -> None:
        """The decay, a fraction of the variable, and then the step of Keras' optimizer at the learning rate `rate`."""
        if self.weight_decay:
            self.assign_sub(variable, ops.cast(variable, "float32") * decay)
        super().update_step(gradient, variable, rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "decay": self.decay, "multipliers": self.multipliers}


@register
class AdamW(Decayed, keras.optimizers.AdamW):
    """Adam with decoupled weight decay (arXiv 1711.05101)."""

    def __init__(
        self, learning_rate: Schedule, *, decay: str, beta_1: float = 0.9, beta_2: float = 0.999, **kwargs: Any
    ) -> None:
        if decay == "independent":
            # tensorflow-addons takes 1 - beta and beta**t of the same float32. Keras 3 takes the former in float64, and
            # its bias correction is off by up to 7e-6 for it; rounded first, the two libraries agree but for rounding.
            beta_1, beta_2 = float(np.float32(beta_1)), float(np.float32(beta_2))
        super().__init__(learning_rate, decay=decay, beta_1=beta_1, beta_2=beta_2, **kwargs)

    def step(self, place: int, gradient: Any, variable: Any, rate: Any, decay: Any) -> None:
        """Keras' own and the decay before it, in one pass over memory."""
        state = variable, self._momentums[place], self._velocities[place]
        step = ops.cast(self.iterations + 1, "float32")
        first, second = (1 - ops.power(ops.cast(beta, "float32"), step) for beta in (self.beta_1, self.beta_2))
        new = _adam(
            gradient,
            *(ops.cast(each, "float32") for each in state),
            decay,
            rate * ops.sqrt(second) / first,
            (1 - self.beta_1, 1 - self.beta_2, self.epsilon),
        )
        for each, value in zip(state, new, strict=True):
            self.assign(each, value)


@fused
def _adam(gradient: Any, w: Any, m: Any, v: Any, decay: Any, rate: Any, constants: tuple[float, float, float]) -> Any:
    """The next weights and moments; `rate` is the learning rate without the bias of the moments."""
    share_1, share_2, epsilon = constants
    m = m + (gradient - m) * share_1
    v = v + (ops.square(gradient) - v) * share_2
    w = w - w * decay
    return w - m * rate / (ops.sqrt(v) + epsilon), m, v


@register
class SGD(Decayed, keras.optimizers.SGD):
    """Keras' gradient descent with decoupled weight decay (SGDW, arXiv 1711.05101)."""


def build_optimizer(config: Config, network: keras.Model, steps_per_epoch: int) -> Decayed:
    """The optimizer of a run over config.train.epochs epochs of `steps_per_epoch` steps; freezes variables it is to.

    Raises ConfigError for a warmup longer than the training, and groups that find nothing or leave nothing.
    """
    options = config.optimizer
    found = treatments(options, network)
    schedule = build_schedule(config, steps_per_epoch)
    common: dict[str, Any] = {
        "decay": options.decay,
        "weight_decay": options.weight_decay,
        "multipliers": [(each.learning_rate, each.decay) for each in freeze(found)],
        "global_clipnorm": options.clip_norm,
        "nonfinite_steps_allowed": config.train.skip_nonfinite_steps,
    }
    optimizer: Decayed
    match options:
        case AdamWConfig():
            common |= {"beta_1": options.beta_1, "beta_2": options.beta_2, "epsilon": options.epsilon}
            optimizer = AdamW(schedule, **common)
        case SGDConfig():
            optimizer = SGD(schedule, momentum=options.momentum, nesterov=options.nesterov, **common)
    optimizer.table = tuple(table(options, found))
    return optimizer

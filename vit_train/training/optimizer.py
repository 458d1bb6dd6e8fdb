"""The update rules, with both conventions of weight decay, and the optimizer of a run."""

from typing import Any

import keras
import numpy as np
from keras import ops

from vit_train.config.optimizers import AdamWConfig, LionConfig, MuonConfig, SGDConfig
from vit_train.config.schema import Config
from vit_train.models.fused import fused
from vit_train.training.averaging import Averaged
from vit_train.training.groups import freeze, table, treatments
from vit_train.training.guard import Guarded
from vit_train.training.lora import LowRank
from vit_train.training.muon import compute_dtype, muon_step
from vit_train.training.schedule import Schedule, build_schedule

register = keras.saving.register_keras_serializable(package="vit_train")


class Decayed(keras.optimizers.Optimizer):
    """A mixin before a Keras optimizer: weight decay of either convention, and multipliers for each variable.

    Before each step of the optimizer, a weight w becomes

    decay="scaled":       w - weight_decay * learning_rate(step) * w    Keras 3, PyTorch
    decay="independent":  w - weight_decay * multiplier(step) * w       tensorflow-addons

    where multiplier is the schedule's fraction of its peak: 1 when constant, and else what the documentation of
    tensorflow-addons asks its users to schedule by hand (the AdamW paper's eta). At a learning rate of 1e-3, the same
    `weight_decay` is a thousand times stronger when independent.

    `multipliers` are (of the learning rate, of the decay) for each trainable variable in order; None is 1 for all.
    `begins` are the steps, counted from 0, before which a variable stays as it is; its moments are kept from the start,
    so that its first step is no larger than the others. None is 0 for all.
    `table` has lines that say so to the user.
    """

    def __init__(
        self,
        learning_rate: Schedule,
        *,
        decay: str,
        weight_decay: float,
        multipliers: list[tuple[float, float]] | None = None,
        begins: list[int] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **options)
        self.decay, self.multipliers, self.begins = decay, multipliers, begins
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
        begins = self.begins[place] if self.begins else 0
        if begins:
            rate = ops.where(self.iterations >= begins, rate, 0.0)
        decay = self.weight_decay * (rate if self.decay == "scaled" else self.schedule.multiplier(self.iterations))
        if begins:
            decay = ops.where(self.iterations >= begins, decay, 0.0)
        self.step(place, gradient, variable, rate, ops.cast(decay * of_decay if of_decay else 0, "float32"))

    def step(self, place: int, gradient: Any, variable: Any, rate: Any, decay: Any) -> None:
        """The decay, a fraction of the variable, and then the step of Keras' optimizer at the learning rate `rate`."""
        if self.weight_decay:
            self.assign_sub(variable, ops.cast(variable, "float32") * decay)
        super().update_step(gradient, variable, rate)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "decay": self.decay, "multipliers": self.multipliers, "begins": self.begins}


class Rule(Guarded, Averaged, LowRank, Decayed):
    """What every optimizer does besides its step: skip non-finite ones, average the weights, adapt some, decay."""


@register
class AdamW(Rule, keras.optimizers.AdamW):
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
        _adam_step(self, gradient, (variable, self._momentums[place], self._velocities[place]), rate, decay)


def _adam_step(optimizer: Any, gradient: Any, state: tuple[Any, Any, Any], rate: Any, decay: Any) -> None:
    """Moves a variable and its two moments on, with the betas and the epsilon of `optimizer`."""
    step = ops.cast(optimizer.iterations + 1, "float32")
    first, second = (1 - ops.power(ops.cast(beta, "float32"), step) for beta in (optimizer.beta_1, optimizer.beta_2))
    new = _adam(
        gradient,
        *(ops.cast(each, "float32") for each in state),
        decay,
        rate * ops.sqrt(second) / first,
        (1 - optimizer.beta_1, 1 - optimizer.beta_2, optimizer.epsilon),
    )
    for each, value in zip(state, new, strict=True):
        optimizer.assign(each, value)


@fused
def _adam(gradient: Any, w: Any, m: Any, v: Any, decay: Any, rate: Any, constants: tuple[float, float, float]) -> Any:
    """The next weights and moments; `rate` is the learning rate without the bias of the moments."""
    share_1, share_2, epsilon = constants
    m = m + (gradient - m) * share_1
    v = v + (ops.square(gradient) - v) * share_2
    w = w - w * decay
    return w - m * rate / (ops.sqrt(v) + epsilon), m, v


@register
class SGD(Rule, keras.optimizers.SGD):
    """Keras' gradient descent with decoupled weight decay (SGDW, arXiv 1711.05101)."""


@register
class Lion(Rule, keras.optimizers.Lion):
    """Keras' Lion (arXiv 2302.06675) with either convention of weight decay."""


@register
class Muon(Rule, keras.optimizers.Optimizer):
    """Muon for variables that are matrices, AdamW for the others.

    `matrices` are (rows, columns) for each trainable variable in order, or None for those of AdamW.
    """

    def __init__(
        self,
        learning_rate: Schedule,
        *,
        matrices: list[tuple[int, int] | None],
        momentum: float = 0.95,
        beta_1: float = 0.9,
        beta_2: float = 0.95,
        epsilon: float = 1e-7,
        newton_schulz_dtype: str = "float32",
        **options: Any,
    ) -> None:
        super().__init__(learning_rate, **options)
        self.matrices, self.momentum, self.newton_schulz_dtype = matrices, momentum, newton_schulz_dtype
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")
        self._velocities = [
            None if matrix else self.add_variable_from_reference(variable, "velocity")
            for variable, matrix in zip(self.stepped(variables), self.matrices, strict=True)
        ]

    def step(self, place: int, gradient: Any, variable: Any, rate: Any, decay: Any) -> None:
        """Muon's step or AdamW's, with the decay before it."""
        matrix, momentum = self.matrices[place], self._momentums[place]
        if matrix is None:
            _adam_step(self, gradient, (variable, momentum, self._velocities[place]), rate, decay)
            return
        w, m = (ops.cast(each, "float32") for each in (variable, momentum))
        step, m = muon_step(m, gradient, self.momentum, matrix, self.newton_schulz_dtype)
        self.assign(momentum, m)
        self.assign(variable, w - w * decay - rate * step)

    def get_config(self) -> dict[str, Any]:
        names = ("matrices", "momentum", "beta_1", "beta_2", "epsilon", "newton_schulz_dtype")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def build_optimizer(config: Config, network: keras.Model, steps_per_epoch: int) -> Rule:
    """The optimizer of a run over config.train.epochs epochs of `steps_per_epoch` steps; freezes variables it is to.

    Raises ConfigError for a warmup longer than the training, groups that find nothing, leave nothing or adapt what is
    no matrix, and Muon or a decay by layer with a network that has nothing for it.
    """
    options = config.optimizer
    if config.head.fits:
        return _idle(config, network)
    every = options.unfreeze.steps(steps_per_epoch, config.train.epochs) if options.unfreeze else 0
    found = treatments(options, network, every)
    trained = freeze(found)
    schedule = build_schedule(config, steps_per_epoch)
    common: dict[str, Any] = {
        "decay": options.decay,
        "weight_decay": options.weight_decay,
        "multipliers": [(each.learning_rate, each.decay) for each in trained],
        "begins": [each.begins for each in trained],
        "lora": [each.lora for each in trained],
        "ema_decay": config.train.ema_decay,
        "global_clipnorm": options.clip_norm,
        "nonfinite_steps_allowed": config.train.skip_nonfinite_steps,
    }
    optimizer: Rule
    match options:
        case AdamWConfig():
            common |= {"beta_1": options.beta_1, "beta_2": options.beta_2, "epsilon": options.epsilon}
            optimizer = AdamW(schedule, **common)
        case SGDConfig():
            optimizer = SGD(schedule, momentum=options.momentum, nesterov=options.nesterov, **common)
        case LionConfig():
            optimizer = Lion(schedule, beta_1=options.beta_1, beta_2=options.beta_2, **common)
        case MuonConfig():
            common |= {"beta_1": options.beta_1, "beta_2": options.beta_2, "epsilon": options.epsilon}
            common |= {"matrices": [each.matrix for each in trained], "newton_schulz_dtype": compute_dtype()}
            optimizer = Muon(schedule, momentum=options.momentum, **common)
    optimizer.table = tuple(table(options, found))
    return optimizer


def _idle(config: Config, network: keras.Model) -> Rule:
    """That of a network whose head is fitted: it freezes every variable, and is never asked for a step."""
    for variable in network.trainable_variables:
        variable.trainable = False
    schedule = Schedule("constant", peak=0.0, warmup_steps=0, total_steps=config.train.epochs, final=1.0)
    optimizer = SGD(schedule, decay=config.optimizer.decay, weight_decay=0.0)
    optimizer.table = (f"head={config.head.name} is fitted to features; all else stays as it is",)
    return optimizer

"""Steps whose loss or a gradient is not finite: skipped on the device, before weights or metrics take them."""

from typing import Any

import keras
from keras import ops

from vit_train.training import distribution


class Guarded(keras.optimizers.Optimizer):
    """A mixin before a Keras optimizer, whose state and weights stay as they are in a non-finite step.

    Up to `nonfinite_steps_allowed` of them in a run are skipped; the schedule moves on meanwhile. From the next one on,
    nothing changes any more, `iterations` neither, which is then the number of steps before the one that went wrong.
    So nobody has to look at every step, which would make an accelerator wait.
    """

    def __init__(self, *arguments: Any, nonfinite_steps_allowed: int = 0, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.nonfinite_steps_allowed = nonfinite_steps_allowed

    @property
    def halted(self) -> bool:
        """Whether there was a non-finite step too many."""
        return int(ops.convert_to_numpy(self.nonfinite_steps)) > self.nonfinite_steps_allowed

    def build(self, variables: list[Any]) -> None:
        if not self.built:
            super().build(variables)
            self.nonfinite_steps = self.add_variable((), initializer="zeros", dtype="int32", name="bad_steps")

    def scale_loss(self, loss: Any) -> Any:
        # A loss can be infinite while its gradient is finite: for softmax(logits) - 1, the logit may be -inf.
        return super().scale_loss(loss) * ops.where(ops.isfinite(loss), 1.0, float("nan"))

    def apply(self, gradients: list[Any], trainable_variables: list[Any] | None = None) -> None:
        if keras.config.backend() == "jax":  # called by stateless_apply, which has looked at the gradients
            super().apply(gradients, trainable_variables)
            return
        if not self.built:
            self.build(trainable_variables or [])
        _require_same_shapes(gradients, trainable_variables or self._trainable_variables)
        apply = super().apply

        def step(gradients: list[Any]) -> None:
            apply(gradients, trainable_variables)

        if distribution.replicas() > 1:
            distribution.step_alike(gradients, self._good, step, self._pass_over)
        else:
            ops.cond(self._good(gradients), lambda: step(gradients), self._pass_over)

    def _all_reduce_sum_gradients(self, grads_and_vars: list[Any]) -> list[Any]:
        # Keras would add up the replicas' gradients here: after clipping them, and again after `step_alike` did.
        return grads_and_vars

    def stateless_apply(self, optimizer_variables: Any, gradients: Any, trainable_variables: Any) -> Any:
        _require_same_shapes(gradients, trainable_variables)
        mapping = list(zip(self.variables, optimizer_variables, strict=True))
        with keras.StatelessScope(state_mapping=mapping) as scope:
            good = self._good(gradients)
            self._pass_over()
        passed_over = trainable_variables, [scope.get_current_value(variable) for variable in self.variables]
        step = super().stateless_apply(optimizer_variables, gradients, trainable_variables)
        # XLA makes this choice part of the update itself; a branch would have a GPU wait for the host in every step.
        return keras.tree.map_structure(lambda new, old: ops.where(good, new, old), step, passed_over)

    def _good(self, gradients: list[Any]) -> Any:
        finite = [ops.all(ops.isfinite(gradient)) for gradient in gradients]
        return ops.logical_and(ops.all(ops.stack(finite)), self.nonfinite_steps <= self.nonfinite_steps_allowed)

    def _pass_over(self) -> None:
        self.nonfinite_steps.assign(ops.minimum(self.nonfinite_steps + 1, self.nonfinite_steps_allowed + 1))
        self.iterations.assign_add(
            ops.cast(self.nonfinite_steps <= self.nonfinite_steps_allowed, self.iterations.dtype)
        )

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "nonfinite_steps_allowed": self.nonfinite_steps_allowed}


def _require_same_shapes(gradients: list[Any], variables: list[Any]) -> None:
    """Raises ValueError for a gradient of another shape than its variable, which an update would broadcast."""
    for gradient, variable in zip(gradients, variables, strict=True):
        sizes, wanted = tuple(gradient.shape), tuple(variable.shape)  # TensorFlow may not know a size beforehand
        if len(sizes) != len(wanted) or any(size not in (None, want) for size, want in zip(sizes, wanted, strict=True)):
            raise ValueError(f"a gradient has shape {sizes}, its variable {wanted}")

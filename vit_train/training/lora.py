"""Matrices that move only by a product of two narrow ones: LoRA, `lora` in `optimizer.groups`.

Shape suffixes: R rows and C columns of a matrix, K the rank.
"""

from typing import Any

import keras
from keras import ops


class LowRank(keras.optimizers.Optimizer):
    """A mixin before a Keras optimizer, which trains A [R, K] and B [C, K] in place of some matrices [R, C].

    Such a matrix is W + A B' throughout, with the W it began with: LoRA (arXiv 2106.09685) with alpha = K. B begins as
    zero, A uniform within R^-1/2 of it, as in PEFT. With the gradient G of the matrix, that of A is G B and that of B
    is G' A, so nothing but the optimizer knows of them: the network has its matrices as ever, merged in every step. For
    a matrix the two narrow ones stand in one variable, [R + C, K], whose moments have that shape, too.

    `lora` has (R, C, K) for each trainable variable in order, or None for one that is trained as a whole; None is that
    for all.
    """

    def __init__(self, *arguments: Any, lora: list[tuple[int, int, int] | None] | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.lora: Any = lora
        self.factors: list[Any] = []  # of each trainable variable, or None

    def build(self, variables: list[Any]) -> None:
        if self.built:
            return
        shapes = self.lora or [None] * len(variables)
        self.factors = [shape and self._begin(each, *shape) for each, shape in zip(variables, shapes, strict=True)]
        self._places = {self._var_key(each): place for place, each in enumerate(self.factors) if each is not None}
        super().build(variables)

    def stepped(self, variables: list[Any]) -> list[Any]:
        """What takes a step in place of each variable of the model: itself, or its factors."""
        pairs = zip(variables, self.factors, strict=True)
        return [variable if factors is None else factors for variable, factors in pairs]

    def _begin(self, variable: Any, rows: int, columns: int, rank: int) -> Any:
        name = f"{variable.path.replace('/', '_')}_lora"
        factors = self.add_variable((rows + columns, rank), dtype=variable.dtype, name=name)
        a = keras.initializers.VarianceScaling(1 / 3, distribution="uniform")((rows, rank))
        factors.assign(ops.concatenate([a, ops.zeros((columns, rank))]))
        return factors

    def add_optimizer_variables(self, trainable_variables: list[Any], name: Any, initializer: Any = "zeros") -> Any:
        """Keras', for what is stepped: the slots of a matrix are those of its factors."""
        return super().add_optimizer_variables(self.stepped(trainable_variables), name, initializer)

    def _get_variable_index(self, variable: Any) -> int:
        place = self._places.get(self._var_key(variable))
        return super()._get_variable_index(variable) if place is None else place

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One variable's step, or that of its factors."""
        place = self._get_variable_index(variable)
        factors = self.factors[place]
        if factors is None:
            super().update_step(gradient, variable, learning_rate)
            return
        rows, columns, _ = self.lora[place]
        before = ops.cast(factors, "float32")
        gradient_RC = ops.reshape(ops.cast(gradient, "float32"), (rows, columns))
        of_a_RK = ops.matmul(gradient_RC, before[rows:])
        of_b_CK = ops.matmul(ops.transpose(gradient_RC), before[:rows])
        super().update_step(ops.concatenate([of_a_RK, of_b_CK]), factors, learning_rate)
        moved_RC = _product(ops.cast(factors, "float32"), rows) - _product(before, rows)
        self.assign_add(variable, ops.reshape(moved_RC, variable.shape))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "lora": self.lora}


def _product(factors: Any, rows: int) -> Any:
    """A B', [R, C]."""
    return ops.matmul(factors[:rows], ops.transpose(factors[rows:]))

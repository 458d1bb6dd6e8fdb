"""A step in several parts of its batch, which takes the memory of one: `train.accumulate`.

Shape suffixes: P parts, S examples of a part.
"""

from typing import Any

import keras
from keras import ops


class Accumulating(keras.Model):
    """A mixin before a model, whose training step goes through its batch in `parts` parts, one after another.

    The optimizer takes one step then, with the gradient of the mean loss over the whole batch: what it would take at
    once, but for rounding, for dropout, which each part draws anew, and for batch normalisation, which looks at a part.
    """

    parts = 1

    def train_step(self, *arguments: Any) -> Any:
        if self.parts == 1:
            return super().train_step(*arguments)
        return _on_jax(self, *arguments) if keras.config.backend() == "jax" else _on_tensorflow(self, *arguments)


def split(batch: Any, parts: int) -> tuple[tuple[Any, Any, Any], Any]:
    """((inputs, targets, weights) with [P, S, ...] for [B, ...], the factor that makes means over S those over B / P).

    Part p has the examples p, p + P, ... of the batch, and is filled up by the last one, with weight 0.
    """
    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    count = ops.shape(y)[0]
    size = (count + parts - 1) // parts
    place = ops.arange(size * parts)
    weights = ops.ones((count,), "float32") if weights is None else weights
    full = keras.tree.map_structure(lambda each: ops.take(each, ops.minimum(place, count - 1), axis=0), (x, y, weights))
    full = (*full[:2], full[2] * ops.cast(place < count, "float32"))

    def in_parts(each: Any) -> Any:
        return ops.swapaxes(ops.reshape(each, (size, parts, *each.shape[1:])), 0, 1)

    return keras.tree.map_structure(in_parts, full), ops.cast(size, "float32") / ops.cast(count, "float32")


def _whole(logits_PSK: Any, batch: Any) -> Any:
    """[B, K] in the order of the batch."""
    _, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
    return ops.reshape(ops.swapaxes(logits_PSK, 0, 1), (-1, logits_PSK.shape[-1]))[: ops.shape(y)[0]]


def _on_tensorflow(model: Any, batch: Any) -> Any:
    import tensorflow as tf

    split_batch, factor = split(batch, model.parts)
    variables = model.trainable_variables

    def add_part(part: Any, logits: Any, total: Any) -> Any:
        x, y, weights = tf.nest.map_structure(lambda each: each[part], split_batch)
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = model.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=weights, training=True)
            loss = model.optimizer.scale_loss(loss)
        gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        total = [each + tf.convert_to_tensor(gradient) for each, gradient in zip(total, gradients, strict=True)]
        return part + 1, logits.write(part, y_pred), total

    zeros = [tf.zeros(each.shape, each.dtype) for each in variables]
    # A loop of the graph, since it would run parts that are written out at the same time.
    _, logits, total = tf.while_loop(
        lambda part, *_: part < model.parts,
        add_part,
        (tf.constant(0), tf.TensorArray("float32", model.parts), zeros),
        parallel_iterations=1,
    )
    model.optimizer.apply_gradients(zip([each * factor for each in total], variables, strict=True))
    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    logits_PSK = tf.ensure_shape(logits.stack(), [model.parts, None, model.output_shape[-1]])
    return model.compute_metrics(x, y, _whole(logits_PSK, batch), sample_weight=weights)


def _on_jax(model: Any, state: Any, batch: Any) -> Any:
    import jax

    trainable, non_trainable, of_optimizer, of_metrics = state
    split_batch, factor = split(batch, model.parts)
    gradient_of = jax.value_and_grad(model.compute_loss_and_updates, has_aux=True)

    def add_part(carried: Any, part: Any) -> Any:
        total, non_trainable = carried
        (_, (_, logits, non_trainable, _)), gradients = gradient_of(
            trainable, non_trainable, of_metrics, *part, training=True, optimizer_variables=of_optimizer
        )
        return (jax.tree.map(jax.numpy.add, total, gradients), non_trainable), logits

    start = jax.tree.map(jax.numpy.zeros_like, trainable), non_trainable
    (total, non_trainable), logits_PSK = jax.lax.scan(add_part, start, split_batch)
    gradients = jax.tree.map(lambda each: each * factor, total)
    trainable, of_optimizer = model.optimizer.stateless_apply(of_optimizer, gradients, trainable)
    x, y, weights = keras.utils.unpack_x_y_sample_weight(batch)
    variables = model.metrics_variables
    with keras.StatelessScope(state_mapping=list(zip(variables, of_metrics, strict=True))) as scope:
        logs = model.compute_metrics(x, y, _whole(logits_PSK, batch), weights)
    of_metrics = [scope.get_current_value(variable) for variable in variables]
    of_metrics = [old if new is None else new for new, old in zip(of_metrics, state[3], strict=True)]
    return logs, (trainable, non_trainable, of_optimizer, of_metrics)

"""What XLA makes of a training step on JAX, on the device that is there: operations, bytes, waits for the host.

compiled_step.py [KEY=VALUE ...], by default experiment=keras_io_2021 in bfloat16, augmented on the device.
"""

import re
import sys
from collections import Counter
from typing import Any

import numpy as np

from vit_train.config.compose import load_config
from vit_train.config.schema import Config
from vit_train.machine import backend

_WAITS = re.compile(r'\b(infeed|outfeed|send|recv)\(|custom_call_target="[^"]*callback')


def main() -> None:
    """Prints the table of docs/performance.md."""
    base = ["experiment=keras_io_2021", "compute.backend=jax", "compute.precision=bfloat16", "augment.placement=device"]
    config = load_config([*base, *sys.argv[1:]])
    backend.configure(config.compute, config.seed)
    facts = inspect(compiled_step(config), config.train.batch_size)
    print(f"| a step of {config.train.batch_size} images on {backend.device_name()} | |\n| :-- | --: |")
    for name, value in facts.items():
        print(f"| {name} | {value} |")


def compiled_step(config: Config) -> Any:
    """The step of Keras' JAX trainer as `fit` compiles it, its state donated: jax.stages.Compiled."""
    import jax

    from vit_train.data.images import Examples
    from vit_train.data.pipeline import training_batches
    from vit_train.training.distribution import Devices
    from vit_train.training.prepare import new_model

    images = np.zeros((config.train.batch_size, 32, 32, 3), np.uint8)
    training = Examples(images, np.zeros(len(images), np.int32))
    _, model, _ = new_model(config, training, [str(number) for number in range(100)], Devices(config))
    batch = next(training_batches(training, config, 0, 1).as_numpy_iterator())
    parts = model.trainable_variables, model.non_trainable_variables, model.optimizer.variables, model.metrics_variables
    state = tuple([variable.value for variable in part] for part in parts)
    return jax.jit(model.train_step, donate_argnums=0).lower(state, batch).compile()


def inspect(step: Any, batch_size: int) -> dict[str, str]:
    """What is to be known of a compiled step."""
    costs, memory, text = step.cost_analysis(), step.memory_analysis(), step.as_text()
    entry = text[text.index("\nENTRY") :]
    kinds = Counter(re.findall(r"^ .*? = .*?\b([a-z][\w-]*)\(", entry, re.MULTILINE))
    for kind in ("parameter", "get-tuple-element", "tuple", "constant", "bitcast"):  # which do nothing
        kinds.pop(kind, None)
    return {
        "floating-point operations per image": f"{costs['flops'] / batch_size / 1e9:.2f} G",
        "bytes read and written per image": f"{costs['bytes accessed'] / batch_size / 1e6:.0f} MB",
        "operations per byte": f"{costs['flops'] / costs['bytes accessed']:.1f}",
        "state and batch": f"{memory.argument_size_in_bytes / 2**20:.0f} MiB",
        "of it updated in place": f"{memory.alias_size_in_bytes / 2**20:.0f} MiB",
        "temporary memory": f"{memory.temp_size_in_bytes / 2**20:.0f} MiB",
        "kernels": ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(6)),
        "waits for the host": str(waits(text)),
    }


def waits(text: str) -> int:
    """How many operations of a compiled program exchange data with the host while it runs."""
    return len(_WAITS.findall(text))


if __name__ == "__main__":
    main()

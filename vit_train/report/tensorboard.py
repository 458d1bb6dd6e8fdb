"""TensorBoard's event files, by TensorFlow."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import TENSORS, EventAccumulator
from tensorboard.plugins.hparams import api

from vit_train.config.convert import show, values_of
from vit_train.config.schema import Config
from vit_train.rundir.layout import RunDir

_PARTS = {"val": "validation", "test": "test"}


class TensorBoard:
    """A Log in RUN/tensorboard/{train,validation,test,figures}: one chart shows the curves of one name together.

    The config is in RUN/tensorboard itself, so that HPARAMS takes these folders for the metrics of one trial.
    """

    def __init__(self, config: Config, run: RunDir) -> None:
        self.run = run
        self.writers: dict[str, Any] = {}
        if not list(run.tensorboard.glob("events.*")):
            values = values_of(config, "affects_result").items()
            with self._writer(".").as_default():
                api.hparams(
                    {key: value if isinstance(value, bool | int | float) else show(value) for key, value in values}
                )
            self._flush()

    def steps(self, name: str) -> set[int]:
        """See Log."""
        part, tag = _place(name)
        folder = self.run.tensorboard / part
        if not folder.exists():
            return set()
        events = EventAccumulator(str(folder), size_guidance={TENSORS: 0}).Reload()  # 0 keeps all of them
        return {event.step for event in events.Tensors(tag)} if tag in events.Tags()["tensors"] else set()

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        """See Log."""
        for name, value in values.items():
            part, tag = _place(name)
            with self._writer(part).as_default():
                tf.summary.scalar(tag, value, step=step)
        self._flush()

    def files(self, step: int) -> None:
        """See Log; it has no place for others than figures."""
        for path in sorted(self.run.figures.glob("*.png")):
            with self._writer("figures").as_default():
                tf.summary.image(path.stem, tf.io.decode_png(path.read_bytes())[None], step=step)
        self._flush()

    def close(self, status: str) -> None:
        """See Log."""
        for writer in self.writers.values():
            writer.close()

    def _writer(self, part: str) -> Any:
        if part not in self.writers:
            self.writers[part] = tf.summary.create_file_writer(str(self.run.tensorboard / part))
        return self.writers[part]

    def _flush(self) -> None:
        for writer in self.writers.values():
            writer.flush()


open_log = TensorBoard


def _place(name: str) -> tuple[str, str]:
    """val_loss -> ("validation", "loss"), loss -> ("train", "loss")."""
    prefix, _, tag = name.partition("_")
    return (_PARTS[prefix], tag) if prefix in _PARTS else ("train", name)

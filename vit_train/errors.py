"""What can go wrong in a way a user can fix; each kind has its exit code."""

import signal


class VitTrainError(Exception):
    """One sentence for the user: the thing, its value and the fix."""

    exit_code = 1


class OutOfMemory(VitTrainError):
    """The model or a batch of it does not fit into the memory of the device."""


class ConfigError(VitTrainError):
    """A key, a value or a combination of values that cannot work."""

    exit_code = 2


class DataError(VitTrainError):
    """A data set that is absent, damaged or not what it claims to be."""

    exit_code = 3


class CheckpointError(VitTrainError):
    """A run's state that cannot be written or read."""

    exit_code = 4


class Interrupted(VitTrainError):
    """SIGTERM, SIGINT, or SIGHUP, which counts as SIGTERM; the run's state is saved and it can be resumed."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + (signal.SIGINT if number == signal.SIGINT else signal.SIGTERM)


class NonFiniteLoss(VitTrainError):
    """Training diverged: the loss is infinite or not a number."""

    exit_code = 5

"""The names and layout of a run directory, in one place."""

import errno
import fcntl
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from vit_train.console import say_once
from vit_train.errors import CheckpointError, ConfigError
from vit_train.files import at_once, read_json

_CANNOT_LOCK = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP)  # of file systems without locks


def new_folder(outputs: str, name: str, part: str = "") -> Path:
    """Makes OUTPUTS/DATE/TIME-NAME, with a folder `part` in it; TIME has microseconds, so no two runs share one.

    Raises ConfigError if it cannot be made; then nothing of it is left.
    """
    made: list[Path] = []
    try:
        while True:
            now = datetime.now()
            path = Path(outputs) / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S.%f}-{name}"
            made = [each for each in path.parents if not each.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.mkdir()
            except FileExistsError:
                continue
            made.insert(0, path)
            (path / part).mkdir(exist_ok=True)
            return path
    except OSError as error:
        with suppress(OSError):  # of a folder that another run has put something into by now, or that was never made
            for each in made:
                each.rmdir()
        raise ConfigError(f"outputs={outputs}: cannot hold a run directory: {error.strerror}") from None


@dataclass(frozen=True)
class RunDir:
    """What one run leaves behind. Paths only; the files are written by those who know their content."""

    path: Path

    @classmethod
    def create(cls, outputs: str, dataset: str, model: str) -> "RunDir":
        """Makes a new directory OUTPUTS/DATE/TIME-DATASET-MODEL."""
        return cls(new_folder(outputs, f"{dataset}-{model}", "checkpoints"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other processes from training in the same directory; raises CheckpointError if one already does."""
        try:
            file = open(self.path / ".lock", "a", opener=at_once)  # noqa: SIM115, closed below
        except OSError as error:
            raise CheckpointError(f"{self.path}: cannot be written to ({error.strerror})") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in _CANNOT_LOCK:
                    raise CheckpointError(f"{self.path}: another process is training in this directory") from error
                say_once(f"note: {self.path}: its file system has no locks; see that no other process trains in it")
            with suppress(OSError):  # of a full disk
                file.truncate(0)
                file.write(f"{platform.node()}\n")
                file.flush()
            yield

    @property
    def in_use(self) -> bool:
        """Whether a process is training in this directory."""
        try:
            with open(self.path / ".lock", opener=at_once) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def host(self) -> str:
        """The machine that trains in this directory, or did so last; "" for runs of older versions."""
        with suppress(OSError, ValueError), open(self.path / ".lock", opener=at_once) as file:
            return file.read().strip()
        return ""

    @property
    def finished(self) -> bool:
        """Whether the run has come to its end and says so in its report."""
        try:
            return bool(read_json(self.report_json)["status"] == "completed")
        except (OSError, ValueError, TypeError, KeyError):  # with a damaged report the run has to make it again
            return False

    @property
    def config(self) -> Path:
        """The resolved config, enough to run again."""
        return self.path / "config.yaml"

    @property
    def environment(self) -> Path:
        """Versions, git state, device and command."""
        return self.path / "environment.json"

    @property
    def log(self) -> Path:
        """What the console said, with times, and the traceback of an unexpected error."""
        return self.path / "train.log"

    @property
    def history(self) -> Path:
        """One row per epoch."""
        return self.path / "history.csv"

    @property
    def checkpoints(self) -> Path:
        """The state to continue from."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files, if they are wanted."""
        return self.path / "tensorboard"

    @property
    def profile(self) -> Path:
        """Where the time of a step goes, if that is wanted."""
        return self.path / "profile"

    @property
    def sweep(self) -> Path | None:
        """The sweep of which this is a run, SWEEP/jobs/JOB/DATE/NAME."""
        sweep = self.path.resolve().parents[3:4]
        return sweep[0] if sweep and (sweep[0] / "sweep.json").is_file() else None

    def id_in(self, log: str) -> Path:
        """The id of this run in the program `log`, such as mlflow, if it is logged there."""
        return self.path / f"{log}-run"

    @property
    def model(self) -> Path:
        """The best weights with their preprocessing: uint8 images in, logits out."""
        return self.path / "model.keras"

    @property
    def ternary(self) -> Path:
        """The best weights with ternary kernels packed, where the config asks for them."""
        return self.path / "ternary.npz"

    @property
    def report_json(self) -> Path:
        """The report for scripts."""
        return self.path / "report.json"

    @property
    def report_md(self) -> Path:
        """The report for a terminal."""
        return self.path / "report.md"

    @property
    def report_html(self) -> Path:
        """The report as one page, with its figures inside."""
        return self.path / "report.html"

    @property
    def predictions(self) -> Path:
        """What the model says of each test image."""
        return self.path / "predictions.csv"

    @property
    def out_of_fold(self) -> Path:
        """What the model says of each validation image, where that is one of several folds."""
        return self.path / "out_of_fold.csv"

    @property
    def figures(self) -> Path:
        """The pictures, and the model as text."""
        return self.path / "figures"

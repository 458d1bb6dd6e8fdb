from runs.conftest import made  # noqa: F401, a fixture

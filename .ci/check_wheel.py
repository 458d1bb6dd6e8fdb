"""Checks that a wheel holds every module, template and YAML file of the checkout: check_wheel.py dist/NAME.whl."""

import sys
import zipfile
from pathlib import Path


def shipped(root: Path) -> set[str]:
    """The names that a wheel of this checkout must have; conf/ travels as vit_train/conf/."""
    modules = {path.relative_to(root).as_posix() for path in (root / "vit_train").rglob("*.py")}
    configs = {f"vit_train/{path.relative_to(root).as_posix()}" for path in (root / "conf").rglob("*.yaml")}
    references = {path.relative_to(root).as_posix() for path in (root / "vit_train/runs/references").iterdir()}
    pages = {path.relative_to(root).as_posix() for path in (root / "vit_train").rglob("*.j2")}
    return modules | configs | references | pages | {"vit_train/py.typed"}


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    missing, extra = shipped(root) - found, found - shipped(root)
    if missing or extra:
        sys.exit(
            f"{sys.argv[1]} differs from the checkout: missing {sorted(missing)}, not expected {sorted(extra)}; "
            "packages and data are listed under [tool.setuptools] in pyproject.toml"
        )
    print(f"{sys.argv[1]}: all {len(found)} files")


if __name__ == "__main__":
    main()

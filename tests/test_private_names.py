"""What mosim uses of libraries' private names is listed, is there in the installed releases, and is used."""

import importlib
import re
from pathlib import Path

import pytest

from mosim.core.private_names import PrivateName

PACKAGE = Path(__file__).parent.parent / "platform" / "mosim"
LISTS = sorted(path for path in PACKAGE.rglob("private_names.py") if path.parent.name != "core")


def listed(path: Path) -> tuple[PrivateName, ...]:
    module = ".".join(("mosim", *path.relative_to(PACKAGE).with_suffix("").parts))
    return importlib.import_module(module).PRIVATE_NAMES


NAMES = [(path.parent, name) for path in LISTS for name in listed(path)]


@pytest.mark.parametrize(("folder", "name"), NAMES, ids=[name.name for _, name in NAMES])
def test_a_private_name_is_there_and_is_used(folder: Path, name: PrivateName) -> None:
    assert name.missing() is None
    files = [path for path in folder.rglob("*.py") if path.name != "private_names.py"]
    assert any(re.search(rf"\b{name.name}\b", path.read_text()) for path in files) or "ray._private" in name.owner
    assert not name.reason.endswith(".")


def test_one_that_has_gone_is_named_with_its_reason() -> None:
    gone = PrivateName("ray.job_config:JobConfig", "_gone", "nothing else will do", "ray 2.60.0")
    assert gone.missing() == (
        "ray.job_config:JobConfig no longer has _gone, which ray 2.60.0 had. "
        "mosim uses it because nothing else will do."
    )
    for owner in ("ray.job_config:NoSuchClass", "no.such.module"):
        assert str(gone._replace(owner=owner).missing()).startswith(f"{owner} no longer has _gone")


def test_private_modules_are_imported_where_they_are_listed_alone() -> None:
    libraries = "ray|torch|mlflow|rich|dm_control|tyro"
    private = re.compile(rf"^\s*(?:from|import) ((?:{libraries})(?:\.\w+)*\._\w+(?:\.\w+)*)", re.MULTILINE)
    used = {module for path in PACKAGE.rglob("*.py") for module in private.findall(path.read_text())}
    assert used
    assert used <= {name.owner.partition(":")[0] for _, name in NAMES}

"""What the layout promises."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "platform" / "mosim"
ANALYSIS = ROOT / "analysis" / "mosim_analysis"


def nodes() -> Iterator[tuple[Path, ast.AST]]:
    """Every node of every module's syntax tree, with the module's file."""
    for file in sorted([*PACKAGE.rglob("*.py"), *ANALYSIS.rglob("*.py")]):
        for node in ast.walk(ast.parse(file.read_text())):
            yield file, node


def test_platform_is_the_standard_library_s_module() -> None:
    assert not (ROOT / "platform" / "__init__.py").exists()
    program = "import platform; assert platform.python_version(); assert hasattr(platform, '__file__')"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def imports() -> Iterator[tuple[Path, str]]:
    """The modules that every module of `mosim` imports, by their full names, with its file in `platform/mosim`."""
    for file, node in nodes():
        if not file.is_relative_to(PACKAGE):
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield file.relative_to(PACKAGE), node.module
        elif isinstance(node, ast.Import):
            yield from ((file.relative_to(PACKAGE), alias.name) for alias in node.names)


def face_of(folder: tuple[str, ...]) -> str:
    """The package that others import what lies in a folder from."""
    depth = 2 if folder[0] == "experiments" else 1
    return ".".join(("mosim", *folder[:depth]))


def test_folders_import_each_other_by_their_public_face_alone() -> None:
    faceless = ("core", "jobs")  # Whose modules are each one thing, imported by its name.
    odd = []
    for file, name in imports():
        library, *folder = name.split(".")
        if library != "mosim" or len(folder) < 2 or folder[0] in faceless:
            continue
        face = face_of(tuple(folder))
        if name != face and face != face_of(file.parts[:-1] or ("",)):
            odd.append(f"{file}: {name}")
    assert not odd


@pytest.mark.parametrize(("library", "adapter"), [("ray.rllib", "agents/rllib"), ("ray.tune", "experiments/tune")])
def test_what_wraps_a_library_is_all_that_imports_it(library: str, adapter: str) -> None:
    users = {file for file, name in imports() if name == library or name.startswith(f"{library}.")}
    assert users
    assert not [str(file) for file in users if not file.is_relative_to(adapter)]


def test_loading_never_unpickles() -> None:
    forbidden = re.compile(
        r"allow_pickle\s*=\s*True|weights_only\s*=\s*False|\bpickle\.loads?\(|yaml\.(unsafe_)?load\(|from_checkpoint\("
    )
    odd = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in sorted([*PACKAGE.rglob("*.py"), *ANALYSIS.rglob("*.py")])
        for line in file.read_text().splitlines()
        if forbidden.search(line)
    ]
    assert not odd


def test_no_exception_is_swallowed() -> None:
    odd = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file, node in nodes()
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (len(node.body) == 1 and isinstance(node.body[0], ast.Pass)))
    ]
    assert not odd


def test_results_are_read_without_what_made_them() -> None:
    program = """
import sys
import mosim_analysis
from mosim_analysis import Store, figures, page, paper, read_results
assert not {"mosim", "torch", "ray"} & set(sys.modules), sorted({"mosim", "torch", "ray"} & set(sys.modules))
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)

"""What the layout promises."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

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


def test_folders_import_each_other_by_their_public_face_alone() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    deep = re.compile(rf"^mosim\.({'|'.join(sorted(folders))})\.")
    odd = [
        f"{file.relative_to(ROOT)}: from {node.module}"
        for file, node in nodes()
        if isinstance(node, ast.ImportFrom)
        and file.is_relative_to(PACKAGE)
        and (found := deep.match(node.module or ""))
        and found[1] != file.relative_to(PACKAGE).parts[0]
    ]
    assert not odd


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

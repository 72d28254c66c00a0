"""What a docstring says of the arguments is what the signature has."""

import ast
import re
from pathlib import Path

import pytest

import assay

ROOT = Path(assay.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
ARGS = re.compile(r"Args:\n((?: {4}.*\n?|\n)+)")


def differences(source: str) -> list[str]:
    """Return the arguments that only the docstring or only the signature has."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            inits = [n for n in node.body if getattr(n, "name", "") == "__init__"]
            found += _differences(node, inits[0]) if inits else []
        elif isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            found += _differences(node, node)
    return found


def _differences(documented: ast.ClassDef | ast.FunctionDef, function: ast.FunctionDef):
    listed = ARGS.search(ast.get_docstring(documented) or "")
    if not listed:
        return []
    names = set(re.findall(r"^ {4}(\w+):", listed[1], re.M))
    given = {a.arg for a in function.args.args + function.args.kwonlyargs} - {"self", "cls"}
    extra = {a.arg for a in (function.args.vararg, function.args.kwarg) if a}
    return [f"{documented.name}: {name}" for name in sorted((names ^ given) - extra)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_arguments_are_those_of_the_signature(path: Path):
    assert differences(path.read_text(encoding="utf-8")) == []


def test_an_argument_that_is_not_told_is_found():
    source = 'def f(a: int, b: int) -> int:\n    """Add.\n\n    Args:\n        a: One.\n    """\n'
    assert differences(source) == ["f: b"]

"""Imports point one way, and what must be instant never reaches torch."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import assay

ROOT = Path(assay.__file__).parent
SHARED = {  # plain values, no behaviour
    "errors", "canon.task", "engine.spec", "compare.result", "data.concern", "data.dataset",
    "data.tokens",
}  # fmt: skip
ALLOWED = {
    "canon": set(),
    "data": set(),
    "store": set(),
    "metrics": set(),
    "blocks": {"compiled"},
    "decoding": {"blocks"},
    "embeddings": {"compiled"},
    "models": {"blocks", "embeddings", "canon"},
    "learners": {"models", "blocks", "decoding", "metrics", "data"},
    "engine": {"learners", "models", "blocks", "data", "canon", "metrics"},
    "ship": {"engine", "models", "blocks", "decoding", "data", "store", "canon", "compare"},
    "compare": {"engine", "models", "data", "store", "canon", "ship", "report", "metrics"},
    "report": {"canon", "store", "metrics"},
    "testing": {"engine", "models", "blocks", "canon"},
}


def imports_of(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {n.removeprefix("assay.") for n in names if n.startswith("assay.")}
    return found


@pytest.mark.parametrize("layer", sorted(ALLOWED))
def test_a_layer_imports_only_what_lies_below_it(layer: str):
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / layer).rglob("*.py")
        for name in sorted(imports_of(path))
        if name not in SHARED and name.split(".")[0] not in ALLOWED[layer] | {layer}
    ]
    assert wrong == []


@pytest.mark.parametrize(
    "statement",
    [
        "import assay",
        "from assay.cli import main; main(['list'])",
        "from assay.cli import main; main(['show', 'resnet'])",
        "import assay.compare.study, assay.store.store, assay.data.load, assay.engine.executor",
        "import assay.report.write, assay.report.terminal, assay.report.progress",
    ],
)
def test_what_must_be_instant_never_imports_torch(statement: str):
    code = f"{statement}\nimport sys\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_layer_table_is_kept_and_then_needs_no_torch(tmp_path: Path):
    code = (
        "import sys\nfrom assay.cli import main\nmain(['show', 'lenet5'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    first, second = (
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "ASSAY_CACHE": str(tmp_path)},
            capture_output=True,
            text=True,
        )
        for _ in range(2)
    )
    assert (first.returncode, second.returncode) == (1, 0)
    assert first.stdout == second.stdout
    assert "features.0" in second.stdout

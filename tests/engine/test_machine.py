"""The machine says where it is, without torch."""

import json
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from assay.engine import machine


def test_the_machine_is_described_in_json():
    facts = json.loads(json.dumps(machine.machine()))
    assert sorted(facts) == ["cores", "load", "memory_bytes", "processor", "system"]
    assert facts["processor"]
    assert facts["cores"] >= 1
    assert facts["memory_bytes"] > 2**28


def test_what_makes_the_numbers_of_an_outcome_is_part_of_the_version():
    for pattern in machine._DECIDING:
        assert list(Path(machine.__file__).parents[1].glob(pattern)), pattern
    before = machine._code()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "_DECIDING", [p for p in machine._DECIDING if "embed" not in p])
        assert machine._code() != before


def test_the_versions_of_what_computes_are_named():
    assert sorted(machine.versions()) == ["assay", "numpy", "python", "torch"]
    assert machine.versions()["numpy"] == np.__version__


def test_describing_the_machine_imports_no_torch():
    code = (
        "from assay.engine import machine; machine.machine(); machine.versions()\n"
        "import sys; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_peak_of_memory_rises_with_use_and_starts_anew():
    machine.reset_peak_memory()
    before = machine.peak_memory_bytes()
    with mmap.mmap(-1, 2**26) as held:  # fresh pages, whatever the allocator has kept
        np.frombuffer(held, np.uint8)[:: mmap.PAGESIZE] = 1
        grown = machine.peak_memory_bytes()
    assert grown - before > 2**25
    machine.reset_peak_memory()
    assert machine.peak_memory_bytes() < grown - 2**25


def test_memory_can_be_kept():
    code = "from assay.engine.machine import keep_memory; import sys; sys.exit(not keep_memory())"
    libc = sys.platform == "linux"
    assert (subprocess.run([sys.executable, "-c", code]).returncode == 0) == libc

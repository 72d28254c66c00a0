"""Folders that a killed preparation left are removed by the next one, those in use are not."""

import os
from pathlib import Path

from assay.data.load import load_arrays
from assay.data.scratch import scratch

LONG_AGO = (1e9, 1e9)


def test_the_next_preparation_removes_what_a_killed_one_left(tmp_path: Path):
    pid = os.fork()
    if pid == 0:
        with scratch(tmp_path) as folder:
            (folder / "x.npy").write_bytes(b"half")
            os._exit(0)  # as a kill: nothing is tidied up
    os.waitpid(pid, 0)
    (left,) = tmp_path.glob(".preparing-*")
    load_arrays([[float(i), 1.0] for i in range(60)], [0, 1] * 30, folder=tmp_path)
    assert left.exists()  # it might be one that was begun this minute
    os.utime(left, LONG_AGO)
    load_arrays([[float(i), 2.0] for i in range(60)], [0, 1] * 30, folder=tmp_path)
    assert not list(tmp_path.glob(".preparing-*"))


def test_one_in_use_is_left_alone_however_long_it_takes(tmp_path: Path):
    with scratch(tmp_path) as folder:
        os.utime(folder, LONG_AGO)
        with scratch(tmp_path) as other:
            assert folder.exists()
            assert other != folder
    assert not list(tmp_path.iterdir())

"""The router: help, unknown commands, exit codes."""

import subprocess
import sys

import pytest

from assay.cli import COMMANDS, main


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    printed = capsys.readouterr().out
    assert end.value.code == 0
    assert [name for name in COMMANDS if f"  {name} " not in printed] == []


def test_a_misspelt_command_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main(["comapre"])
    assert end.value.code == 2
    assert "unknown command 'comapre'. Did you mean 'compare'?" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    assert f"assay {name}" in capsys.readouterr().out


def test_a_users_mistake_prints_one_line_and_no_traceback():
    done = subprocess.run(
        [sys.executable, "-m", "assay", "show", "resnet8l"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("assay: Unknown")

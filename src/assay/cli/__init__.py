"""The `assay` command: parse, call the library, print. Nothing is computed in this package."""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from assay import __version__
from assay.errors import AssayError, nearest

COMMANDS = {  # name: (module, what `assay --help` says); a module is imported when it is called
    "compare": (
        "assay.cli.compare",
        "train candidates on your data and say which differences are real",
    ),
    "ablate": ("assay.cli.ablate", "run a network against itself with one idea removed"),
    "data": ("assay.cli.data", "look for faults in data before anything is trained on them"),
    "predict": ("assay.cli.predict", "label files with the winner of a run"),
    "generate": ("assay.cli.generate", "write text with the winner of a run"),
    "report": ("assay.cli.report", "write the report of a run again"),
    "resume": ("assay.cli.resume", "continue a run that was stopped"),
    "runs": ("assay.cli.runs", "list, show and remove runs"),
    "list": ("assay.cli.list", "list what the canon holds"),
    "show": ("assay.cli.show", "print one card: idea, paper, lineage, sizes, layers"),
    "diff": ("assay.cli.diff", "show what differs between two networks, and what it costs"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return 0 when it worked, 1 when it failed, 2 when the call was wrong."""
    words = [*(sys.argv[1:] if argv is None else argv)]
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    try:
        command, parser = _command(words)
        return command.run(parser.parse_args(words[1:])) or 0
    except AssayError as error:
        if debug:
            raise
        print(f"assay: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # `assay list | head`
        sys.stderr.close()
        return 0


def _command(words: list[str]) -> tuple[Any, argparse.ArgumentParser]:
    """Return the module of the command named first, and its parser."""
    top = _top_parser()
    if not words or words[0].startswith("-"):
        top.parse_args(words or ["--help"])  # --help and --version end here
    name = words[0]
    if name not in COMMANDS:
        top.error(f"unknown command {name!r}.{nearest(name, COMMANDS)}")
    command = import_module(COMMANDS[name][0])
    parser = argparse.ArgumentParser(prog=f"assay {name}", description=command.SUMMARY)
    command.add_arguments(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return command, parser


def _top_parser() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="assay",
        usage="assay COMMAND [options]",
        description="Assay picks neural networks by measurement.",
        epilog=f"commands:\n{listing}\n\n`assay COMMAND --help` tells a command's options.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"assay {__version__}")
    return parser

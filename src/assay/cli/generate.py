"""`assay generate RUN --prompt TEXT`."""

from __future__ import annotations

import argparse
import json
import sys
import unicodedata
import warnings
from typing import TYPE_CHECKING

from assay.errors import BadArgumentError, DataError, Interrupted

if TYPE_CHECKING:
    from assay.ship.generator import Generator, Settings, Written

SUMMARY = "write text with the winner of a run: continue a prompt, or answer it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "model",  # not "run": that is what the router calls
        metavar="RUN",
        help="a run's id or the beginning of it, ID/CANDIDATE, or a folder with a saved model",
    )
    parser.add_argument(
        "--prompt",
        metavar="TEXT",
        action="append",
        help="what to continue, or to answer; may be given again; - reads a prompt from each line "
        "of standard input; without any, a language model begins on its own",
    )
    parser.add_argument(
        "--tokens", type=int, metavar="N", help="write so many new tokens at most (200)"
    )
    parser.add_argument(
        "--temperature",
        type=float,
        metavar="T",
        help="0 takes the likeliest token, 1 draws by the model's odds (0.8; text to text: 0)",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="draw among the K likeliest tokens")
    parser.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        metavar="P",
        help="draw among the fewest tokens with probability P together",
    )
    parser.add_argument("--beams", type=int, default=1, metavar="N", help="search with N beams")
    parser.add_argument(
        "--length-penalty",
        type=float,
        default=1.0,
        metavar="A",
        help="beam search divides by length to the power A (1)",
    )
    parser.add_argument(
        "--n-best", type=int, default=1, metavar="N", help="show N texts of the beam search (1)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of what is drawn (0)")
    parser.add_argument(
        "--stream",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="show a single text while it is written",
    )
    parser.add_argument("--json", action="store_true", help="for programs: one JSON line each")
    parser.add_argument("--store", metavar="URL", help="where the run is (assay-runs here)")
    parser.add_argument(
        "--code",
        metavar="FILE.py:Class",
        help="for a network of your own: its code, which a saved model never names",
    )


def run(args: argparse.Namespace) -> None:
    """Print a text for every prompt."""
    prompts = _prompts(args.prompt)
    generator = _loaded(args)
    settings = _settings(args)
    if len(prompts) == 1 and args.stream and args.beams == 1 and not args.json:
        _stream(generator, prompts[0], settings)
        return
    written = generator.write(prompts, settings)
    lines = [
        _as_json(prompt, text) if args.json else _as_text(generator, prompt, text)
        for prompt, found in zip(prompts, written, strict=True)
        for text in found
    ]
    between = "\n\n" if generator.continues and not args.json else "\n"  # texts have lines
    print(between.join(lines))


def _loaded(args: argparse.Namespace) -> Generator:
    from assay.ship.generator import Generator  # torch takes seconds; --help must not wait
    from assay.ship.load import load

    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", UserWarning)
        predictor = load(args.model, store=args.store, code=args.code)
    for warning in told:
        print(f"assay: {warning.message}", file=sys.stderr)
    return Generator(predictor.artifact, predictor.model)


def _settings(args: argparse.Namespace) -> Settings:
    from assay.ship.generator import Settings

    return Settings(
        tokens=args.tokens,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        beams=args.beams,
        length_penalty=args.length_penalty,
        n_best=args.n_best,
        seed=args.seed,
    )


def _prompts(given: list[str] | None) -> list[str]:
    """Return what was asked, with the lines of standard input in place of -."""
    prompts: list[str] = []
    for prompt in given or [""]:
        prompts += _lines() if prompt == "-" else [prompt]
    if not prompts:
        raise BadArgumentError(
            "`--prompt -` reads a prompt from each line. Received no line with text on standard "
            "input; write one."
        )
    return prompts


def _lines() -> list[str]:
    try:
        text = sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"Prompts must be UTF-8. Standard input is not, at byte {error.start + 1}; convert it."
        ) from error
    return [line for line in text.replace("\r", "\n").split("\n") if line.strip()]


def _stream(generator: Generator, prompt: str, settings: Settings) -> None:
    pieces = generator.stream(prompt, settings)
    first = next(pieces)  # what is wrong with the prompt is told before anything is shown
    if generator.continues:
        print(printable(prompt), end="")
    print(printable(first), end="", flush=True)
    try:
        for piece in pieces:
            print(printable(piece), end="", flush=True)
    except KeyboardInterrupt as error:
        raise Interrupted("Writing was stopped; what stands above is whole.") from error
    finally:
        print()


def _as_text(generator: Generator, prompt: str, text: Written) -> str:
    score = "" if text.score is None else f"{text.score:.4f}  "
    shown = f"{prompt}{text.text}" if generator.continues else text.text
    return f"{score}{printable(shown)}"


def _as_json(prompt: str, text: Written) -> str:
    facts = {"prompt": prompt, "text": text.text, "tokens": text.tokens, "ended": text.ended}
    if text.score is not None:
        facts["score"] = text.score
    return json.dumps(facts)  # in ASCII: whatever was written, the line stays one line


def printable(text: str) -> str:
    """Return text whose control characters are escaped, line ends and tabs aside."""
    return "".join(
        c
        if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs"
        else c.encode("unicode_escape").decode()
        for c in text
    )

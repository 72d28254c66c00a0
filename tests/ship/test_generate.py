"""`assay generate` and `Predictor.generate`: what a trained network writes, told as it comes."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from writers import CONTEXT, TEXT, Spelling, facts, saved, tokenizer

from assay.cli import main
from assay.cli.generate import printable
from assay.decoding.pieces import Pieces
from assay.errors import BadArgumentError, DataError
from assay.ship.generator import Generator, Settings, Written
from assay.ship.load import load

CHINESE = "\u732b\u5750\u5728\u57ab\u5b50\u4e0a\u3002\u732b\u9f98\u9f98"


@pytest.fixture(scope="session")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("writer"), "language-modeling", "gpt2_nano")


@pytest.fixture(scope="session")
def translator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("writer"), "text-to-text", "transformer_tiny")


@pytest.fixture
def generate(capsys: pytest.CaptureFixture[str]):
    """Call the command as `assay generate` does: exit code, stdout, stderr."""

    def called(model: Path, *words: str) -> tuple[int, str, str]:
        code = main(["generate", str(model), *words])
        return code, *capsys.readouterr()

    return called


def spelling(text: str, *, kind: str = "bpe", prompt: int = 1) -> Generator:
    """Return a writer of `text`, with no limit to its context."""
    told = facts("language-modeling", kind=kind, family="rnn")
    tokens = tokenizer(kind).encode([text]).ids.tolist()
    return Generator(told, Spelling(tokens, told.outputs, prompt=prompt))


@pytest.mark.parametrize("kind", ["char", "bpe", "wordpiece", "unigram"])
def test_what_is_streamed_is_the_text(kind: str):
    text = TEXT[:60] if kind == "char" else f"The cat ran on. {CHINESE[:6]} the mat"
    writer = spelling(text, kind=kind, prompt=1)
    pieces = list(writer.stream("", Settings(tokens=300)))
    [[written]] = writer.write([""], Settings(tokens=300))
    assert "".join(pieces) == written.text
    assert written.ended
    assert len(pieces) > 10
    if kind in ("char", "bpe"):
        assert written.text == text


def test_a_character_of_several_tokens_is_held_back_until_it_is_whole():
    tokens = tokenizer().encode([CHINESE]).ids
    pieces = list(spelling(CHINESE).stream("", Settings(tokens=300)))
    assert len(tokens) > len(CHINESE)
    assert "".join(pieces) == CHINESE
    assert "\ufffd" not in "".join(pieces)
    assert "" in pieces


def test_bytes_that_never_become_a_character_are_shown_at_the_end():
    tokens = tokenizer().encode(["a\u9f98"]).ids.tolist()
    pieces = Pieces(tokenizer().decode)
    assert [pieces.push(token) for token in tokens[:-1]] == ["a", *[""] * (len(tokens) - 2)]
    assert pieces.rest() == "\ufffd"


def test_a_text_ends_at_its_mark_or_for_want_of_tokens():
    ended, cut = (
        spelling("The cat").write([""], Settings(tokens=tokens))[0][0] for tokens in (50, 2)
    )
    assert (ended.text, ended.ended) == ("The cat", True)
    assert (cut.tokens, cut.ended) == (2, False)


def test_a_seed_decides_what_is_drawn(language_model: Path):
    model = load(language_model)
    first, again = (model.generate("The cat", tokens=12, temperature=1.0) for _ in range(2))
    assert first == again != model.generate("The cat", tokens=12, temperature=1.0, seed=1)


def test_prompts_are_written_together_as_alone(language_model: Path, translator: Path):
    prompts = ["The cat", "\u732b", "on the mat, and"]
    for folder in (language_model, translator):
        model = load(folder)
        for settings in ({"temperature": 0}, {"beams": 3}):
            alone = [model.generate(prompt, tokens=9, **settings)[0] for prompt in prompts]
            assert model.generate(prompts, tokens=9, **settings) == alone
            assert len(set(alone)) > 1


def test_a_long_prompt_takes_no_room_from_the_others(language_model: Path):
    model = load(language_model)
    long = "The cat sat on the mat, and the dog ran. The cat sat on the mat, and"
    for settings in ({"temperature": 0}, {"beams": 2}):
        alone = [model.generate(prompt, **settings)[0] for prompt in ("The cat", long)]
        assert model.generate(["The cat", long], **settings) == alone
        assert len(alone[0]) > 2 * len(alone[1]) > 0


def test_beam_search_tells_scores_from_the_best_down(translator: Path):
    model = load(translator)
    writer = Generator(model.artifact, model.model)
    [found] = writer.write(["The cat sat"], Settings(beams=4, n_best=3))
    scores = [text.score for text in found]
    assert len({text.text for text in found}) == 3
    assert scores == sorted(scores, reverse=True)
    assert all(text.tokens <= 7 for text in found)  # as many as answers had in training


def test_the_command_shows_prompt_and_text(generate, language_model: Path):
    [text] = load(language_model).generate("The cat", tokens=8, seed=3)
    words = ["--prompt", "The cat", "--tokens", "8", "--seed", "3"]
    expected = (0, f"{printable('The cat' + text)}\n", "")
    assert generate(language_model, *words) == expected
    assert generate(language_model, *words, "--no-stream") == expected


def test_an_empty_line_stands_between_continuations(generate, language_model: Path):
    texts = load(language_model).generate(["The cat", "mat"], tokens=4)
    expected = printable(f"The cat{texts[0]}\n\nmat{texts[1]}\n")
    words = ["--prompt", "The cat", "--prompt", "mat", "--tokens", "4"]
    assert generate(language_model, *words) == (0, expected, "")


def test_the_command_shows_an_answer_alone(generate, translator: Path):
    [text] = load(translator).generate("The cat")
    assert generate(translator, "--prompt", "The cat") == (0, f"{printable(text)}\n", "")


def test_json_has_a_line_for_each_text(generate, translator: Path):
    words = ["--prompt", "The cat", "--prompt", "mat", "--beams", "3", "--n-best", "2", "--json"]
    code, printed, _ = generate(translator, *words)
    told = [json.loads(line) for line in printed.splitlines()]
    assert code == 0
    assert [line["prompt"] for line in told] == ["The cat", "The cat", "mat", "mat"]
    assert set(told[0]) == {"prompt", "text", "tokens", "ended", "score"}


def test_only_a_line_end_parts_two_prompts(
    generate, translator: Path, monkeypatch: pytest.MonkeyPatch
):
    given = "\ufeffa\u2028b\x0bc\rmat\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given.encode())))
    _, printed, _ = generate(translator, "--prompt", "-", "--json")
    told = [json.loads(line)["prompt"] for line in printed.splitlines()]
    assert told == ["a\u2028b\x0bc", "mat"]


def test_a_language_model_predicts_nothing(language_model: Path, capsys):
    assert main(["predict", str(language_model), str(language_model)]) == 2
    assert capsys.readouterr().err == (
        "assay: `predict` is for models that label, measure or answer. gpt2_nano is for "
        "language-modeling; language models continue texts: use `generate`.\n"
    )


def test_prompts_come_from_the_lines_of_standard_input(
    generate, translator: Path, monkeypatch: pytest.MonkeyPatch
):
    answers = [printable(text) for text in load(translator).generate(["The cat", CHINESE[:3]])]
    given = io.TextIOWrapper(io.BytesIO(f"The cat\r\n\n{CHINESE[:3]}\n".encode()))
    monkeypatch.setattr("sys.stdin", given)
    assert generate(translator, "--prompt", "-") == (0, "\n".join([*answers, ""]), "")


def test_control_characters_do_not_reach_the_terminal():
    assert printable("a\x1b[31m\r\n\t\u3000\u732b") == "a\\x1b[31m\\r\n\t\u3000\u732b"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["--prompt", "mat, " * CONTEXT],
            "A prompt of gpt2_nano may have 32 tokens. Received {n}: 'mat, mat, mat, mat, mat, "
            "mat, mat, mat,…'; shorten it.",
        ),
        (
            ["--prompt", "a", "--tokens", "40"],
            "A text of gpt2_nano may have 33 tokens. Received tokens=40 after 1; ask for 32 at "
            "most.",
        ),
        (["--tokens", "0"], "`tokens` must be at least 1. Received 0."),
        (["--seed", "-1"], "`seed` must be at least 0. Received -1."),
        (
            ["--temperature", "-1"],
            "`temperature` must be 0, for the likeliest token each time, or in [0.001, 1000]. "
            "Received -1.0.",
        ),
        (
            ["--temperature", "inf"],
            "`temperature` must be 0, for the likeliest token each time, or in [0.001, 1000]. "
            "Received inf.",
        ),
        (
            ["--temperature", "1e-300"],
            "`temperature` must be 0, for the likeliest token each time, or in [0.001, 1000]. "
            "Received 1e-300.",
        ),
        (
            ["--temperature", "0", "--top-k", "3"],
            "`top_k` and `top_p` say among which tokens to draw. Received one of them with "
            "temperature 0, which draws none; give a temperature such as 0.8.",
        ),
        (["--n-best", "0"], "`n_best` must be at least 1. Received 0."),
        (
            ["--beams", "2", "--length-penalty", "nan"],
            "`length_penalty` must be a finite number. Received nan.",
        ),
        (["--beams", "0"], "`beams` must be at least 1. Received 0."),
        (
            ["--beams", "2", "--top-k", "3"],
            "Beam search draws nothing. Received beams with temperature, top_k or top_p; leave one "
            "of the two out.",
        ),
        (
            ["--n-best", "2"],
            "`n_best` is of beam search. Received n_best=2 with one beam; ask for beams=2 or more.",
        ),
        (["--top-p", "0"], "`top_p` must be in (0, 1]. Received top_p=0.0."),
        (["--prompt", "a\0b"], "A prompt must be text. It holds a NUL character; remove it."),
        (
            ["--prompt", "a\udcff"],
            "A prompt must be text. At character 2 it has half of a surrogate pair; write it again "
            "as UTF-8.",
        ),
    ],
)
def test_what_cannot_be_written_is_told(
    words: list[str], told: str, generate, language_model: Path
):
    count = len(tokenizer().encode(["mat, " * CONTEXT]).ids)
    code, printed, message = generate(language_model, *words)
    assert (code, printed) == (1 if "NUL" in told or "surrogate" in told else 2, "")
    assert message == f"assay: {told.format(n=count)}\n"


def test_an_empty_question_has_no_answer(generate, translator: Path):
    assert generate(translator) == (
        1,
        "",
        "assay: A prompt must have text. It is empty; fill it in or remove it.\n",
    )


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            b"\n \n",
            "`--prompt -` reads a prompt from each line. Received no line with text on standard "
            "input; write one.",
        ),
        (
            b"ab\xff\n",
            "Prompts must be UTF-8. Standard input is not, at byte 3; convert it.",
        ),
    ],
)
def test_standard_input_without_text_is_told(
    given: bytes, told: str, generate, language_model: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
    _, printed, message = generate(language_model, "--prompt", "-")
    assert (printed, message) == ("", f"assay: {told}\n")


def test_a_network_without_a_context_reads_and_writes_on():
    long = "mat, " * CONTEXT
    count = len(tokenizer().encode([long]).ids)
    writer = spelling("The cat ran.", prompt=count)
    [[written]] = writer.write([long], Settings(tokens=5 * CONTEXT))
    assert (written.text, written.ended) == ("The cat ran.", True)
    assert count > CONTEXT


def test_a_stream_is_not_searched():
    with pytest.raises(BadArgumentError) as caught:
        next(spelling("a").stream("", Settings(beams=2)))
    assert str(caught.value) == (
        "Beam search knows its text when it has ended. Received beams=2 for a stream; write "
        "without streaming, or with one beam."
    )


def test_a_model_that_labels_is_told_from_one_that_writes(generate, row_model):
    assert generate(row_model.folder, "--prompt", "a") == (
        2,
        "",
        "assay: Text is generated by models of language-modeling and text-to-text. Received "
        "softmax_regression, a model of tabular-classification; use `assay predict`.\n",
    )


def test_a_tokenizer_of_another_vocabulary_is_told():
    told = facts("language-modeling")
    other = {**told.preprocessing, "tokenizer": tokenizer("char").facts()}
    network = Spelling([], told.outputs, prompt=1)
    with pytest.raises(DataError) as caught:
        Generator(replace(told, preprocessing=other), network)
    assert str(caught.value) == (
        f"The tokenizer and the network of nowhere must have one vocabulary. They have "
        f"{tokenizer('char').vocabulary} and {told.outputs} tokens; copy both from one run."
    )


def test_a_network_that_cannot_continue_is_read_anew_each_time(language_model: Path):
    model = load(language_model)
    plain = Generator(model.artifact, _Whole(model.model))
    settings = Settings(tokens=10, temperature=1.0)
    ours = Generator(model.artifact, model.model).write(["The cat"], settings)
    assert plain.write(["The cat"], settings) == ours
    assert isinstance(ours[0][0], Written)


class _Whole:
    """A network of which only the whole forward pass is known."""

    def __init__(self, model) -> None:
        self._model = model

    def __call__(self, tokens):
        return self._model(tokens)


def test_help_does_not_wait_for_torch():
    code = (
        "import argparse, sys, assay.cli.generate as p; p.add_arguments(argparse.ArgumentParser());"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

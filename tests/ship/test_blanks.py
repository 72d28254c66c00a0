"""What a masked language model answers: texts with their blanks filled."""

import json

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from writers import CONTEXT, facts, saved, tokenizer

from assay.cli import main
from assay.data.tokens import BEGIN, END, MASK
from assay.errors import DataError
from assay.ship.blanks import fill_blanks
from assay.ship.files import AT_ONCE
from assay.ship.load import load

SENTENCE = "The cat sat on the mat."


class Knowing(nn.Module):
    """A masked model that knows one sentence by heart, and likes marks better than any word."""

    def __init__(self, tokens: list[int], vocabulary: int) -> None:
        super().__init__()
        self.tokens, self.vocabulary, self.read = tokens, vocabulary, torch.empty(0)

    def forward(self, x: Tensor) -> Tensor:
        self.read = x
        logits = torch.zeros(*x.shape, self.vocabulary)
        logits[..., : MASK + 1] = 9.0
        for place, token in enumerate(self.tokens[: x.shape[1]]):
            logits[:, place, token] = 5.0
        return logits


def reading(kind: str = "bpe", **changes: object) -> dict[str, object]:
    told = facts("masked-language-modeling", kind=kind, name="bert_tiny").preprocessing
    return {**told, "begin": True, "end": True, **changes}


def knowing(kind: str = "bpe") -> Knowing:
    read_by = tokenizer(kind)
    inner = read_by.encode([SENTENCE]).ids.tolist()
    return Knowing([BEGIN, *inner, END], read_by.vocabulary)


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
@pytest.mark.parametrize("text", ["The <mask> sat on the mat.", "<mask> cat <mask> on the <mask>."])
def test_each_blank_gets_the_likeliest_token(kind: str, text: str):
    assert fill_blanks([text], reading(kind), knowing(kind)) == [SENTENCE]


def test_a_space_before_a_blank_is_a_token_where_characters_are():
    assert fill_blanks(["Th<mask> cat<mask>sat on the mat."], reading("char"), knowing("char")) == [
        SENTENCE
    ]


def test_texts_of_unequal_lengths_are_padded_and_cut_again():
    model = knowing()
    found = fill_blanks(["The <mask>", "The <mask> sat on the mat."], reading(), model)
    assert found == ["The cat", SENTENCE]
    assert model.read[0, :4].tolist() == [BEGIN, model.tokens[1], MASK, END]
    assert not model.read[0, 4:].any()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (
            ["The <mask>", "The cat"],
            "A masked language model fills blanks. Text 2 has none; write <mask> where a token is "
            "missing.",
        ),
        (
            ["<mask>" + "9 " * CONTEXT],
            f"A text with blanks may have {CONTEXT} tokens, as in training. Text 1 has 67; shorten "
            "it.",
        ),
        ([" "], "Text 1 must have text. It is only white space; fill it in or remove it."),
    ],
)
def test_what_cannot_be_filled_is_refused(texts: list[str], message: str):
    with pytest.raises(DataError) as caught:
        fill_blanks(texts, reading(), knowing())
    assert str(caught.value) == message


def test_a_tokenizer_of_another_vocabulary_is_refused():
    with pytest.raises(DataError) as caught:
        fill_blanks(["The <mask>"], reading(vocabulary=1000), knowing())
    size = tokenizer().vocabulary
    assert str(caught.value) == (
        f"The tokenizer and the model must have one vocabulary. They have {size} and 1,000 tokens; "
        "train the model again."
    )


def test_the_command_fills_blanks(tmp_path, capsys):
    model = saved(tmp_path, "masked-language-modeling", "bert_tiny")
    (tmp_path / "a.txt").write_text("The <mask> sat")
    answer = load(model).predict("The <mask> sat")
    assert isinstance(answer, np.ndarray)
    assert "<mask>" not in answer[0]
    assert main(["predict", str(model), str(tmp_path / "a.txt"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"input": str(tmp_path / "a.txt"), "label": answer[0]}


def test_the_command_names_the_row_without_a_blank(tmp_path, capsys):
    model = saved(tmp_path, "masked-language-modeling", "bert_tiny")
    path = tmp_path / "a.csv"
    path.write_text("text\n" + "The <mask> sat\n" * (AT_ONCE + 3) + "The cat sat\n")
    assert main(["predict", str(model), str(path)]) == 1
    assert capsys.readouterr().err == (
        f"assay: A masked language model fills blanks. {path} row {AT_ONCE + 4} has none; write "
        "<mask> where a token is missing.\n"
    )

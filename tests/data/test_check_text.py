"""What `check` says of text: nothing of clean text, and each fault where one is planted."""

import numpy as np
import pandas as pd
import pytest

from assay.data.check import check

WORDS = ["tree", "house", "river", "cloud", "stone", "bread", "light", "music", "paper", "glass"]


def texts(count=200, seed=0):
    numbers = np.random.default_rng(seed)
    rows = [
        " ".join(numbers.choice(WORDS, numbers.integers(5, 9))) + f" {at}" for at in range(count)
    ]
    return pd.DataFrame({"text": rows, "label": numbers.choice(["a", "b"], count)})


@pytest.fixture
def concerns(opened, tmp_path):
    """Return what is said of a table, by kind."""

    def found(frame, **options):
        frame.to_csv(tmp_path / "t.csv", index=False)
        return {concern.kind: concern for concern in check(opened(tmp_path / "t.csv", **options))}

    return found


def test_nothing_is_said_of_clean_texts(concerns):
    assert concerns(texts()) == {}


def test_texts_that_differ_in_punctuation_across_parts_are_named(concerns):
    frame = texts()
    twins = frame.assign(text=frame.text.str.replace(" ", ", ") + "!")
    said = concerns(pd.concat([frame, twins]))
    one = said["nearly-same-texts-across-parts"]
    assert one.severity == "warning"
    assert one.en.startswith(
        "Test texts that equal a training or validation text but for punctuation, case or spaces: "
    )
    first, second = one.where[0].split(" = ")
    assert abs(int(first.split()[1]) - int(second.split()[1])) == 200


def test_many_cut_texts_are_told_of(concerns):
    said = concerns(texts(), length=10, tokenizer="char")["texts-cut"]
    assert (said.severity, said.en) == (
        "warning",
        "Examples whose ends are cut to fit 10 tokens: 200 (100.0%); what is learnt does not know "
        "them: --length keeps more.",
    )
    assert said.zh == (
        "有 200 个样本（100.0%）的结尾被截断以放入 10 个词元，模型看不到被截去的部分；"
        "可用 --length 保留更多。"
    )


def test_unknown_tokens_are_told_of(concerns):
    frame = texts()
    frame["text"] += [" " + chr(0x4E00 + at) * 4 for at in range(200)]
    said = concerns(frame, tokenizer="char")["unknown-tokens"]
    assert said.en.startswith("Tokens of the test part that the training part never showed: ")
    assert "unknown-tokens" not in concerns(frame, tokenizer="bpe")


def test_texts_without_words_are_told_of(concerns):
    frame = texts()
    frame.loc[::10, "text"] = ["." * at + "!" for at in range(20)]
    said = concerns(frame)["texts-without-words"]
    assert said.en == (
        "Texts without a letter or digit: 20 of 200; make sure that the text is in the column "
        "that was chosen."
    )
    assert said.where[1] == "row 11"


def test_tiny_classes_are_told_of(concerns):
    frame = texts()
    frame.loc[:7, "label"] = "rare"
    assert "tiny-classes" in concerns(frame)


def test_running_text_that_comes_again_in_the_test_is_told_of(opened, tmp_path):
    lines = [
        " ".join(text.split()[:5]) + f" line {at}.\n" for at, text in enumerate(texts(900).text)
    ]
    path = tmp_path / "s.txt"
    path.write_text("".join(lines))
    assert check(opened(path)) == ()
    path.write_text("".join(lines + lines[:300]))
    (said,) = check(opened(path))
    assert (said.kind, said.severity) == ("text-repeated-across-parts", "warning")
    assert said.where[0].startswith("test block ")


def test_rare_tags_are_told_of(opened, tmp_path):
    path = tmp_path / "s.conll"
    path.write_text("".join(f"w{at} O\nx{at} {'T' if at < 5 else 'O'}\n\n" for at in range(60)))
    said = {concern.kind: concern for concern in check(opened(path))}["rare-tags"]
    assert said.en.startswith("Tags of fewer than 10 training words: 1 ('T': ")
    assert said.where == ("T",)

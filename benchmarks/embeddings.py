"""Word and document vectors beside gensim's: seconds per epoch with two workers, and agreement.

    python -m benchmarks.embeddings [--rounds 3] [--words 1000000] [--workers 2]

The text is the source of Python's standard library, lower-cased words, one line a sentence. Each
round trains both for one epoch, counting the vocabulary included and then left out; the ratio is
gensim's seconds over ours, so above 1 ours is ahead. Agreement is the correlation of all
similarities among the 1,000 most frequent words after `--epochs` epochs; gensim with another seed
stands beside it, as the most that can be asked for.
"""

import argparse
import re
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gensim.models import doc2vec as gensim_doc2vec
from gensim.models import word2vec as gensim_word2vec

from assay.embeddings import doc2vec, training, word2vec
from assay.embeddings.compiled import library
from assay.embeddings.doc2vec import Doc2Vec
from assay.embeddings.vocabulary import read
from assay.embeddings.word2vec import Word2Vec
from benchmarks.common import interleave, machine, ratio, save

FREQUENT = 1000
FORMS: dict[str, dict[str, int]] = {
    "CBOW, negative sampling": {"sg": 0, "hs": 0, "negative": 5},
    "CBOW, tree": {"sg": 0, "hs": 1, "negative": 0},
    "skip-gram, negative sampling": {"sg": 1, "hs": 0, "negative": 5},
    "skip-gram, tree": {"sg": 1, "hs": 1, "negative": 0},
}
DOCUMENT_FORMS = {"PV-DM": {"dm": 1}, "PV-DBOW": {"dm": 0}}


def sentences(words: int) -> list[list[str]]:
    """Return the first lines of the standard library, by file name, up to so many words."""
    found: list[list[str]] = []
    folder = Path(sysconfig.get_paths()["stdlib"])
    files = (p for p in sorted(folder.rglob("*.py")) if "site-packages" not in p.parts)
    for file in files:
        for line in file.read_text("utf-8", errors="replace").splitlines():
            sentence = re.findall("[a-z]+", line.lower())
            if sentence:
                found.append(sentence)
                words -= len(sentence)
            if words <= 0:
                return found
    return found


def seconds(work: Callable[[], object]) -> float:
    """Return what a call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def word_epoch(text: list[list[str]], same: dict[str, Any], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of one epoch without counting the vocabulary, by library."""
    settings = {name: value for name, value in same.items() if name != "sg"}
    vocabulary, corpus = read(text, 5)
    theirs = gensim_word2vec.Word2Vec(**same)
    theirs.build_vocab(text)

    def ours() -> float:
        made = training.Settings(epochs=1, **settings)
        return seconds(lambda: word2vec.learned(corpus, vocabulary.counts, made, sg=same["sg"]))

    def gensims() -> float:
        total = theirs.corpus_total_words
        tree = seconds(theirs.create_binary_tree) if theirs.hs else 0.0  # ours is built each time
        return tree + seconds(lambda: theirs.train(text, total_words=total, epochs=1))

    return interleave({"ours": ours, "gensim": gensims}, rounds)


def document_epoch(
    text: list[list[str]], same: dict[str, Any], rounds: int
) -> dict[str, list[float]]:
    """Return the same for documents of a hundred lines."""
    documents = [sum(text[i : i + 100], []) for i in range(0, len(text), 100)]
    settings = {name: value for name, value in same.items() if name != "dm"}
    vocabulary, corpus = read(documents, 5)
    tagged = [gensim_doc2vec.TaggedDocument(d, [i]) for i, d in enumerate(documents)]
    theirs = gensim_doc2vec.Doc2Vec(**same)
    theirs.build_vocab(tagged)

    def ours() -> float:
        made = training.Settings(epochs=1, **settings)
        return seconds(lambda: doc2vec.learned(corpus, vocabulary.counts, made, dm=same["dm"]))

    def gensims() -> float:
        total = theirs.corpus_total_words
        return seconds(
            lambda: theirs.train(tagged, total_examples=len(tagged), total_words=total, epochs=1)
        )

    return interleave({"ours": ours, "gensim": gensims}, rounds)


def agreement(text: list[list[str]], same: dict[str, Any], epochs: int) -> dict[str, float]:
    """Return how ours agrees with gensim, and gensim with itself."""
    ours = Word2Vec(text, **same, epochs=epochs)
    words = ours.wv.words[:FREQUENT]
    rows = [ours.wv.vectors[:FREQUENT]]
    for seed in (1, 2):
        theirs = gensim_word2vec.Word2Vec(text, **same, epochs=epochs, seed=seed)
        rows.append(np.array([theirs.wv[word] for word in words]))
    return agree(rows)


def document_agreement(
    text: list[list[str]], same: dict[str, Any], epochs: int
) -> dict[str, float]:
    """Return the same for documents of a hundred lines."""
    documents = [sum(text[i : i + 100], []) for i in range(0, len(text), 100)]
    tagged = [gensim_doc2vec.TaggedDocument(d, [i]) for i, d in enumerate(documents)]
    epochs = max(epochs, 10)  # before that, documents are mostly what they were drawn as
    rows = [Doc2Vec(documents, **same, epochs=epochs).dv[:FREQUENT]]
    for seed in (1, 2):
        theirs = gensim_doc2vec.Doc2Vec(tagged, **same, epochs=epochs, seed=seed)
        rows.append(theirs.dv.vectors[:FREQUENT])
    return agree(rows)


def agree(rows: list[np.ndarray]) -> dict[str, float]:
    """Return the correlation of similarities: of the first with the second, second with third."""
    units = [r / np.linalg.norm(r, axis=1, keepdims=True) for r in rows]
    upper = np.triu_indices(len(rows[0]), 1)
    ours, theirs, again = ((u @ u.T)[upper] for u in units)
    return {
        "ours with gensim": float(np.corrcoef(ours, theirs)[0, 1]),
        "gensim with gensim": float(np.corrcoef(theirs, again)[0, 1]),
    }


def main() -> None:
    """Print each form's ratio and agreement, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--words", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=3)
    args = parser.parse_args()
    text = sentences(args.words)
    number = sum(map(len, text))
    print(machine(), f"{number:,} words,", "compiled" if library() else "batched")
    facts: dict = {"machine": machine(), "words": number, "workers": args.workers, "forms": {}}
    for name, form in (FORMS | DOCUMENT_FORMS).items():
        same = {**form, "workers": args.workers}
        timed, alike = (
            (document_epoch, document_agreement) if "dm" in form else (word_epoch, agreement)
        )
        taken = timed(text, same, args.rounds)
        facts["forms"][name] = {
            **taken,
            "ratio": vars(ratio(taken["gensim"], taken["ours"])),
            **alike(text, same, args.epochs),
        }
        print(name, facts["forms"][name], flush=True)
    save("embeddings", facts)


if __name__ == "__main__":
    main()

"""Tokenizers, learnt from the training part of a text: single characters, or parts of words.

A tokenizer is kept as plain JSON in the `preprocessing` of a data set and of every artifact:

    {"kind": "char", "characters": "e ta..."}         id 5 is the first of them, 6 the second
    {"kind": "bpe" | "wordpiece" | "unigram", "json": {...}}    as the library tokenizers writes it

No text can write the first five ids: in the vocabularies they are named by a NUL and their string,
and text with a NUL is refused. Byte-level BPE and characters give the text back as it was;
WordPiece and unigram give it back but for white space.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from assay.data.names import shown
from assay.data.ragged import Ragged
from assay.data.tokens import STRINGS, UNKNOWN
from assay.errors import DataError, MissingExtraError

Library = Any  # tokenizers.Tokenizer, which is imported where it is needed
Kind = Literal["char", "bpe", "wordpiece", "unigram"]
KINDS: tuple[Kind, ...] = ("char", "bpe", "wordpiece", "unigram")
SPECIAL = len(STRINGS)  # ids below this are no text
LEAST = {"char": SPECIAL + 1, "bpe": SPECIAL + 256, "wordpiece": 64, "unigram": 64}
LONGEST_WORD = 100  # characters; WordPiece reads a longer one as unknown
PIECE = 8  # characters that a unigram piece may have
UNIGRAM_TEXT = 500_000  # characters that unigram learns from: its time grows faster than the text
STEP = 1e-4  # of the scores that the library gives to characters without a piece
_NAMES = [f"\0{name}" for name in STRINGS]


class Tokenizer(Protocol):
    """Text to ids and back."""

    @property
    def kind(self) -> Kind:
        """How it divides text."""

    @property
    def vocabulary(self) -> int:
        """How many ids there are; the largest is one less."""

    def encode(self, texts: Sequence[str]) -> Ragged:
        """Return the ids of texts, without marks of beginning or end."""

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids; an unknown one is `<unk>`, other marks are left out."""

    def facts(self) -> dict[str, Any]:
        """Return what `open_tokenizer` makes it from, as JSON."""


def train_tokenizer(kind: Kind, texts: Sequence[str], *, vocabulary: int) -> Tokenizer:
    """Return a tokenizer learnt from texts; the same one for the same texts.

    Args:
        kind: How to divide text.
        texts: Of the training part, in pieces of moderate size.
        vocabulary: Ids at most, with the five marks; a small text gives fewer.

    Raises:
        MissingExtraError: The library tokenizers is not installed, and `kind` is not "char".
    """
    if kind == "char":
        return _train_characters(texts, vocabulary)
    return _Subwords(kind, _trained(kind, texts, vocabulary))


def open_tokenizer(facts: Mapping[str, Any]) -> Tokenizer:
    """Return the tokenizer that `facts` describe; nothing is fetched and no code is run.

    Raises:
        DataError: The facts are not those of a tokenizer.
        MissingExtraError: The library tokenizers is not installed, and it is not of characters.
    """
    if facts.get("kind") == "char" and isinstance(facts.get("characters"), str):
        return _Characters(facts["characters"])
    for kind in KINDS[1:]:
        if kind == facts.get("kind"):
            return _Subwords(kind, _read(facts.get("json")))
    raise DataError(
        f"A tokenizer must be of {', '.join(KINDS)}. Received {shown(facts.get('kind'))!r}; train "
        "the model again."
    )


def tokenizer_of(preprocessing: Mapping[str, Any]) -> Tokenizer:
    """Return the tokenizer of prepared text.

    Raises:
        DataError: As `open_tokenizer`; or its vocabulary is not the model's.
        MissingExtraError: The same.
    """
    tokenizer = open_tokenizer(preprocessing["tokenizer"])
    if tokenizer.vocabulary != preprocessing["vocabulary"]:
        raise DataError(
            "The tokenizer and the model must have one vocabulary. They have "
            f"{tokenizer.vocabulary:,} and {preprocessing['vocabulary']:,} tokens; train the model "
            "again."
        )
    return tokenizer


def _read(facts: object) -> Library:
    """Return the library's tokenizer.

    Raises:
        DataError: The library does not take it, or its ids are not 0, 1, 2 and so on.
    """
    lib = _library()
    try:
        library: Library = lib.Tokenizer.from_str(json.dumps(facts))
    except Exception as error:  # the library raises nothing more special
        raise DataError(
            f"A tokenizer cannot be read from its JSON ({shown(error, most=80)}); train the model "
            "again."
        ) from error
    ids = library.get_vocab().values()
    if sorted(ids) != list(range(len(ids))):
        raise DataError(
            "The ids of a tokenizer must be 0, 1, 2 and so on. Some are missing or double; train "
            "the model again."
        )
    return library


class _Characters:
    """One id for each character, by a table over all of Unicode."""

    kind: Kind = "char"

    def __init__(self, characters: str) -> None:
        self._characters = characters
        self._codes = _codes(characters)
        self._table = np.full(0x110000, UNKNOWN, np.int32)
        self._table[self._codes] = np.arange(SPECIAL, SPECIAL + len(characters), dtype=np.int32)

    @property
    def vocabulary(self) -> int:
        return SPECIAL + len(self._characters)

    def encode(self, texts: Sequence[str]) -> Ragged:
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        return Ragged(ids=self._table[_codes("".join(texts))], lengths=lengths)

    def decode(self, ids: Iterable[int]) -> str:
        found = np.fromiter(ids, np.int64)
        pieces = []
        for piece in _between_unknown(found):
            codes = self._codes[piece - SPECIAL].astype("<u4")
            pieces.append(codes.tobytes().decode("utf-32-le", "surrogatepass"))
        return STRINGS[UNKNOWN].join(pieces)

    def facts(self) -> dict[str, Any]:
        return {"kind": "char", "characters": self._characters}


class _Subwords:
    """Parts of words, by the library tokenizers."""

    def __init__(self, kind: Kind, library: Library) -> None:
        self._kind, self._library = kind, library

    @property
    def kind(self) -> Kind:
        return self._kind

    @property
    def vocabulary(self) -> int:
        return self._library.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> Ragged:
        found = self._library.encode_batch_fast(list(texts), add_special_tokens=False)
        return Ragged.of(np.array(each.ids, np.int32) for each in found)

    def decode(self, ids: Iterable[int]) -> str:
        pieces = _between_unknown(np.fromiter(ids, np.int64))
        texts = [self._library.decode(piece.tolist()) for piece in pieces]
        if self.kind == "wordpiece":  # its words are parted by spaces
            return f" {STRINGS[UNKNOWN]} ".join(texts).strip(" ")
        return STRINGS[UNKNOWN].join(texts)

    def facts(self) -> dict[str, Any]:
        return {"kind": self.kind, "json": json.loads(self._library.to_str())}


def _between_unknown(ids: np.ndarray) -> list[np.ndarray]:
    """Return the ids of text between the unknown ones; other marks are left out."""
    ids = ids[(ids == UNKNOWN) | (ids >= SPECIAL)]
    places = np.flatnonzero(ids == UNKNOWN)
    starts, ends = [0, *(places + 1).tolist()], [*places.tolist(), len(ids)]
    return [ids[start:end] for start, end in zip(starts, ends, strict=True)]


def _codes(text: str) -> np.ndarray:
    """Return the numbers of the characters in Unicode."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _train_characters(texts: Sequence[str], vocabulary: int) -> _Characters:
    often = _characters(texts)
    return _Characters("".join(often[: max(1, vocabulary - SPECIAL)]))


def _characters(texts: Sequence[str]) -> list[str]:
    """Return the characters, the most frequent first."""
    counts: Counter[str] = Counter()
    for at in range(0, len(texts), 1000):
        counts.update("".join(texts[at : at + 1000]))
    return sorted(counts, key=lambda character: (-counts[character], character))


def _trained(kind: Kind, texts: Sequence[str], vocabulary: int) -> Library:
    if kind == "bpe":
        library = _train_bpe(texts, vocabulary)
    elif kind == "wordpiece":
        library = _train_wordpiece(texts, vocabulary)
    else:
        library = _train_unigram(texts, vocabulary)
    facts = json.loads(library.to_str())
    facts["added_tokens"] = []  # else a text that writes the name of a mark becomes that mark
    if kind == "unigram":
        facts["model"]["vocab"] = _settled(facts["model"]["vocab"])
    if kind == "wordpiece":
        facts["model"]["vocab"] = _renumbered(facts["model"]["vocab"])
    opened: Library = _library().Tokenizer.from_str(json.dumps(facts))
    return opened


def _train_bpe(texts: Sequence[str], vocabulary: int) -> Library:
    """Return byte-level BPE; a line end ends a piece, so that lines may be read one by one."""
    lib = _library()
    byte_level = lib.pre_tokenizers.ByteLevel(add_prefix_space=False)
    library: Library = lib.Tokenizer(lib.models.BPE())
    lines = lib.pre_tokenizers.Split("\n", "merged_with_previous")
    library.pre_tokenizer = lib.pre_tokenizers.Sequence([lines, byte_level])
    library.decoder = lib.decoders.ByteLevel()
    trainer = lib.trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=2,
        special_tokens=_NAMES,
        initial_alphabet=byte_level.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    return library


def _train_wordpiece(texts: Sequence[str], vocabulary: int) -> Library:
    """Return WordPiece as of BERT, with case and accents kept and Chinese characters alone."""
    lib = _library()
    model = lib.models.WordPiece(unk_token=_NAMES[UNKNOWN], max_input_chars_per_word=LONGEST_WORD)
    library: Library = lib.Tokenizer(model)
    library.normalizer = lib.normalizers.BertNormalizer(strip_accents=False, lowercase=False)
    library.pre_tokenizer = lib.pre_tokenizers.BertPreTokenizer()
    library.decoder = lib.decoders.WordPiece()
    alphabet = [c for c in _characters(texts) if not c.isspace()][: (vocabulary - SPECIAL) // 3]
    inner = [f"##{c}" for c in alphabet if not _stands_alone(c)]  # training numbers these by chance
    trainer = lib.trainers.WordPieceTrainer(
        vocab_size=vocabulary,
        special_tokens=[*_NAMES, *inner],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    return library


def _train_unigram(texts: Sequence[str], vocabulary: int) -> Library:
    lib = _library()
    library: Library = lib.Tokenizer(lib.models.Unigram())
    library.pre_tokenizer = lib.pre_tokenizers.Sequence(
        [lib.pre_tokenizers.Metaspace(), lib.pre_tokenizers.Punctuation("isolated")]
    )
    library.decoder = lib.decoders.Metaspace()
    trainer = lib.trainers.UnigramTrainer(
        vocab_size=vocabulary,
        special_tokens=_NAMES,
        unk_token=_NAMES[UNKNOWN],
        max_piece_length=PIECE,
        show_progress=False,
    )
    rare = _characters(texts)[(vocabulary - SPECIAL) // 2 :]  # every character seen gets an id
    blank = {ord(character): " " for character in rare}
    some = _spread(texts, UNIGRAM_TEXT)
    library.train_from_iterator((text.translate(blank) for text in some), trainer)
    return library


def _spread(texts: Sequence[str], most: int) -> Sequence[str]:
    """Return about `most` characters of the texts, from everywhere."""
    total = sum(map(len, texts))
    return texts[:: -(-total // most)] if total > most else texts


def _settled(pieces: Sequence[tuple[str, float]]) -> list[list[Any]]:
    """Return the pieces of a unigram model, the likeliest first, without what chance decided.

    Threads add numbers in any order, so that the last digits differ. Characters that would have
    no piece get the least score and `STEP` more each, in any order; here in that of Unicode.
    """
    marks, rest = pieces[:SPECIAL], pieces[SPECIAL:]
    least = min((score for _, score in rest), default=0.0)
    late = []
    for piece, score in rest:
        steps = (score - least) / STEP
        if len(piece) == 1 and abs(steps - round(steps)) < 1e-6:
            late.append((piece, score))
    scores = sorted(score for _, score in late)
    fixed = dict(rest) | dict(zip(sorted(piece for piece, _ in late), scores, strict=True))
    order = sorted((-round(score, 6), piece) for piece, score in fixed.items())
    return [[name, 0.0] for name, _ in marks] + [[piece, -score] for score, piece in order]


def _stands_alone(character: str) -> bool:
    """Return whether BERT's division makes a word of this character: Chinese and punctuation."""
    kind = unicodedata.category(character)
    symbol = character.isascii() and not character.isalnum()
    return symbol or kind[0] in "PZC" or "CJK" in unicodedata.name(character, "")


def _renumbered(vocabulary: Mapping[str, int]) -> dict[str, int]:
    """Return the marks, then the pieces in their own order; training numbers them by chance."""
    pieces = sorted(vocabulary.keys() - set(_NAMES))
    return {piece: at for at, piece in enumerate([*_NAMES, *pieces])}


def _library() -> Any:
    try:
        import tokenizers
        import tokenizers.normalizers
        import tokenizers.trainers
    except ImportError as error:
        raise MissingExtraError(
            "A tokenizer of parts of words needs tokenizers, which is not installed: "
            "pip install 'assay[text]', or choose --tokenizer char."
        ) from error
    return tokenizers

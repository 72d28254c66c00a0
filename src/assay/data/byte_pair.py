"""Byte-pair encoding written out: which two neighbours become one symbol, and in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


def learn_merges(words: Mapping[str, int], count: int) -> list[tuple[str, str]]:
    """Return the pairs of symbols to join, in the order in which they were found.

    At each step the most frequent pair of neighbours inside words becomes one symbol; of equal
    ones the pair whose symbols are older, characters being ordered as in Unicode. Training on more
    than a page of text takes `train_tokenizer`, which counts only what a step changes.

    Args:
        words: How often each occurs; characters, or bytes written as characters.
        count: Pairs at most.

    Source:
        Sennrich, Haddow and Birch, 2016, algorithm 1.

    Example:
        >>> learn_merges({"low": 5, "lower": 2, "newest": 6, "widest": 3}, 3)
        [('e', 's'), ('es', 't'), ('l', 'o')]
    """
    divided = {word: list(word) for word in words}
    age = {symbol: at for at, symbol in enumerate(sorted({c for word in words for c in word}))}
    merges: list[tuple[str, str]] = []
    while len(merges) < count:
        pairs: Counter[tuple[str, str]] = Counter()
        for word, symbols in divided.items():
            for pair in zip(symbols, symbols[1:], strict=False):
                pairs[pair] += words[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], age[pair[0]], age[pair[1]]))
        merges.append(best)
        age.setdefault("".join(best), len(age))
        divided = {word: joined(symbols, best) for word, symbols in divided.items()}
    return merges


def joined(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """Return the symbols of a word with a pair of neighbours made one, from the left.

    Args:
        symbols: Of the word.
        pair: What to join.
    """
    found: list[str] = []
    for symbol in symbols:
        if found and (found[-1], symbol) == pair:
            found[-1] += symbol
        else:
            found.append(symbol)
    return found

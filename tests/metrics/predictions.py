"""Predictions to be scored: random ones, and those at which formulas break."""

import numpy as np

Case = tuple[np.ndarray, np.ndarray]


def classified(count: int = 300, classes: int = 5, *, seed: int = 0, sure: float = 1.0) -> Case:
    """Probabilities that know something, and labels; the last class is rare."""
    random = np.random.default_rng(seed)
    weights = np.r_[np.full(classes - 1, 1.0), 0.3]
    truth = random.choice(classes, size=count, p=weights / weights.sum())
    logits = random.normal(size=(count, classes))
    logits[np.arange(count), truth] += 1.5
    odds = np.exp(sure * logits)
    return (odds / odds.sum(1, keepdims=True)).astype(np.float32), truth


def valued(count: int = 300, *, seed: int = 0) -> Case:
    """Values and what was predicted."""
    random = np.random.default_rng(seed)
    truth = random.normal(2, 3, size=count)
    return (truth + random.normal(0.3, 1, size=count)).astype(np.float32), truth.astype(np.float32)


def degenerate() -> dict[str, Case]:
    """Classified examples of three classes."""
    random = np.random.default_rng(1)
    truth = random.integers(3, size=40)
    probs = random.dirichlet(np.ones(3), size=40).astype(np.float32)
    right = np.full((40, 3), 0.05, np.float32)
    right[np.arange(40), truth] = 0.9
    return {
        "all right": (right, truth),
        "all wrong": (np.roll(right, 1, axis=1), truth),
        "a class that is never there": (probs, truth % 2),
        "a class that is never predicted": (probs * np.float32([1, 1, 0.01]), truth),
        "a class neither there nor predicted": (probs * np.float32([1, 1, 0.01]), truth % 2),
        "one answer for all": (np.tile(np.float32([0.2, 0.5, 0.3]), (40, 1)), truth),
        "one example": (probs[:1], truth[:1]),
        "certain": (np.eye(3, dtype=np.float32)[random.integers(3, size=40)], truth),
    }

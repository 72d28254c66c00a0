"""The numbers behind the findings, against SciPy, statsmodels and the definitions."""

import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from statsmodels.stats.multitest import multipletests

from assay.data.check_columns import alone
from assay.data.check_drift import holm, kolmogorov_smirnov
from assay.data.check_images import look, same_pictures
from assay.data.check_labels import suspects_of, suspicious_labels
from assay.errors import BadArgumentError


@pytest.mark.parametrize("shift", [0.0, 0.3, 0.6])
def test_kolmogorov_smirnov_is_scipys(shift):
    numbers = np.random.default_rng(0)
    a, b = numbers.normal(size=400), numbers.normal(shift, 1, 250)
    ours, theirs = kolmogorov_smirnov(a, b), stats.ks_2samp(a, b, method="exact")
    assert ours[0] == pytest.approx(theirs.statistic, abs=1e-12)
    assert ours[1] == pytest.approx(theirs.pvalue, rel=0.1)


def test_kolmogorov_smirnov_keeps_its_level():
    numbers = np.random.default_rng(0)
    ps = [kolmogorov_smirnov(*numbers.normal(size=(2, 150)))[1] for _ in range(1000)]
    assert 0.03 < np.mean(np.array(ps) < 0.05) < 0.065


def test_missing_values_count_in_the_distance():
    a, b = np.arange(100.0), np.arange(100.0)
    b[50:] = np.nan
    assert kolmogorov_smirnov(a, b)[0] == pytest.approx(0.5)


def test_holm_is_statsmodels():
    ps = np.random.default_rng(0).random(30) ** 4
    np.testing.assert_allclose(holm(ps), multipletests(ps, method="holm")[1])


def test_a_column_alone_is_scored_with_each_row_left_out():
    values, y = np.array([0, 0, 0, 1, 1, 1.0]), np.array([0, 0, 1, 1, 1, 0])
    assert alone(values, y, classes=2) == pytest.approx(1 / 3)  # 2 of 3 zeros, no one; ties say 0
    numbers = np.random.default_rng(0)
    noise = numbers.normal(size=1000)
    assert abs(alone(noise, numbers.integers(0, 2, 1000), classes=2) - 0.5) < 0.05
    assert alone(np.arange(1000.0), numbers.normal(size=1000), classes=0) < 0.1
    assert alone(np.arange(1000.0), np.arange(1000.0) ** 2, classes=0) > 0.999


def confident_joint(probs, truth):
    """Return the margin of each off-diagonal example by equations 1 and 2, one at a time."""
    count, found = probs.shape[1], {}
    threshold = [probs[truth == j, j].mean() for j in range(count)]
    for at, (p, t) in enumerate(zip(probs, truth, strict=True)):
        over = [j for j in range(count) if p[j] >= threshold[j]]
        claimed = max(over, key=lambda j: p[j], default=t)  # noqa: B023 - used at once
        if claimed != t and p[t] < p[claimed]:
            found[at] = p[t] - p[claimed]
    return found


def test_suspects_are_those_of_the_confident_joint():
    numbers = np.random.default_rng(0)
    truth = numbers.integers(0, 4, 500)
    sure = np.array([8.0, 4.0, 2.0, 1.0])[truth]  # classes differ in how sure models are of them
    probs = numbers.gamma(0.7 + sure[:, None] * np.eye(4)[truth])
    probs /= probs.sum(axis=1, keepdims=True)
    expected = confident_joint(probs, truth)
    assert 10 < len(expected) < (probs.argmax(axis=1) != truth).sum()
    assert suspects_of(probs, truth).tolist() == sorted(expected, key=expected.get)


def test_planted_label_errors_are_found_among_real_digits():
    x, y = load_digits(return_X_y=True)
    numbers = np.random.default_rng(0)
    wrong = numbers.choice(len(y), 89, replace=False)
    given = y.copy()
    given[wrong] = (y[wrong] + numbers.integers(1, 10, 89)) % 10
    model, folds = KNeighborsClassifier(10, weights="distance"), StratifiedKFold(3, shuffle=True)
    folds.random_state = 0
    probs = cross_val_predict(model, x, given, cv=folds, method="predict_proba")
    found = suspects_of(probs, given)
    assert np.isin(found, wrong).mean() > 0.9
    assert np.isin(wrong, found).mean() > 0.7
    clean = cross_val_predict(model, x, y, cv=folds, method="predict_proba")
    assert len(suspects_of(clean, y)) < 5


def test_sure_and_right_models_suspect_nothing():
    truth = np.arange(60) % 3
    assert suspicious_labels(np.eye(3)[truth], truth, range(60), "abc") == ()


def test_the_concern_names_example_label_and_guess():
    truth = np.arange(60) % 3
    probs = np.full((2, 60, 3), 0.05)
    probs[:, np.arange(60), truth] = 0.9
    probs[:, 7] = [0.9, 0.05, 0.05]  # labelled b
    [concern] = suspicious_labels(probs, truth, [f"x{i}" for i in range(60)], "abc")
    assert concern.where == ("x7: b → a",)
    assert concern.en == (
        "Labels that the models together contradict with confidence: 1 of 60 held-out examples; "
        "look at the first, which are the likeliest to be wrong: x7: b → a."
    )
    assert (concern.kind, concern.severity) == ("suspicious-labels", "note")


@pytest.mark.parametrize(
    ("probs", "truth", "message"),
    [
        (
            np.ones((4, 2)) / 2,
            np.zeros(3, int),
            "`probs` must be (N, K) or (trials, N, K) for N labels. Received shape (4, 2) for 3 "
            "labels; pair them.",
        ),
        (
            np.ones((3, 2)),
            np.zeros(3, int),
            "`probs` must be probabilities that sum to 1 in each row. Received other numbers; "
            "apply the softmax first.",
        ),
        (
            np.ones((3, 2)) / 2,
            np.array([0, 1, 2]),
            "`truth` must be labels in [0, 2). Received 0 to 2; use the order of the classes.",
        ),
    ],
)
def test_what_is_not_probabilities_is_refused(probs, truth, message):
    with pytest.raises(BadArgumentError) as caught:
        suspects_of(probs, truth)
    assert str(caught.value) == message


def test_looks_are_those_of_each_image():
    x = np.random.default_rng(0).integers(0, 256, (7, 3, 20, 24), np.uint8)
    gray = x.mean(axis=1)
    facts = look(x).facts
    np.testing.assert_allclose(facts["brightness"], gray.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(facts["contrast"], gray.std(axis=(1, 2)), rtol=1e-4)
    rough = np.abs(np.diff(gray, axis=2)).mean(axis=(1, 2))
    np.testing.assert_allclose(facts["sharpness"], rough, rtol=1e-5)


def test_a_copy_is_found_among_many_that_look_alike():
    """Five thousand images around ten prototypes; fifty of the test part are dimmed copies."""
    numbers = np.random.default_rng(0)
    prototypes = numbers.normal(size=(10, 1, 4, 4)).repeat(6, 2).repeat(6, 3)
    x = 128 + 30 * prototypes[np.arange(5000) % 10] + 8 * numbers.normal(size=(5000, 1, 24, 24))
    x[4950:] = 0.9 * x[:50] + 5
    x = np.clip(x, 0, 255).astype(np.uint8)
    pairs = same_pictures(x, look(x), test=np.arange(4000, 5000), others=np.arange(4000))
    assert pairs.tolist() == [[4950 + at, at] for at in range(50)]

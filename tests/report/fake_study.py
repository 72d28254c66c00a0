"""A study that looks real: digits, twelve candidates, three seeds, made up in a second."""

# ruff: noqa: E501 - the rows of a table
from __future__ import annotations

import base64
import importlib.util
import io
import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from assay.compare.result import (
    CandidateResult,
    Estimate,
    Hard,
    PairVerdict,
    Recommendation,
    SeedResult,
    StudyResult,
    Tuned,
    TunedSetting,
)
from assay.data.concern import Concern
from assay.engine.spec import Measurement, Plan, Point, Recipe

CLASSES = tuple("0123456789")
#        name, family, accuracy, parameters, MACs, latency ms, seconds to train, learning speed
ROWS = (
    ("resnet18", "cnn", 0.991, 11_172_810, 35_100_000, 3.9, 3.8, 3.0),
    ("whitened_cnn", "cnn", 0.989, 61_200, 1_310_000, 0.21, 1.9, 9.0),
    ("vgg11_bn", "cnn", 0.988, 9_231_114, 9_600_000, 1.7, 3.6, 3.5),
    ("mobilenet_v2", "cnn-mobile", 0.982, 2_236_106, 5_900_000, 3.1, 3.9, 1.8),
    ("vit_tiny", "transformer", 0.978, 2_692_042, 44_900_000, 2.6, 3.7, 2.2),
    ("mixer_s16", "mlp", 0.976, 1_830_442, 29_000_000, 1.4, 3.5, 2.6),
    ("lenet5", "cnn", 0.975, 44_426, 282_000, 0.11, 1.6, 6.0),
    ("transformer_encoder", "transformer", 0.969, 405_514, 3_210_000, 0.55, 2.9, 2.5),
    ("mlp", "mlp", 0.968, 50_954, 50_816, 0.052, 1.2, 8.0),
    ("gru", "rnn", 0.962, 103_434, 812_000, 0.33, 3.3, 1.9),
    ("lstm", "rnn", 0.958, 136_714, 1_080_000, 0.36, 3.4, 1.7),
    ("softmax_regression", "linear", 0.943, 650, 640, 0.021, 0.9, 10.0),
)


def estimate(values: np.ndarray) -> Estimate:
    spread = 1.96 * np.sqrt(values.mean() * (1 - values.mean()) / values.shape[1] + 1e-6)
    low, high = values.mean() - spread, min(1.0, values.mean() + 0.8 * spread)
    return Estimate(float(values.mean()), float(low), float(high))


def curve(rng: np.random.Generator, top: float, speed: float, seconds: float) -> tuple[Point, ...]:
    points = []
    for k in range(1, 21):
        score = top - (top - 0.1) * np.exp(-speed * k / 20 * 1.6) + rng.normal(0, 0.006)
        loss = float(2.3 * (1 - score) + 0.05)
        points.append(
            Point(
                step=20 * k,
                seconds=seconds * k / 20,
                train_loss=loss * 0.9,
                val_loss=loss,
                val_score=float(np.clip(score, 0, 1)),
            )
        )
    return tuple(points)


def confusion(rng: np.random.Generator, share: float, classes: int) -> tuple[tuple[int, ...], ...]:
    per = 810 // classes + 1
    matrix = np.zeros((classes, classes), int)
    habits = rng.dirichlet(np.full(classes, 0.4), classes)
    for truth in range(classes):
        wrong = rng.binomial(per, 1 - share)
        missed = rng.multinomial(wrong, habits[truth])
        missed[truth] = 0
        matrix[truth] = missed
        matrix[truth, truth] = per - missed.sum()
    return tuple(tuple(int(v) for v in row) for row in matrix)


@cache
def pictures() -> list[str]:
    package = importlib.util.find_spec("sklearn")
    assert package
    assert package.origin
    file = Path(package.origin).parent / "datasets/data/digits.csv.gz"
    rows = np.loadtxt(file, delimiter=",", max_rows=60, dtype=np.uint8)
    return [encoded(row[:64].reshape(8, 8) * 15) for row in rows]


def encoded(image: np.ndarray) -> str:
    held = io.BytesIO()
    Image.fromarray(image).save(held, "PNG")
    return base64.b64encode(held.getvalue()).decode()


def verdicts(right: dict[str, np.ndarray]) -> tuple[PairVerdict, ...]:
    names, found = list(right), []
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            gap = right[a].mean(0) - right[b].mean(0)
            error = gap.std() / np.sqrt(len(gap)) + 0.002
            z = gap.mean() / error
            p = float(np.exp(-0.717 * abs(z) - 0.416 * z * z))  # close to the normal tail
            p_holm = min(1.0, p * 30)
            word = "not distinguishable" if p_holm > 0.05 else "better" if z > 0 else "worse"
            low, high = gap.mean() - 1.96 * error, gap.mean() + 1.96 * error
            numbers = [float(v) for v in (gap.mean(), low, high)]
            chance = 1 - p / 2 if z > 0 else p / 2
            found.append(PairVerdict(a=a, b=b, difference=numbers[0], low=numbers[1], high=numbers[2],
                                     p=p, p_holm=p_holm, verdict=word, better=chance,
                                     loss=float(max(-gap.mean(), 0) + 0.4 * error * p)))  # fmt: skip
    return tuple(found)


def candidate(rng, rank, row, right, seeds, classes) -> CandidateResult:
    name, family, top, parameters, macs, latency, seconds, speed = row
    results = tuple(
        SeedResult(
            seed=s,
            hash=f"{abs(hash((name, s))):016x}"[:16],
            status="finished",
            score=float(right[s].mean()),
            metrics={"test_accuracy": float(right[s].mean()), "val_accuracy": top},
            train_seconds=seconds,
            samples_per_second=400 * 64 / seconds,
            steps=400,
            best_step=360,
            curve=curve(rng, top, speed, seconds),
        )
        for s in range(seeds)
    )
    adaptation = {}
    if family in ("rnn", "transformer") and "vit" not in name:
        adaptation = {"en": "reads each image as 8 rows of 8 pixels",
                      "zh": "把每张图像读作 8 行、每行 8 个像素"}  # fmt: skip
    elif parameters > 1e6:
        adaptation = {"en": "small-image stem: 3×3 with stride 1 and no pooling",
                      "zh": "小图像起始层：3×3、步幅 1、无池化"}  # fmt: skip
    return CandidateResult(
        name=name, family=family, adaptation=adaptation, rank=rank, score=estimate(right),
        metrics={"test_accuracy": float(right.mean()), "test_log_loss": 0.11}, seeds=results,
        cost=Measurement(parameters=parameters, macs=macs, latency_p50_ms=latency,
                         latency_p95_ms=latency * 1.3, throughput=5200 / latency,
                         artifact_bytes=parameters * 4 + 4000, peak_memory_bytes=310_000_000 + parameters * 18,
                         energy_proxy_mj=macs * 4.6e-9 + parameters * 6.4e-7),
        train_seconds=seconds, samples_per_second=400 * 64 / seconds,
        confusion=confusion(rng, top, classes),
        recipe=vars(Recipe(lr=0.1 if family == "cnn" else 2e-3, optimizer="sgd" if family == "cnn" else "adamw",
                           clip=1.0 if family == "rnn" else None)),
        plan=json.loads(json.dumps(vars(Plan(precision="bf16" if parameters > 1e6 else "fp32", step_seconds=seconds / 400,
                       memory_format="channels_last" if family.startswith("cnn") else "contiguous")))),
    )  # fmt: skip


@cache
def study(
    rows=ROWS, seeds: int = 3, classes: tuple[str, ...] = CLASSES, examples: int = 270
) -> StudyResult:
    rng = np.random.default_rng(7)
    difficulty = rng.beta(0.25, 5, examples)
    right = {}
    for row in rows:
        miss = difficulty / difficulty.mean() * (1 - row[2])
        right[row[0]] = (rng.random((seeds, examples)) > np.clip(miss, 0, 0.95)).astype(float)
    rows = sorted(rows, key=lambda row: -right[row[0]].mean())
    right = {row[0]: right[row[0]] for row in rows}
    found = [
        candidate(rng, k, row, right[row[0]], seeds, len(classes)) for k, row in enumerate(rows, 1)
    ]
    chosen = next((c.name for c in found if c.name == "whitened_cnn"), found[0].name)
    found = [replace(c, recommended=c.name == chosen) for c in found]
    hardest = tuple(
        Hard(id=f"image {13 * k + 5}", truth=classes[k % len(classes)],
             predicted=classes[(k * 3 + 1) % len(classes)], wrong=1 - k / 30, png=png)
        for k, png in enumerate(pictures()[:18])
    )  # fmt: skip
    return StudyResult(
        id="5f3a9c1e7b20d84c", created="2026-03-14T09:26:53+00:00", command="assay compare digits --seeds 3",
        data={
            "name": "digits", "source": "built in", "task": "image-classification", "inputs": [1, 8, 8],
            "classes": list(classes), "sizes": {"train": 1257, "val": 270, "test": 270},
            "content_hash": "9d1f" * 16, "split_hash": "41c7" * 16, "split_seed": 0,
            "notes": [{"en": "2 exact duplicates are kept on one side of the division.",
                       "zh": "2 个完全重复的样本被放在划分的同一侧。"}],
        },
        metric="accuracy", higher_is_better=True, budget="auto", planned_steps=(400, 12000),
        candidates=tuple(found), verdicts=verdicts(right),
        recommendation=Recommendation(
            candidate=chosen, prefer="latency",
            why={"en": f"{chosen} is the cheapest by latency (0.21 ms) of the 4 candidates that no other "
                       "has been shown to beat; resnet18 scores 0.2 points more, which these data cannot "
                       "tell from chance, and takes 19 times as long.",
                 "zh": f"{chosen} 是未被证明劣于任何候选的 4 个网络中延迟最低的（0.21 毫秒）；resnet18 高 0.2 个"
                       "百分点，但这些数据无法将其与偶然区分，且耗时为其 19 倍。"}),
        hardest=hardest,
        settings={"models": None, "family": None, "seeds": seeds, "budget": "auto", "prefer": "latency",
                  "require": [], "precision": "auto", "autotune": True, "workers": 2, "split_seed": 0,
                  "patience": 10, "evaluations": 20},
        versions={"assay": "0.1.0", "python": "3.11.2", "torch": "2.15.0", "numpy": "2.4.1"},
        machine={"cpu": "Intel(R) Xeon(R) Platinum 8481C", "cores": 2, "memory": 16_600_000_000,
                 "system": "Linux 6.1 x86_64", "load": 0.21},
        seconds=83.2, trials_run=len(rows) * seeds, folder="assay-runs/runs/5f3a9c1e7b20d84c",
    )  # fmt: skip


HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "=1+1",
    "</script><script>alert(2)</script>",
    "$\\frac{1}$ & [red]bold[/red] {{7*7}} %{x} <b>b</b>",
    "\x1b[31mred\x1b[0m\u202eevil",
    "长名字" * 40,
    "@SUM(A1)'\"",
)


@cache
def hostile() -> StudyResult:
    """The same study with names, classes, ids and texts that try to break out."""
    names = dict(zip([r[0] for r in ROWS], HOSTILE, strict=False))
    rows = tuple((names.get(r[0], r[0]), *r[1:]) for r in ROWS)
    classes = (*HOSTILE, "7", "8", "9")
    made = evident(study(rows, classes=classes))
    bad = "".join(HOSTILE)
    both = {"en": bad, "zh": bad}
    return replace(
        made,
        concerns=tuple(replace(c, en=bad, zh=bad, where=HOSTILE) for c in CONCERNS),
        baselines=tuple(replace(c, label=both, adaptation=both) for c in made.baselines),
        against=both,
        resolution=both,
        next_hour=both,
        race=both,
        dropped={made.candidates[-2].name: both},
        tuning=(tuned(HOSTILE[0], 1),),
        command=f"assay compare '{HOSTILE[0]}'",
        budget=HOSTILE[2],
        data={**made.data, "name": HOSTILE[0], "source": bad, "notes": [{"en": bad, "zh": bad}]},
        hardest=tuple(replace(h, id=HOSTILE[k % 7]) for k, h in enumerate(made.hardest)),
        candidates=(
            *made.candidates[:-1],
            replace(
                made.candidates[-1],
                score=None,
                cost=None,
                confusion=(),
                seeds=(SeedResult(seed=0, hash="0" * 16, status="failed", reason=bad),),
            ),
        ),
        recommendation=replace(
            made.recommendation,
            candidate=made.candidates[0].name,
            why={"en": bad, "zh": bad},
            excluded={HOSTILE[1]: HOSTILE[0]},
        ),
        settings={**made.settings, HOSTILE[0]: HOSTILE[2]},
        machine={**made.machine, "cpu": bad},
        versions={**made.versions, HOSTILE[0]: bad},
    )


@cache
def regression() -> StudyResult:
    """House prices: RMSE, lower is better, no classes, no images, one failed candidate."""
    made = study(ROWS[6:])
    found = []
    for c in made.candidates:
        seeds = tuple(replace(s, score=60 * (1.2 - s.score), metrics={"test_rmse": 60 * (1.2 - s.score)})
                      for s in c.seeds)  # fmt: skip
        mean = 60 * (1.2 - c.score.mean)
        found.append(
            replace(c, score=Estimate(mean, mean - 0.9, mean + 1.1), seeds=seeds, confusion=())
        )
    broken = SeedResult(seed=0, hash="0" * 16, status="failed", reason="diverged at step 12")
    found[-1] = replace(found[-1], score=None, cost=None, seeds=(broken,))
    pairs = tuple(replace(v, difference=v.difference * 60, low=v.low * 60, high=v.high * 60)
                  for v in made.verdicts if found[-1].name not in (v.a, v.b))  # fmt: skip
    hardest = tuple(replace(h, id=f"row {k}", truth=f"{30 + k}", predicted=f"{k}.5", wrong=30.0 - k, png="")
                    for k, h in enumerate(made.hardest))  # fmt: skip
    return replace(
        made, metric="rmse", higher_is_better=False, candidates=tuple(found), verdicts=pairs, hardest=hardest,
        data={**made.data, "name": "houses.csv", "task": "tabular-regression", "inputs": [13], "classes": []},
        command="assay compare houses.csv --target price",
    )  # fmt: skip


OPPONENTS = [  # name, labels, accuracy, seconds
    ("baseline:svm", "RBF SVM", "高斯核支持向量机", 0.979, 0.31),
    ("baseline:neighbours", "nearest neighbours", "最近邻", 0.971, 0.04),
    ("baseline:logistic", "logistic regression", "逻辑回归", 0.953, 0.22),
    ("baseline:linear-svm", "linear SVM", "线性支持向量机", 0.947, 0.35),
    ("baseline:majority", "the most frequent class", "多数类", 0.104, 0.001),
]


def opponent(place: int, row: tuple, score: Estimate) -> CandidateResult:
    name, en, zh, _, seconds = row
    seed = SeedResult(seed=0, hash="b" * 16, status="finished", score=score.mean, steps=1)
    saw = {"en": "Learned from 1,000 of 1,257 training examples.",
           "zh": "只用了 1,257 个训练样本中的 1,000 个。"} if place == 1 else {}  # fmt: skip
    return CandidateResult(
        name=name, family="baseline", label={"en": en, "zh": zh}, adaptation=saw, rank=place, score=score,
        metrics={}, seeds=(seed,), cost=None, train_seconds=seconds, samples_per_second=1000.0,
    )  # fmt: skip


def opposed(made: StudyResult, shift: float = 0.0) -> StudyResult:
    """The same study with opponents; a higher `shift` makes them better."""
    rows, found = [], []
    for place, row in enumerate(OPPONENTS, 1):
        mean = min(row[3] + shift, 0.999)
        rows.append(opponent(place, row, Estimate(mean, mean - 0.012, min(mean + 0.01, 1))))
        for c in made.candidates:
            gap = c.score.mean - mean
            word = "better" if gap > 0.008 else "worse" if gap < -0.008 else "not distinguishable"
            found.append(PairVerdict(a=c.name, b=row[0], difference=gap, low=gap - 0.012, high=gap + 0.012,
                                     p=0.01, p_holm=0.03, verdict=word, better=0.5 + 0.4 * np.sign(gap),
                                     loss=max(-gap, 0) + 0.001))  # fmt: skip
    if shift > 0:
        against = {
            "en": "No network has been shown to beat every simple opponent: the best of them, resnet18, cannot be "
                  "told apart from RBF SVM, so use RBF SVM or give the networks more data or a larger budget.",
            "zh": "没有网络被证明胜过所有简单对手：其中最好的 resnet18 与高斯核支持向量机无法区分；"
                  "请直接使用高斯核支持向量机，或给网络更多数据、更大预算。"}  # fmt: skip
    else:
        against = {"en": "resnet18, whitened_cnn and vgg11_bn beat every simple opponent, the best of which is RBF SVM.",
                   "zh": "resnet18、whitened_cnn、vgg11_bn 胜过所有简单对手（其中最好的是高斯核支持向量机）。"}  # fmt: skip
    return replace(made, baselines=tuple(rows), against_baselines=tuple(found), against=against)


CONCERNS = (
    Concern(kind="duplicates-across-parts", severity="error", where=("image 17", "image 402"),
            en="2 test examples are also in the training part, so the scores are too high; remove them.",
            zh="有 2 个测试样本也在训练集中，因此得分偏高；请删除它们。"),
    Concern(kind="jump", severity="warning", where=("vit_tiny seed 1",),
            en="The validation score of vit_tiny, seed 1, jumped by 31 points within one evaluation; look at "
               "its curve.",
            zh="vit_tiny 种子 1 的验证得分在一次评估内跳变 31 个百分点；请查看其曲线。"),
    Concern(kind="imbalance", severity="note",
            en="The largest class has 1.1 times as many examples as the smallest.",
            zh="最大类的样本数是最小类的 1.1 倍。"),
    Concern(kind="baselines-cut", severity="note", where=("baseline:svm",),
            en="RBF SVM learned from 1,000 of 1,257 training examples; with all of them it may do better.",
            zh="高斯核支持向量机只用了 1,257 个训练样本中的 1,000 个；用全部样本时可能更好。"),
)  # fmt: skip


def tuned(name: str, place: int, settings: int = 9) -> Tuned:
    rng = np.random.default_rng(place)
    found = []
    for k in range(settings):
        rung = 2 if k == place % 3 else 1 if k < 3 else 0
        found.append(TunedSetting(
            number=k, knobs={"lr": 0.002, "weight_decay": float(10 ** rng.uniform(-5, -2)), "reach": 0.125},
            lr=0.002 * (1 if k == 0 else float(rng.lognormal())), batch_size=64 if k < 5 else 128, rung=rung,
            steps=44 * 3**rung, seconds=0.4 * 3**rung, score=0.9 + 0.02 * rung + 0.01 * float(rng.random()),
        ))  # fmt: skip
    found[-1] = replace(found[-1], score=float("-inf"), reason="diverged at step 12")
    return Tuned(candidate=name, chosen=place % 3, scaling="square root", shares=(1 / 9, 1 / 3, 1.0),
                 settings=tuple(found))  # fmt: skip


def evident(made: StudyResult | None = None, shift: float = 0.0) -> StudyResult:
    """A study with everything that stands behind a ranking."""
    made = opposed(made or study(), shift)
    last = made.candidates[:7] + tuple(replace(c, seeds=c.seeds[:2]) for c in made.candidates[7:])
    return replace(
        made,
        candidates=last if len(made.candidates[0].seeds) > 2 else made.candidates,
        concerns=CONCERNS,
        resolution={
            "en": "With 270 test examples and 3 seeds, differences under 2.1 points cannot be seen; 12 more seeds "
                  "or 900 more examples would show 1 point.",
            "zh": "用 270 个测试样本和 3 个种子，看不出 2.1 个百分点以下的差异；再加 12 个种子或 900 个样本，就能看出 1 个"
                  "百分点的差异。"},
        next_hour={
            "en": "Another hour, 22 more seeds each, would most likely decide resnet18 against mobilenet_v2 (64%).",
            "zh": "再用一小时（每个再加 22 个种子），最可能分出 resnet18 与 mobilenet_v2 的高下（64%）。"},
        race={"en": "The race is over: the better mean of resnet18 is within chance, and up to 10 seeds each would "
                    "most likely not show it to beat whitened_cnn.",
              "zh": "竞赛结束：resnet18 的均值虽更好，但差异在偶然范围之内，即使每个增加到 10 个种子也很可能无法证明它优于 "
                    "whitened_cnn。"},
        dropped={c.name: {"en": "after 2 seeds whitened_cnn has been shown to beat it",
                          "zh": "经 2 个种子，已证明 whitened_cnn 优于它"} for c in made.candidates[7:]},
        tuning=tuple(tuned(c.name, k) for k, c in enumerate(made.candidates)),
    )  # fmt: skip


@cache
def by_log_loss() -> StudyResult:
    """Classification judged by a metric that is no share, smaller being better."""
    made = evident()
    found = tuple(
        replace(
            c,
            score=Estimate(*(4 * (1 - v) for v in (c.score.mean, c.score.high, c.score.low))),
            seeds=tuple(replace(s, score=4 * (1 - s.score)) for s in c.seeds),
        )
        for c in made.candidates
    )
    rows = tuple(
        replace(c, score=Estimate(*(4 * (1 - v) for v in (c.score.mean, c.score.high, c.score.low))))
        for c in made.baselines
    )  # fmt: skip
    return replace(
        made, metric="log-loss", higher_is_better=False, candidates=found, baselines=rows,
        settings={**made.settings, "confidence": 0.9, "correction": "bh", "metric": "log-loss"},
    )  # fmt: skip


@cache
def large(candidates: int = 50, seeds: int = 10) -> StudyResult:
    """As large as a study gets: for size and speed."""
    rows = tuple((f"{ROWS[k % 12][0]}_{k}", *ROWS[k % 12][1:]) for k in range(candidates))
    made = study(rows, seeds, examples=10_000)
    return replace(evident(made), candidates=made.candidates)

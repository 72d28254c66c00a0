"""What a user asks of a study, checked at once, as plain values that can be stored and repeated."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from assay.compare.margin import check_margin
from assay.compare.pretraining import TUNES, Tune
from assay.compare.recommend import CHOICES
from assay.compare.requirement import Requirement, parse_requirement
from assay.engine.budget import Budget, parse_budget
from assay.errors import BadArgumentError, nearest

PRECISIONS = ("auto", "fp32", "bf16")
ACCELERATORS = ("cpu", "cuda")
LANGUAGES = ("en", "zh")
MOST_SEEDS = 1000
CORRECTIONS = ("holm", "bh", "none")
MOST_SPLITS = 100
TOKENIZERS = ("auto", "char", "bpe", "wordpiece", "unigram")
SHOWN_ONLY = (  # change what is shown, no trial
    "prefer",
    "margin",
    "require",
    "store",
    "workers",
    "lang",
    "metric",
    "confidence",
    "correction",
    "executor",
)


@dataclass(frozen=True, kw_only=True)
class Request:
    """Every option of a study; the defaults of the command line and of Python are these.

    Attributes:
        data: digits, fashion-mnist, a folder or a file.
        models: Candidates by name; None takes those that the cards propose.
        family: Only this family of the cards' proposals.
        pretrained: Start from published weights, and what learns then: full, head, frozen or
            gradual; None starts at random. Proposals without such weights do not take part.
        seeds: Trials of each candidate.
        budget: Of each trial: 30s, 2000steps, 20epochs, 1e13flops or auto.
        task: Overrides what the data look like.
        target: The column to predict, for tables.
        prefer: The cost by which the recommended candidate is the cheapest of those that nothing
            has been shown to beat and that are within the margin of the best mean, or score for
            the best mean.
        margin: How far below the best mean it may be: "0.3%" is 0.3 points of a share such as
            accuracy, 0.3 % of the best score of any other metric; "0.003" is in the metric's
            unit; None is 0.3 points, or 1 %.
        require: What a recommended candidate must keep: "latency<5ms".
        store: Folder or URL of the records; None is assay-runs/ beside the data.
        precision: auto, fp32 or bf16.
        autotune: Whether the way of computing is chosen by a short measurement.
        workers: Trials at once; None is one for each core, 0 runs them in this process.
        data_dir: Where fashion-mnist's files are.
        skip_bad: Leave unreadable images out, for every candidate alike, instead of stopping.
        split_seed: Of the division into training, validation and test parts.
        patience: Evaluations without improvement before a trial stops; None is never.
        evaluations: Of one trial on the validation part.
        lang: Of the report: en or zh.
        metric: What candidates are ranked by: auto, a name of `metrics`, or file.py:function.
        tune: Settings tried for each candidate, the card's default among them; None tries no other.
        until: When to end: "decided", a time such as "30m", or "decided or 30m"; seeds are then
            added one by one, and `seeds` is the first round's.
        confidence: Of intervals and verdicts, in (0.5, 1).
        correction: Of the p values for their number: holm, bh (Benjamini-Hochberg) or none.
        splits: Divisions of the data, each a comparison of its own, joined by a corrected test.
        baselines: Whether simple opponents take part: the majority, linear models, neighbours.
        group: Column of a table whose equal values never fall into two parts.
        time: Column of a table by which the latest rows become the test part.
        text: Column that holds the text.
        tokenizer: auto, char, bpe, wordpiece or unigram.
        vocabulary: Tokens to choose from, at most; None is decided by the data.
        length: Tokens of an example, at most; None is decided by the data.
        series: Column that says to which series a row belongs.
        window: Steps that a forecast sees; None is decided by the data.
        horizon: Steps that it predicts; None is decided by the data.
        executor: Where trials run: local, or ray with an address such as ray://host:10001.
        devices: Processes on each host that share one training.
        nodes: Hosts that share one training.
        strategy: How they share it: ddp, or fsdp, which divides the weights, too.
        accelerator: What trains: cpu, or cuda, a graphics card. Costs such as latency are always
            the processor's.
    """

    data: str
    models: tuple[str, ...] | None = None
    family: str | None = None
    pretrained: Tune | None = None
    seeds: int = 3
    budget: str = "auto"
    task: str | None = None
    target: str | None = None
    prefer: str = "latency"
    margin: str | float | None = None
    require: tuple[str, ...] = ()
    store: str | None = None
    precision: str = "auto"
    autotune: bool = True
    workers: int | None = None
    data_dir: str | None = None
    skip_bad: bool = False
    split_seed: int = 0
    patience: int | None = 10
    evaluations: int = 20
    lang: Literal["en", "zh"] = "en"
    metric: str = "auto"
    tune: int | None = None
    until: str | None = None
    confidence: float = 0.95
    correction: Literal["holm", "bh", "none"] = "holm"
    splits: int = 1
    baselines: bool = True
    group: str | None = None
    time: str | None = None
    text: str | None = None
    tokenizer: Literal["auto", "char", "bpe", "wordpiece", "unigram"] = "auto"
    vocabulary: int | None = None
    length: int | None = None
    series: str | None = None
    window: int | None = None
    horizon: int | None = None
    executor: str = "local"
    devices: int = 1
    nodes: int = 1
    strategy: Literal["ddp", "fsdp"] = "ddp"
    accelerator: Literal["cpu", "cuda"] = "cpu"

    def __post_init__(self) -> None:
        parse_budget(self.budget)
        for text in self.require:
            parse_requirement(text)
        _at_least("seeds", self.seeds, 1)
        _at_most("seeds", self.seeds, MOST_SEEDS)
        _at_least("evaluations", self.evaluations, 1)
        if self.workers is not None:
            _at_least("workers", self.workers, 0)
        if self.patience is not None:
            _at_least("patience", self.patience, 1)
        _one_of("prefer", self.prefer, CHOICES)
        if self.margin is not None:
            check_margin(self.margin)
        _one_of("precision", self.precision, PRECISIONS)
        _one_of("lang", self.lang, LANGUAGES)
        _one_of("correction", self.correction, CORRECTIONS)
        _one_of("tokenizer", self.tokenizer, TOKENIZERS)
        for name, least in (("vocabulary", 6), ("length", 2), ("window", 1), ("horizon", 1)):
            value = getattr(self, name)
            if value is not None:
                _at_least(name, value, least)
        _at_least("splits", self.splits, 1)
        _at_most("splits", self.splits, MOST_SPLITS)
        self._check_methods()
        self._check_place()
        if not 0.5 < self.confidence < 1:
            raise BadArgumentError(
                "`confidence` must lie between 0.5 and 1, such as 0.95. "
                f"Received confidence={self.confidence!r}."
            )
        if self.pretrained is not None:
            _one_of("pretrained", self.pretrained, tuple(TUNES))

    def _check_methods(self) -> None:
        """Check what modules of their own have to say, which are imported only where asked for."""
        if self.executor != "local":
            from assay.engine.ray_address import parse_executor

            if parse_executor(self.executor) is not None and self.workers == 0:
                raise BadArgumentError(
                    "`workers` must be at least 1 on a cluster. Received workers=0 with "
                    f"executor={self.executor!r}; leave one of them out."
                )
        if self.tune is not None:
            from assay.compare.tuning import check_tune

            check_tune(self.tune)
        if self.until is not None:
            from assay.compare.racing import parse_until

            parse_until(self.until)

    def _check_place(self) -> None:
        """Check what trainings are to be shared by, if they are."""
        from assay.engine.place import check_devices

        check_devices(self.devices, self.nodes, self.strategy)
        if self.accelerator not in ACCELERATORS:
            raise BadArgumentError(
                "`accelerator` must be cpu, or cuda for a graphics card. "
                f"Received accelerator={self.accelerator!r}."
            )
        if self.accelerator != "cpu":
            self._check_accelerator()
        if self.devices * self.nodes > 1 and self.executor != "local":
            raise BadArgumentError(
                "`executor` spreads trials that each run in one process. Received "
                f"executor={self.executor!r} with devices={self.devices} and nodes={self.nodes}; "
                "leave one of them out."
            )

    def _check_accelerator(self) -> None:
        """Check what a graphics card cannot be combined with."""
        from assay.engine.ray_address import parse_executor

        if self.devices * self.nodes > 1:
            raise BadArgumentError(
                "`accelerator` cuda trains each network on one graphics card. Received "
                f"devices={self.devices} and nodes={self.nodes}; leave one of them out."
            )
        if self.workers == 0:
            raise BadArgumentError(
                "`workers` must be at least 1 with `accelerator` cuda, where each trial needs a "
                "process of its own. Received workers=0; leave it out."
            )
        cluster = parse_executor(self.executor)
        if cluster is not None and not cluster.gpus:
            raise BadArgumentError(
                "`accelerator` cuda needs graphics cards of the cluster. Received "
                f"executor={self.executor!r}, which asks for none; add gpus=1 or a fraction, such "
                "as ray?gpus=0.25."
            )

    @property
    def limit(self) -> Budget:
        """The budget of a trial."""
        return parse_budget(self.budget)

    @property
    def requirements(self) -> list[Requirement]:
        """What a recommended candidate must keep."""
        return [parse_requirement(text) for text in self.require]

    @property
    def deciding(self) -> dict[str, Any]:
        """The options that decide which trials are run and how."""
        named = ("data", "models", "family", "data_dir")  # the data and candidates speak for these
        return {k: v for k, v in self.as_json().items() if k not in (*SHOWN_ONLY, *named)}

    def as_json(self) -> dict[str, Any]:
        """Return the options as JSON values."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Request:
        """Return the request that `as_json` wrote; options of other versions are left out."""
        known = {f.name for f in fields(cls)}
        values: dict[str, Any] = {}
        for name in known & set(facts):
            value = facts[name]
            values[name] = tuple(value) if isinstance(value, list) else value
        return cls(**values)

    def command(self) -> str:
        """Return the command line that asks the same."""
        words = ["assay", "compare", self.data]
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name != "data" and value != f.default:
                words += _words(f.name, value)
        return shlex.join(words)


def _words(name: str, value: Any) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    if name in ("autotune", "baselines"):
        return [f"--no-{name}"]
    if name == "require":
        return [word for text in value for word in (option, text)]
    if value is True:
        return [option]
    if value is None:  # only patience has a default that None turns off
        return [option, "none"]
    return [option, ",".join(value) if isinstance(value, tuple) else str(value)]


def _at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise BadArgumentError(
            f"`{name}` must be a whole number of at least {least}. Received {name}={value!r}."
        )


def _at_most(name: str, value: int, most: int) -> None:
    if value > most:
        raise BadArgumentError(f"`{name}` must be at most {most}. Received {name}={value}.")


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadArgumentError(
            f"`{name}` must be one of {', '.join(allowed)}. "
            f"Received {name}={value!r}.{nearest(str(value), allowed)}"
        )

"""Every word of the reports, in English and Chinese."""

from typing import Any

from assay.errors import BadArgumentError

LANGUAGES = ("en", "zh")
TEXT: dict[str, tuple[str, str]] = {
    # the page
    "title": ("Assay: {name}", "Assay：{name}"),
    "subtitle": (
        "{candidates} candidates × {seeds} seeds on {name}",
        "{name}：{candidates} 个候选 × {seeds} 个种子",
    ),
    "skip": ("To the ranking", "跳到排名"),
    "theme": ("Light or dark", "浅色或深色"),
    "recommended": ("Recommended", "推荐"),
    "no_recommendation": ("No recommendation", "没有推荐"),
    "files": ("Files", "文件"),
    "noscript": (
        "The charts need JavaScript, which is off here; the tables and the PNG plots beside this "
        "page show the same.",
        "图表需要 JavaScript，此处已关闭；页面中的表格和同目录下的 PNG 图给出相同内容。",
    ),
    "old_browser": (
        "This browser is too old to draw the charts; the PNG plots beside this page show the same.",
        "浏览器版本过旧，无法绘制图表；同目录下的 PNG 图给出相同内容。",
    ),
    # sections
    "ranking": ("Ranking", "排名"),
    "removals": ("What removing an idea did", "去掉某个设计的影响"),
    "cost": ("Quality against cost", "质量与代价"),
    "curves": ("Learning curves", "学习曲线"),
    "verdicts": ("Which differences are real", "哪些差异是真实的"),
    "confusion": ("What is taken for what", "混淆矩阵"),
    "hardest": ("Hardest examples", "最难的样本"),
    "adapted": ("What was adapted", "做了哪些适配"),
    "settings": ("Every setting", "全部设置"),
    "origin": ("Data, machine, versions", "数据、机器与版本"),
    "failures": ("Failed trials", "失败的试验"),
    # explanations
    "ranking_about": (
        "Mean {metric} on the test part over seeds, with its {level} interval; each dot is a seed. "
        "The dashed line is the recommended candidate.",
        "测试集上各种子的平均{metric}及其 {level} 区间；每个点是一个种子。虚线是被推荐的候选。",
    ),
    "ranking_costs": (
        "Costs are of one thread on this machine.",
        "代价均在本机以单线程测得。",
    ),
    "one_seed": (
        "There is one seed only: the intervals hold the chance in the examples, not the chance in "
        "training, so a difference between two candidates may be luck.",
        "只有一个种子：区间只反映样本的随机性，"
        "不反映训练的随机性，因此候选之间的差异可能只是运气。",
    ),
    "cost_about": (
        "Up and to the left is better. The line joins the candidates that no other beats on both "
        "axes (the Pareto front); bars are {level} intervals.",
        "越靠左上越好。折线连接的候选在两个坐标轴上没有被任何其他候选同时超过（"
        "帕累托前沿）；竖线为 {level} 区间。",
    ),
    "cost_about_lower": (
        "Down and to the left is better. The line joins the candidates that no other beats on both "
        "axes (the Pareto front); bars are {level} intervals.",
        "越靠左下越好。折线连接的候选在两个坐标轴上没有被任何其他候选同时超过（"
        "帕累托前沿）；竖线为 {level} 区间。",
    ),
    "curves_about": (
        "{score} on the validation part while training: the mean over seeds, and a band from the "
        "lowest to the highest seed. Choose candidates below; the others stay grey.",
        "训练过程中验证集上的{score}：曲线为各种子的均值，"
        "色带为最低到最高的种子。在下方选择候选，其余保持灰色。",
    ),
    "verdicts_about": (
        "Row against column, on the same test examples, {corrected_pairs}. "
        "A dot means that these data cannot tell the two apart, not that they are equal. Choose a "
        "cell for its figures.",
        "行与列在相同测试样本上比较，{corrected_pairs}。"
        "圆点表示这些数据无法区分两者，并不表示两者相同。点选单元格查看数值。",
    ),
    "confusion_about": (
        "Rows are the truth, columns the prediction, summed over seeds.",
        "行为真实类别，列为预测类别，各种子相加。",
    ),
    "confusion_cut": (
        "Only the {shown} classes with most mistakes of {total} are shown.",
        "共 {total} 个类别，只显示错误最多的 {shown} 个。",
    ),
    "hardest_about": (
        "Test examples that most trials got wrong. Look for wrong labels here first.",
        "多数试验都判错的测试样本。先在这里检查标签是否有误。",
    ),
    "hardest_about_regression": (
        "Test examples with the largest mean error over "
        "all trials. Look for wrong values here first.",
        "所有试验平均误差最大的测试样本。先在这里检查目标值是否有误。",
    ),
    "hardest_about_tokens": (
        "Test examples with the largest share of wrong tokens over all trials.",
        "所有试验中错误词元占比最高的测试样本。",
    ),
    "adapted_about": (
        "These networks were made for other inputs; this is how each was fitted to these data.",
        "这些网络原本为其他输入设计；以下是各自为适应此数据所做的改动。",
    ),
    "settings_same": ("The same for all candidates", "所有候选相同"),
    "settings_study": ("Of the study", "研究"),
    "settings_differ": ("Different between candidates", "各候选不同"),
    "notes": ("Notes on the data", "数据说明"),
    # table heads and labels
    "rank": ("Rank", "名次"),
    "candidate": ("Candidate", "候选"),
    "family": ("Family", "家族"),
    "versus": ("Against the recommended", "与推荐者相比"),
    "latency": ("Latency", "延迟"),
    "latency_axis": ("latency, batch 1, p50 (ms)", "延迟，批大小 1，p50（毫秒）"),
    "latency_p95": ("p95 {value}", "p95 {value}"),
    "parameters": ("Parameters", "参数量"),
    "parameters_short": ("Params", "参数量"),
    "parameters_axis": ("parameters", "参数量"),
    "macs": ("MACs", "乘加次数"),
    "throughput": ("Throughput", "吞吐量"),
    "memory": ("Peak memory", "峰值内存"),
    "artifact": ("File", "文件"),
    "train_time": ("Training", "训练"),
    "energy": ("Energy proxy", "能耗估计"),
    "interval": ("{level} interval", "{level} 区间"),
    "seed": ("seed", "种子"),
    "seeds_done": ("{done} of {total} seeds", "{total} 个种子完成 {done} 个"),
    "failed": ("failed", "失败"),
    "all_failed": ("every seed failed", "所有种子均失败"),
    "reason": ("Reason", "原因"),
    "excluded": ("not {requirement}", "不满足 {requirement}"),
    "better": ("better", "更好"),
    "worse": ("worse", "更差"),
    "not distinguishable": ("cannot tell", "无法区分"),
    "all_pairs": ("All {count} pairs as a table", "全部 {count} 对的表格"),
    "pair": ("Pair", "候选对"),
    "difference": ("Difference", "差异"),
    "verdict": ("Verdict", "结论"),
    "p_holm": ("p{corrected_short}", "p{corrected_short}"),
    "mcnemar": ("McNemar p (only first : second right)", "McNemar p（仅前者 : 仅后者答对）"),
    "sentence_better": (
        "{a} is better than {b} by {difference} ({level} interval {low} to {high}, "
        "p {p}{corrected}).",
        "{a} 优于 {b}，差异 {difference}（{level} 区间 {low} 至 {high}，{corrected} p {p}）。",
    ),
    "sentence_worse": (
        "{a} is worse than {b} by {difference} ({level} interval {low} to {high}, "
        "p {p}{corrected}).",
        "{a} 差于 {b}，差异 {difference}（{level} 区间 {low} 至 {high}，{corrected} p {p}）。",
    ),
    "sentence_not distinguishable": (
        "These data cannot tell {a} from {b}: difference {difference} ({level} interval {low} to "
        "{high}, p {p}{corrected}).",
        "这些数据无法区分 {a} 与 {b}：差异 {difference}（"
        "{level} 区间 {low} 至 {high}，{corrected} p {p}）。",
    ),
    "points": ("{value} points", "{value} 个百分点"),
    "truth": ("truth", "真实"),
    "predicted": ("predicted", "预测"),
    "mostly": ("mostly read as {label}", "多被判为 {label}"),
    "mean_prediction": ("predicted {value} on average", "平均预测值 {value}"),
    "wrong": ("{share} of trials wrong", "{share} 的试验判错"),
    "tokens_wrong": ("{share} of its tokens wrong", "{share} 的词元错误"),
    "mean_error": ("mean error {value}", "平均误差 {value}"),
    "most_confused": ("Most frequent mistakes", "最常见的错误"),
    "taken_for": ("{truth} taken for {predicted}", "{truth} 被判为 {predicted}"),
    "no_mistakes": ("No mistakes.", "没有错误。"),
    "steps": ("steps", "步数"),
    "seconds": ("seconds", "秒"),
    "by": ("Across:", "横轴："),
    "training_seconds": ("training time (s)", "训练时间（秒）"),
    "training_steps": ("training steps", "训练步数"),
    "pareto": ("Pareto front", "帕累托前沿"),
    "accuracy": ("accuracy", "准确率"),
    "rmse": ("RMSE", "均方根误差"),
    "r2": ("R²", "R²"),
    "likelihood": ("probability of a true token", "真实词元的概率"),
    "test_metric": ("Test {metric}", "测试{metric}"),
    "val_metric": ("validation {metric}", "验证{metric}"),
    "plan": ("How it was computed", "计算方式"),
    "recipe": ("How it learned", "学习方式"),
    # data, machine, versions
    "task": ("Task", "任务"),
    "source": ("Source", "来源"),
    "inputs": ("One example", "单个样本"),
    "classes": ("Classes", "类别"),
    "sizes": ("Train / validation / test", "训练 / 验证 / 测试"),
    "split_hash": ("Split hash", "划分哈希"),
    "content_hash": ("Content hash", "内容哈希"),
    "split_seed": ("Split seed", "划分种子"),
    "study": ("Study", "研究"),
    "created": ("Made", "生成时间"),
    "budget": ("Budget", "预算"),
    "budget_of": ("{budget} a trial: {steps} steps", "每次试验 {budget}：{steps} 步"),
    "took": ("Took", "耗时"),
    "took_all": ("{time}, {count} trials run", "{time}，运行 {count} 次试验"),
    "took_one": ("{time}, 1 trial run", "{time}，运行 1 次试验"),
    "took_none": ("{time}, everything from records", "{time}，全部来自记录"),
    "command": ("To repeat it", "复现命令"),
    "copy": ("Copy", "复制"),
    "copied": ("Copied", "已复制"),
    "data": ("Data", "数据"),
    "machine": ("Machine", "机器"),
    "versions": ("Versions", "版本"),
    "processor": ("Processor", "处理器"),
    "cpu": ("Processor", "处理器"),
    "cores": ("Cores", "核数"),
    "system": ("System", "系统"),
    "load": ("Load", "负载"),
    "made_by": (
        "Written by Assay {version}. Every figure was measured on the machine named above.",
        "由 Assay {version} 生成。所有数值均在上述机器上测得。",
    ),
    # what to know first
    "concerns": ("What to know first", "请先了解"),
    "error": ("Error", "错误"),
    "warning": ("Warning", "警告"),
    "note": ("Note", "说明"),
    "note_more": ("1 note in the report", "另有 1 条说明，见报告"),
    "notes_more": ("{count} notes in the report", "另有 {count} 条说明，见报告"),
    "notes_fold": ("Notes: {count}", "说明：{count} 条"),
    "labelled": ("{label}: {text}", "{label}：{text}"),
    "where": ("Where: {names}.", "位置：{names}。"),
    # baselines
    "baselines": ("Simple opponents", "简单对手"),
    "baselines_about": (
        "Every network must beat these first. They learn from the same training part in seconds "
        "and are scored on the same test examples.",
        "每个网络首先必须胜过这些对手。它们用同一训练集在数秒内学成，并在相同的测试样本上评分。",
    ),
    "baseline": ("Opponent", "对手"),
    "best_baseline": ("best simple opponent", "最好的简单对手"),
    "ranking_baseline": (
        "The dotted line is the best simple opponent, {name}.",
        "点线是最好的简单对手：{name}。",
    ),
    "beaten_by": ("Beaten by", "胜过它的网络"),
    "beaten_count": ("{count} of {total} networks", "{total} 个网络中的 {count} 个"),
    "beaten_short": ("{count} of {total}", "{count}/{total}"),
    # pairs
    "better_chance": ("Better with probability", "更好的概率"),
    "expected_loss": ("Expected loss", "期望损失"),
    "sentence_chance": (
        " {a} is truly better with probability {better}; choosing it would lose {loss} on average.",
        "{a} 确实更好的概率为 {better}；选择它平均损失 {loss}。",
    ),
    "pairs_about": (
        "Positive differences favour the first of a pair. The probability and the expected loss "
        "are of choosing the first: the loss is the mean of what the second is truly better by, "
        "counted as nothing where it is not.",
        "差异为正表示前者更好。概率与期望损失均针对选择前者："
        "损失是后者真正更好的幅度的平均值，后者不更好时计为零。",
    ),
    "pairs_mcnemar": (
        "McNemar's test, of networks trained once each, compares the examples that only the first "
        "and only the second gets right; its p is corrected for nothing and knows no other seed.",
        "McNemar 检验用于各只训练一次的网络，比较仅前者答对与仅后者答对的样本数；"
        "其 p 值未作校正，也不涉及其他种子。",
    ),
    "pairs_lower": (
        "{metric} is better when smaller: a positive difference means that the first has the "
        "smaller one.",
        "{metric}越小越好：差异为正表示前者的值更小。",
    ),
    "sentence_lower": ("Smaller {metric} is better.", "{metric}越小越好。"),
    "lower_is_better": ("smaller is better", "越小越好"),
    # seeds one by one
    "race": ("Who got more seeds", "哪些候选得到更多种子"),
    "race_rows": ("Seeds of all {count} candidates", "全部 {count} 个候选的种子数"),
    "seeds_run": ("Seeds", "种子数"),
    "dropped_why": ("Why no more", "不再增加的原因"),
    "dropped_after": ("ended after {count} seeds", "{count} 个种子后结束"),
    "from_to": ("{low} to {high}", "{low} 至 {high}"),
    # tuning
    "tuning": ("Tuning", "调参"),
    "tuning_sentence": (
        "Each candidate was tried with {settings} settings, its default among them, judged on the "
        "validation part alone: {steps} training steps and {time} in all; {kept} of {total} "
        "candidates keep the default.",
        "每个候选都试了 {settings} 组设置（包括默认设置），只按验证集评判："
        "共 {steps} 个训练步、{time}；{total} 个候选中有 {kept} 个保留默认设置。",
    ),
    "settings_tried": ("Tried", "试过"),
    "chosen_setting": ("Chosen", "选中"),
    "default": ("default", "默认"),
    "setting_number": ("no. {number}", "第 {number} 组"),
    "default_score": ("Validation {score} of the default", "默认设置的验证{score}"),
    "chosen_score": ("Validation {score} of the chosen", "选中设置的验证{score}"),
    "part_of_steps": ("after {share} of the steps", "训练 {share} 的步数后"),
    "every_setting": ("All {count} settings", "全部 {count} 组设置"),
    "settings_cut": (
        "Only the first {count} are shown; results.json has them all.",
        "只显示前 {count} 组；全部见 results.json。",
    ),
    "setting": ("Setting", "设置"),
    # class by class
    "classwise": ("Class by class", "逐类结果"),
    "classwise_about": (
        "{name} on the test part, all seeds together. Precision: how many of those taken for the "
        "class are of it. Recall: how many of the class are found. F1: their harmonic mean.",
        "{name} 在测试集上的结果，所有种子合计。精确率：被判为该类的样本中正确的比例；"
        "召回率：该类样本中被找到的比例；F1：两者的调和平均。",
    ),
    "classwise_cut": (
        "Only the {shown} classes with the lowest F1 of {total} are shown.",
        "共 {total} 个类别，只显示 F1 最低的 {shown} 个。",
    ),
    "class": ("Class", "类别"),
    "class_precision": ("Precision", "精确率"),
    "class_recall": ("Recall", "召回率"),
    "class_f1": ("F1", "F1"),
    "class_support": ("Test examples", "测试样本数"),
    # names of settings
    "metric": ("Metric", "指标"),
    "tune": ("Settings tried", "试的设置数"),
    "until": ("Until", "何时结束"),
    "confidence": ("Confidence", "置信度"),
    "correction": ("Correction", "多重比较校正"),
    "splits": ("Divisions", "划分次数"),
    "group": ("Group column", "分组列"),
    "time": ("Time column", "时间列"),
    "text": ("Text column", "文本列"),
    "tokenizer": ("Tokenizer", "分词器"),
    "vocabulary": ("Vocabulary", "词表大小"),
    "length": ("Length", "长度"),
    "series": ("Series column", "序列列"),
    "window": ("Window", "窗口"),
    "horizon": ("Horizon", "预测步数"),
    "executor": ("Trials run on", "试验运行位置"),
    "devices": ("Processes per host", "每台主机的进程数"),
    "accelerator": ("Accelerator", "加速器"),
    "nodes": ("Hosts", "主机数"),
    "strategy": ("Sharing strategy", "分摊方式"),
    "pretrained": ("Pretrained", "预训练权重"),
    "schedule": ("Schedule", "学习率变化方式"),
    "token_inputs": (
        "≤ {length} tokens out of {vocabulary}",
        "≤ {length} 个词元，词表 {vocabulary}",
    ),
    "reach": ("Shift reach", "平移范围"),
    "models": ("Models", "模型"),
    "seeds": ("Seeds", "种子数"),
    "target": ("Target", "目标列"),
    "prefer": ("Cheapest by", "成本依据"),
    "margin": ("Margin below the best", "与最好者的容许差距"),
    "require": ("Required", "硬性要求"),
    "store": ("Store", "记录位置"),
    "precision": ("Precision", "数值精度"),
    "autotune": ("Fastest way measured", "自动选择计算方式"),
    "workers": ("Trials at once", "并行试验数"),
    "data_dir": ("Data folder", "数据目录"),
    "skip_bad": ("Unreadable left out", "跳过坏样本"),
    "patience": ("Patience", "早停耐心"),
    "evaluations": ("Evaluations", "评估次数"),
    "lang": ("Language", "语言"),
    "optimizer": ("Optimizer", "优化器"),
    "lr": ("Learning rate", "学习率"),
    "weight_decay": ("Weight decay", "权重衰减"),
    "momentum": ("Momentum", "动量"),
    "beta2": ("Adam's β₂", "Adam 的 β₂"),
    "epsilon": ("Adam's ε", "Adam 的 ε"),
    "batch_size": ("Batch size", "批大小"),
    "warmup": ("Warmup", "预热比例"),
    "label_smoothing": ("Label smoothing", "标签平滑"),
    "clip": ("Gradient clip", "梯度裁剪"),
    "augment": ("Augmentation", "数据增强"),
    "fp32_layers": ("Layers kept in fp32", "保持 fp32 的层"),
    "memory_format": ("Memory format", "内存格式"),
    "attention": ("Attention", "注意力实现"),
    "convolution": ("Convolution", "卷积实现"),
    "loops": ("Word vector loops", "词向量训练循环"),
    "threads": ("Threads", "线程数"),
    "compile": ("Compiled", "编译"),
    "step_seconds": ("Step (CPU s)", "每步（CPU 秒）"),
    # the terminal
    "more_rows": ("and {count} more in the report", "其余 {count} 个见报告"),
    "report_at": ("report", "报告"),
    # progress
    "planning": ("choosing how to compute", "选择计算方式"),
    "training": ("training, seed {seed}", "训练中，种子 {seed}"),
    "searching": ("trying settings", "试设置中"),
    "measuring": ("measuring", "测量中"),
    "done": ("done", "完成"),
    "waiting": ("waiting", "等待"),
    "trials": ("{done} of {total} trials", "{total} 次试验完成 {done} 次"),
    "trials_open": ("{done} trials", "{done} 次试验"),
    "elapsed": ("{time} so far", "已用 {time}"),
    "left": ("about {time} left", "约剩 {time}"),
    "others": (
        "{count} more: {done} done, {waiting} waiting",
        "另有 {count} 个：{done} 个完成，{waiting} 个等待",
    ),
    "line_plan": ("{name}: computes with {text}", "{name}：计算方式 {text}"),
    "line_resume": (
        "{name}, seed {seed}: resumed at step {step}",
        "{name}，种子 {seed}：从第 {step} 步恢复",
    ),
    "line_finish": ("{name}, seed {seed}: {score}", "{name}，种子 {seed}：{score}"),
    "line_fail": ("{name}, seed {seed}: failed: {text}", "{name}，种子 {seed}：失败：{text}"),
    "line_fail_all": ("{name}: failed: {text}", "{name}：失败：{text}"),
    "line_measure": ("{name}: measured {text}", "{name}：已测量 {text}"),
}


_CORRECTIONS: dict[str, dict[str, tuple[str, str]]] = {  # by what `--correction` names
    "holm": {
        "corrected": (" after Holm", "Holm 校正后"),
        "corrected_short": (" (Holm)", "（Holm）"),
        "corrected_pairs": ("corrected for the number of pairs (Holm)", "并按比较次数校正（Holm）"),
    },
    "bh": {
        "corrected": (" after Benjamini-Hochberg", "Benjamini-Hochberg 校正后"),
        "corrected_short": (" (Benjamini-Hochberg)", "（Benjamini-Hochberg）"),
        "corrected_pairs": (
            "corrected for the number of pairs (Benjamini-Hochberg)",
            "并按比较次数校正（Benjamini-Hochberg）",
        ),
    },
    "none": {
        "corrected": (", not corrected", "未校正的"),
        "corrected_short": (" (not corrected)", "（未校正）"),
        "corrected_pairs": ("not corrected for the number of pairs", "未按比较次数校正"),
    },
}


class Words:
    """The texts in one language: `words("rank")`.

    Args:
        lang: en or zh.
        confidence: Share of intervals that hold the truth, between 0 and 1.
        correction: Of the p values: holm, bh or none.
    """

    def __init__(self, lang: str, confidence: float = 0.95, correction: str = "holm") -> None:
        if lang not in LANGUAGES:
            raise BadArgumentError(
                f"A report is written in English or Chinese. Received lang={lang!r}; use en or zh."
            )
        self.lang = lang
        self._column = LANGUAGES.index(lang)
        known = _CORRECTIONS.get(correction, _CORRECTIONS["holm"])
        self._always = {key: texts[self._column] for key, texts in known.items()}
        self._always["level"] = f"{100 * confidence:g}%"

    def __call__(self, key: str, **values: Any) -> str:
        """Return the text of `key` with `values` filled in."""
        return self.fill(TEXT[key], **values)

    def fill(self, texts: tuple[str, str], **values: Any) -> str:
        """Return the right one of (en, zh), filled with `values`, the level and the correction."""
        return texts[self._column].format(**self._always, **values)

    def label(self, key: str) -> str:
        """Return the text of `key` where there is one, otherwise `key` itself, readable."""
        return self(key) if key in TEXT else key.replace("_", " ")

    def of(self, texts: Any) -> str:
        """Return the right one of a mapping {"en", "zh"}; plain text is returned as it is."""
        if isinstance(texts, str):
            return texts
        return str(texts.get(self.lang) or texts.get("en", ""))

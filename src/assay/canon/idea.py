"""The ideas that `assay ablate` can take out of a network, and the names of networks without one.

`resnet18-without-shortcut` is resnet18 with its shortcuts removed. Such a name is safe in shells,
file names and addresses, and cannot be an entry's own: no id and no variant holds "-without-".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from assay.canon.card import Architecture, Lang
from assay.errors import BadArgumentError, nearest

WITHOUT = "-without-"
EACH = "each"  # NAME-without-each stands for one candidate per idea that the network has


@dataclass(frozen=True, kw_only=True)
class Idea:
    """What can be removed, in words.

    Attributes:
        en: Its name, as it stands after "without".
        zh: The same in Chinese, as it stands after 去掉.
        instead_en: What the network does in its place, a clause.
        instead_zh: The same in Chinese.
    """

    en: str
    zh: str
    instead_en: str
    instead_zh: str

    def name(self, lang: Lang) -> str:
        """Return its name in one language."""
        return self.zh if lang == "zh" else self.en

    def told(self, lang: Lang) -> str:
        """Return the sentence that says what was removed."""
        if lang == "zh":
            return spaced(f"去掉{self.zh}：{self.instead_zh}。")
        return f"Without {self.en}: {self.instead_en}."


IDEAS: Mapping[str, Idea] = {
    "asymmetric": Idea(
        en="row and column filters",
        zh="行列滤波器",
        instead_en="a row and a column that follow each other are one square filter",
        instead_zh="相继的一行一列换成一个方形滤波器",
    ),
    "auxiliary_heads": Idea(
        en="the auxiliary classifiers",
        zh="辅助分类器",
        instead_en="the network learns from the loss of its last classifier alone",
        instead_zh="网络只凭最后一个分类器的损失学习",
    ),
    "batch_norm": Idea(
        en="batch normalisation",
        zh="批归一化",
        instead_en="nothing is normalised, and every convolution adds a bias of its own",
        instead_zh="不做任何归一化，每个卷积改为自带偏置",
    ),
    "bottleneck": Idea(
        en="the 1×1 bottleneck",
        zh="1×1 瓶颈",
        instead_en="the 3×3 convolution of a layer reads all channels directly",
        instead_zh="每层的 3×3 卷积直接读取全部通道",
    ),
    "branch_1x1": Idea(
        en="the 1×1 branch",
        zh="1×1 支路",
        instead_en="a block adds its 3×3 convolution and, where the shapes agree, its input",
        instead_zh="模块只把 3×3 卷积与（形状相同时的）输入相加",
    ),
    "channel_shuffle": Idea(
        en="the channel shuffle",
        zh="通道混洗",
        instead_en="channels keep their order, so that those that stand apart stay apart",
        instead_zh="通道保持原有次序，各部分之间不再交换",
    ),
    "class_token": Idea(
        en="the class token",
        zh="类别词元",
        instead_en="the head reads the average of the patches",
        instead_zh="输出头读取各图块的平均",
    ),
    "dense_connections": Idea(
        en="dense connections",
        zh="稠密连接",
        instead_en="each layer computes all of its channels anew, as many as it had before",
        instead_zh="每一层重新算出全部通道，通道数与原先相同",
    ),
    "depthwise": Idea(
        en="depthwise convolution",
        zh="深度卷积",
        instead_en="its place is taken by a full convolution over all channels",
        instead_zh="换成跨全部通道的普通卷积",
    ),
    "distillation_token": Idea(
        en="the distillation token",
        zh="蒸馏词元",
        instead_en="there is one token and one head, as in ViT",
        instead_zh="只有一个词元和一个输出头，与 ViT 相同",
    ),
    "drop_path": Idea(
        en="skipped branches (drop path)",
        zh="随机跳过分支（drop path）",
        instead_en="every branch takes part in every step",
        instead_zh="每一步都计算所有分支",
    ),
    "dropout": Idea(
        en="dropout",
        zh="dropout",
        instead_en="no feature is dropped while training",
        instead_zh="训练时不丢弃任何特征",
    ),
    "expand_1x1": Idea(
        en="the 1×1 expansions",
        zh="1×1 扩展",
        instead_en="all of a block's expansions are 3×3, as many as before",
        instead_zh="模块的扩展全部用 3×3，数量不变",
    ),
    "gelu": Idea(
        en="GELU",
        zh="GELU",
        instead_en="the activation is ReLU",
        instead_zh="激活函数改用 ReLU",
    ),
    "ghost": Idea(
        en="ghost channels",
        zh="幻影通道",
        instead_en="one 1×1 convolution computes all channels",
        instead_zh="所有通道都由一个 1×1 卷积算出",
    ),
    "groups": Idea(
        en="grouped convolution",
        zh="分组卷积",
        instead_en="every convolution reads all channels, at the same widths",
        instead_zh="每个卷积读取全部通道，宽度不变",
    ),
    "hard_swish": Idea(
        en="hard-swish",
        zh="hard-swish",
        instead_en="the activation is ReLU throughout",
        instead_zh="激活函数全部改用 ReLU",
    ),
    "inverted_residual": Idea(
        en="the inverted residual's expansion",
        zh="倒残差的扩宽",
        instead_en="blocks filter at the width they are given and do not widen first",
        instead_zh="模块不先扩宽，直接在输入宽度上滤波",
    ),
    "layer_norm": Idea(
        en="layer normalisation",
        zh="层归一化",
        instead_en="nothing is normalised",
        instead_zh="不做任何归一化",
    ),
    "layer_scale": Idea(
        en="the layer scale",
        zh="层缩放（layer scale）",
        instead_en="every branch counts in full from the start",
        instead_zh="每个分支从一开始就全量相加",
    ),
    "leaky_relu": Idea(
        en="the leak of the rectifier",
        zh="ReLU 的负斜率",
        instead_en="the activation is plain ReLU",
        instead_zh="激活函数改用普通 ReLU",
    ),
    "linear_bottleneck": Idea(
        en="the linear bottleneck",
        zh="线性瓶颈",
        instead_en="the narrow end of each block is rectified too",
        instead_zh="模块变窄的一端也经过激活函数",
    ),
    "max_feature_map": Idea(
        en="the competition of maps (MFM)",
        zh="特征图竞争（MFM）",
        instead_en="half as many maps are made, and rectified",
        instead_zh="只生成一半的特征图，再经过 ReLU",
    ),
    "mlpconv": Idea(
        en="the small networks after the filters",
        zh="滤波器之后的小网络",
        instead_en="one convolution takes the place of each three",
        instead_zh="每三个卷积换成一个",
    ),
    "overlapping_pool": Idea(
        en="overlapping pools",
        zh="重叠池化",
        instead_en="pools read 2×2 pixels at a stride of 2",
        instead_zh="池化窗口为 2×2、步幅为 2",
    ),
    "position": Idea(
        en="positions",
        zh="位置信息",
        instead_en="attention is not told where a token stands",
        instead_zh="注意力不知道词元所在的位置",
    ),
    "reduction_1x1": Idea(
        en="the 1×1 reductions",
        zh="1×1 降维",
        instead_en="the larger filters read all channels directly",
        instead_zh="较大的滤波器直接读取全部通道",
    ),
    "relu": Idea(
        en="rectified units",
        zh="ReLU",
        instead_en="the activation is tanh",
        instead_zh="激活函数改用 tanh",
    ),
    "residual_scale": Idea(
        en="the scaling of corrections",
        zh="残差缩放",
        instead_en="corrections are added in full",
        instead_zh="修正量全量相加",
    ),
    "response_norm": Idea(
        en="local response normalisation",
        zh="局部响应归一化",
        instead_en="neighbouring channels do not damp each other",
        instead_zh="相邻通道不再互相抑制",
    ),
    "shifted_windows": Idea(
        en="shifted windows",
        zh="移动窗口",
        instead_en="windows lie at the same place in every layer",
        instead_zh="各层的窗口位置相同",
    ),
    "shortcut": Idea(
        en="shortcuts",
        zh="残差连接",
        instead_en="a block passes on its branch alone, and projections vanish",
        instead_zh="模块只输出其分支，捷径上的投影一并去掉",
    ),
    "squeeze_excitation": Idea(
        en="squeeze-and-excitation",
        zh="压缩-激励（SE）",
        instead_en="channels keep the strength in which they come",
        instead_zh="各通道保持原有强度",
    ),
    "swish": Idea(
        en="swish",
        zh="swish",
        instead_en="the activation is ReLU throughout",
        instead_zh="激活函数全部改用 ReLU",
    ),
    "token_mixing": Idea(
        en="the mixing of tokens",
        zh="词元混合",
        instead_en="patches do not meet before they are averaged",
        instead_zh="各图块在取平均之前互不影响",
    ),
    "whitening": Idea(
        en="the whitening",
        zh="白化",
        instead_en="the first layer is a convolution that starts at random and learns",
        instead_zh="首层是随机初始化、参与学习的卷积",
    ),
}


def spaced(text: str) -> str:
    """Return Chinese text with a space on either side of the Latin words and numbers in it."""
    han = "\u4e00-\u9fff"
    return re.sub(f"(?<=[{han}])(?=[A-Za-z0-9+−])|(?<=[A-Za-z0-9%])(?=[{han}])", " ", text)


def ablated(whole: str, idea: str) -> str:
    """Return the name of a network without one idea: resnet18-without-shortcut."""
    return f"{whole}{WITHOUT}{idea}"


def parted(name: str) -> tuple[str, str | None]:
    """Return the whole network's name and the idea that is removed from it, None if none is."""
    whole, separator, idea = name.partition(WITHOUT)
    return whole, idea if separator else None


def check_removable(card: Architecture, name: str, idea: str) -> None:
    """Refuse an idea that a card does not list.

    Raises:
        BadArgumentError: It does not; the text lists those it does.
    """
    if not card.removable:
        raise BadArgumentError(
            f"The card of {name} lists no idea that can be removed. Received {idea!r}; "
            "`assay show NAME` says which ideas a network's card lists."
        )
    if idea not in card.removable:
        known = sorted(card.removable)
        raise BadArgumentError(
            f"An idea to remove must be one that the card of {name} lists: {', '.join(known)}. "
            f"Received {idea!r}.{nearest(idea, known)}"
        )

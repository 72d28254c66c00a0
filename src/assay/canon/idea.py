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
    "attention": Idea(
        en="attention to the source",
        zh="对源序列的注意力",
        instead_en="each step of the answer sees the same mean of the source's states",
        instead_zh="答案的每一步看到的都是源序列各状态的同一个平均",
    ),
    "auxiliary_heads": Idea(
        en="the auxiliary classifiers",
        zh="辅助分类器",
        instead_en="the network learns from the loss of its last classifier alone",
        instead_zh="网络只凭最后一个分类器的损失学习",
    ),
    "backward_direction": Idea(
        en="the backward direction",
        zh="反向读取",
        instead_en="the sequence is read from the first step to the last only",
        instead_zh="序列只从第一步读到最后一步",
    ),
    "batch_norm": Idea(
        en="batch normalisation",
        zh="批归一化",
        instead_en="nothing is normalised, and every convolution adds a bias of its own",
        instead_zh="不做任何归一化，每个卷积改为自带偏置",
    ),
    "block_position": Idea(
        en="the second position, inside the blank",
        zh="空白内的第二个位置",
        instead_en="a token is told its place in the whole text by one number",
        instead_zh="词元的位置只用其在全文中的序号表示",
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
    "dilation": Idea(
        en="dilation",
        zh="卷积的扩张",
        instead_en="every convolution reads steps that lie side by side, so that the reach grows "
        "by the same amount in each block",
        instead_zh="每个卷积读取相邻的各步，视野随层数只按固定步数增长",
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
    "forget_gate": Idea(
        en="the forget gate",
        zh="遗忘门",
        instead_en="the memory cell keeps all that it holds, as in 1997; steps are computed one "
        "by one, without torch's fused kernel, so that times do not compare",
        instead_zh="记忆单元保留全部内容，与 1997 年的形式相同；各步逐一计算，"
        "不用 torch 的融合内核，因此耗时不可比",
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
    "global_blocks": Idea(
        en="the global blocks",
        zh="全局块",
        instead_en="a block of tokens sees its neighbours and the drawn blocks only",
        instead_zh="每块词元只看相邻的块和随机抽取的块",
    ),
    "grouped_queries": Idea(
        en="shared keys and values",
        zh="键和值的共享",
        instead_en="every query has a key and a value of its own",
        instead_zh="每个查询各有自己的键和值",
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
    "mixtures": Idea(
        en="the mixing of positions",
        zh="位置的混合",
        instead_en="every query looks at every position, at a cost that grows with the square of "
        "the length",
        instead_zh="每个查询都看所有位置，计算量随长度的平方增长",
    ),
    "mlpconv": Idea(
        en="the small networks after the filters",
        zh="滤波器之后的小网络",
        instead_en="one convolution takes the place of each three",
        instead_zh="每三个卷积换成一个",
    ),
    "narrow_embedding": Idea(
        en="narrow vectors of words",
        zh="窄词向量",
        instead_en="words have vectors of the layers' full width",
        instead_zh="词向量的宽度与各层相同",
    ),
    "output_gate": Idea(
        en="the output gate",
        zh="输出门",
        instead_en="the memory cell is always shown in full; steps are computed one by one, "
        "without torch's fused kernel, so that times do not compare",
        instead_zh="记忆单元总是全部输出；各步逐一计算，不用 torch 的融合内核，因此耗时不可比",
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
        instead_en="attention is told neither where a token stands nor how far from another",
        instead_zh="注意力不知道词元所在的位置，也不知道词元之间的距离",
    ),
    "random_blocks": Idea(
        en="the drawn blocks",
        zh="随机块",
        instead_en="a block of tokens sees its neighbours and the global blocks only",
        instead_zh="每块词元只看相邻的块和全局块",
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
    "reset_gate": Idea(
        en="the reset gate",
        zh="重置门",
        instead_en="what is new is always made from the whole state before; steps are computed one "
        "by one, without torch's fused kernel, so that times do not compare",
        instead_zh="新内容总是由前一步的完整状态算出；各步逐一计算，"
        "不用 torch 的融合内核，因此耗时不可比",
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
    "reversed_source": Idea(
        en="reading the source backwards",
        zh="源序列的倒序读取",
        instead_en="the source is read from its first token to its last",
        instead_zh="源序列从第一个词元读到最后一个",
    ),
    "rms_norm": Idea(
        en="normalisation without a mean (RMSNorm)",
        zh="不减均值的归一化（RMSNorm）",
        instead_en="layer normalisation takes its place, which subtracts the mean and adds a "
        "learned constant",
        instead_zh="改用层归一化，先减去均值，再加上可学习的偏置",
    ),
    "segments": Idea(
        en="the segment embedding",
        zh="句子编码",
        instead_en="a token is not told which of two sentences it belongs to",
        instead_zh="词元不知道自己属于两句中的哪一句",
    ),
    "sentence_pairs": Idea(
        en="the question about two sentences",
        zh="句子对任务",
        instead_en="only hidden tokens are learned from, and sentences stay as they are",
        instead_zh="只学习找回被遮住的词元，句子保持原样",
    ),
    "shared_layers": Idea(
        en="the sharing of layers",
        zh="层间参数共享",
        instead_en="each pass has a layer of its own",
        instead_zh="每一遍都用各自的层",
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
    "swiglu": Idea(
        en="the gates of the small networks (SwiGLU)",
        zh="前馈网络的门控（SwiGLU）",
        instead_en="two maps with swish between them take their place, with as many weights",
        instead_zh="改为两个映射、中间用 swish，参数量不变",
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
            f"The card of {name} lists no idea that can be removed"
            f"{'' if idea == EACH else f'. Received {idea!r}'}; "
            "`assay show NAME` says which ideas a network's card lists."
        )
    if idea not in card.removable:
        known = sorted(card.removable)
        raise BadArgumentError(
            f"An idea to remove must be one that the card of {name} lists: {', '.join(known)}. "
            f"Received {idea!r}.{nearest(idea, known)}"
        )

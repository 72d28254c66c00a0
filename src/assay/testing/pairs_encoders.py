"""Transformer, T5, BERT and ALBERT beside torch.nn's and transformers' own."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.encoder_task import for_task
from assay.blocks.position import sinusoids
from assay.blocks.segment_embedding import segments
from assay.data.tokens import BEGIN, END, PAD
from assay.models.language import albert, bert, t5, transformer
from assay.testing.language_parity import LanguagePair, sources_and_targets, tokens

VOCABULARY, LENGTH = 61, 16


class TorchTransformer(nn.Module):
    """`torch.nn.Transformer` without the normalisation that it adds after the last layers.

    Embeddings, positions and output stand around it as in the paper.
    """

    def __init__(self, vocabulary: int, width: int, layers: int, heads: int, hidden: int) -> None:
        super().__init__()
        whole = nn.Transformer(width, heads, layers, layers, hidden, 0.0, batch_first=True)
        whole.encoder.norm = whole.decoder.norm = None
        whole.encoder.use_nested_tensor = False
        self.embed = nn.Embedding(vocabulary, width)
        self.encoder, self.decoder = whole.encoder, whole.decoder

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Score the next token at every place of the target."""
        padding = source == PAD
        past = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
        memory = self.encoder(self._embed(source), src_key_padding_mask=padding)
        x = self.decoder(
            self._embed(target), memory, tgt_mask=past, memory_key_padding_mask=padding
        )
        return F.linear(x, self.embed.weight)

    def _embed(self, tokens: Tensor) -> Tensor:
        width = self.embed.embedding_dim
        return self.embed(tokens) * width**0.5 + sinusoids(tokens.shape[1], width)


def _call(theirs: nn.Module, *inputs: Tensor) -> Tensor:
    return theirs(*inputs)


def _t5(**options: Any) -> nn.Module:
    from transformers import T5Config, T5ForConditionalGeneration

    theirs = T5ForConditionalGeneration(T5Config(dropout_rate=0.0, **options))
    if options.get("tie_word_embeddings") is False:  # what transformers 5 ties all the same
        theirs.lm_head.weight = nn.Parameter(theirs.lm_head.weight.detach().clone())
    return theirs


def _ask_t5(theirs: nn.Module, source: Tensor, target: Tensor) -> Tensor:
    answer = theirs(
        input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=target
    )
    return answer.logits


def _bert(**options: Any) -> nn.Module:
    from transformers import BertConfig, BertForPreTraining

    off: dict[str, Any] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return BertForPreTraining(BertConfig(**options, **off))


def _albert(**options: Any) -> nn.Module:
    from transformers import AlbertConfig, AlbertForPreTraining

    return AlbertForPreTraining(AlbertConfig(**options, hidden_act="gelu_new"))


def two_sentences() -> tuple[Tensor, ...]:
    """Return three rows of tokens, two of them padded; the first holds two sentences."""
    (ids,) = tokens(VOCABULARY)
    ids[:, 0] = BEGIN
    ids[0, 4], ids[0, -1] = END, END
    ids[1, 6], ids[2, 2] = END, END
    return (ids,)


def _ask_tokens(theirs: nn.Module, ids: Tensor) -> Tensor:
    seen = (ids != PAD).long()
    return theirs(
        input_ids=ids, attention_mask=seen, token_type_ids=segments(ids)
    ).prediction_logits


_MASKED = "masked-language-modeling"
_NARROW: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": LENGTH,
    "vocab_size": VOCABULARY,
}
_T5_SMALL: dict[str, Any] = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4}
_SIZE: dict[str, Any] = {
    "embed_dim": 32,
    "head_dim": 8,
    "hidden": 48,
    "num_layers": 2,
    "num_heads": 4,
}
_V1_1: dict[str, Any] = {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False}
_T5_VOCABULARY = 32128

PAIRS = [
    LanguagePair(
        entry="transformer_base",
        reference="torch:nn.Transformer",
        ours=lambda: transformer.Transformer(
            VOCABULARY, embed_dim=32, num_layers=2, num_heads=4, hidden=48
        ),
        theirs=lambda: TorchTransformer(VOCABULARY, 32, 2, 4, 48),
        translate=transformer.from_torch_nn,
        ask=_call,
        inputs=sources_and_targets,
        full=lambda: (
            transformer.transformer_base((64, 37_000), 37_000, task="text-to-text"),
            TorchTransformer(37_000, 512, 6, 8, 2048),
        ),
    ),
    LanguagePair(
        entry="t5_small",
        reference="transformers:T5ForConditionalGeneration",
        ours=lambda: t5.T5(VOCABULARY, t5.Size(**_SIZE)),
        theirs=lambda: _t5(vocab_size=VOCABULARY, **_T5_SMALL),
        translate=t5.from_transformers,
        ask=_ask_t5,
        inputs=sources_and_targets,
        full=lambda: (
            t5.t5_small((512, _T5_VOCABULARY), _T5_VOCABULARY, task="text-to-text"),
            _t5(vocab_size=_T5_VOCABULARY),
        ),
    ),
    LanguagePair(
        entry="t5_v1_1_small",
        reference="transformers:T5ForConditionalGeneration",
        ours=lambda: t5.T5(
            VOCABULARY, t5.Size(**_SIZE, feedforward=t5.GatedGeluFeedForward, tied=False)
        ),
        theirs=lambda: _t5(vocab_size=VOCABULARY, **_T5_SMALL, **_V1_1),
        translate=t5.from_transformers,
        ask=_ask_t5,
        inputs=sources_and_targets,
        full=lambda: (
            t5.t5_v1_1_small((512, _T5_VOCABULARY), _T5_VOCABULARY, task="text-to-text"),
            _t5(vocab_size=_T5_VOCABULARY, d_ff=1024, num_layers=8, num_heads=6, **_V1_1),
        ),
    ),
    LanguagePair(
        entry="bert_base",
        reference="transformers:BertForPreTraining",
        ours=lambda: for_task(
            bert.Bert(VOCABULARY, LENGTH, embed_dim=32, num_layers=2, hidden=48, num_heads=4),
            (LENGTH, VOCABULARY),
            VOCABULARY,
            _MASKED,
        ),
        theirs=lambda: _bert(**_NARROW),
        translate=bert.from_transformers,
        ask=_ask_tokens,
        inputs=two_sentences,
        full=lambda: (bert.bert_base((512, 30_522), 30_522, task=_MASKED), _bert()),
    ),
    LanguagePair(
        entry="albert_base",
        reference="transformers:AlbertForPreTraining",
        ours=lambda: for_task(
            albert.Albert(
                VOCABULARY, LENGTH, embed_dim=32, num_layers=2, num_heads=4, hidden=48, narrow=16
            ),
            (LENGTH, VOCABULARY),
            VOCABULARY,
            _MASKED,
            act=albert.gelu,
        ),
        theirs=lambda: _albert(**_NARROW, embedding_size=16),
        translate=albert.from_transformers,
        ask=_ask_tokens,
        inputs=two_sentences,
        full=lambda: (
            albert.albert_base((512, 30_000), 30_000, task=_MASKED),
            _albert(
                vocab_size=30_000, hidden_size=768, num_attention_heads=12, intermediate_size=3072
            ),
        ),
    ),
]

"""One network reads the source, another writes the answer token by token.

Sources: Cho et al., 2014, https://arxiv.org/abs/1406.1078; Sutskever, Vinyals and Le, 2014,
https://arxiv.org/abs/1409.3215.
"""

from typing import Any

from torch import Tensor, nn


class EncoderDecoder(nn.Module):
    """An encoder, a decoder, and nothing between them but what the encoder hands over.

    Args:
        encoder: source -> a state, any nest of tensors (B, ...).
        decoder: (tokens, state) -> the logits behind each token, and the state after the last.

    Shape:
        source (B, S), target so far (B, U) -> (B, U, V)
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Score what follows each token of the target, given those before and the source."""
        logits, _ = self.decoder(target, self.encoder(source))
        return logits

    def begin(self, source: Tensor, *, most: int) -> Any:
        """Return the state before the first token: see `assay.blocks.generation.Generative`."""
        return self.encoder(source)

    def advance(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Return the logits behind each of these tokens, and the state after the last."""
        logits, state = self.decoder(tokens, state)
        return logits, state

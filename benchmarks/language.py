"""Language models: training beside a plain nanoGPT-style network, writing with a cache and without.

    python -m benchmarks.language [--part training | writing | attention] [--rounds 5] [--seconds 3]

One thread, float32, one process; the two sides alternate and stand on equal settings: the same
first weights, batches, AdamW and loss. Training counts tokens per CPU second of whole steps.
Writing counts the seconds of n new tokens from one, chosen greedily, with the cache and by the loop
that reads the whole text again for each token.
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assay.blocks.attention import fused, written_out
from assay.decoding.greedy import greedy
from assay.decoding.loop import decode
from assay.decoding.uncached import Uncached
from assay.engine.machine import keep_memory
from assay.models.language.gpt2 import from_transformers, sized
from benchmarks.common import interleave, load, machine, rate, ratio, save

SHAPES = {  # layers, heads, width, context, vocabulary, batch
    "gpt2_nano (4 x 128)": (4, 4, 128, 64, 65, 12),
    "gpt2_baby (6 x 384)": (6, 6, 384, 256, 65, 2),
    "gpt2, 2 of its 12 layers (768)": (2, 12, 768, 256, 8192, 2),
}
LENGTHS = (256, 512, 1024)  # new tokens
BATCHES = (1, 8, 32)  # texts written at once
WRITER = (4, 4, 128, 1025, 512)


class PlainBlock(nn.Module):
    """A layer as nanoGPT writes it.

    Args:
        width: Of a token.
        heads: Of the attention.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Refine the tokens. (B, T, E) -> the same."""
        batch, length, width = x.shape
        q, k, v = self.c_attn(self.ln_1(x)).split(width, dim=2)
        q, k, v = (
            t.view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for t in (q, k, v)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.c_proj(y.transpose(1, 2).contiguous().view(batch, length, width))
        return x + self.mlp(self.ln_2(x))


class PlainGPT(nn.Module):
    """GPT-2 as nanoGPT writes it, with its tied table.

    Args:
        layers: How many.
        heads: Of each attention.
        width: Of a token.
        context: Places.
        vocabulary: Tokens.
    """

    def __init__(self, layers: int, heads: int, width: int, context: int, vocabulary: int) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.h = nn.ModuleList(PlainBlock(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        self.lm_head = nn.Linear(width, vocabulary, bias=False)
        self.wte.weight = self.lm_head.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Score the next token at each place. (B, T) -> (B, T, V)."""
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        return self.lm_head(self.ln_f(x))


def the_same(plain: PlainGPT, shape: tuple[int, ...]) -> nn.Module:
    """Return our network with the plain one's weights."""
    layers, heads, width, context, vocabulary = shape[:5]
    ours = sized(
        (context, vocabulary), vocabulary, task="language-modeling",
        embed_dim=width, num_layers=layers, num_heads=heads,
    )  # fmt: skip
    renamed = {}
    for name, value in plain.state_dict().items():
        for old, new in ((".c_", ".attn.c_"), ("mlp.0", "mlp.c_fc"), ("mlp.2", "mlp.c_proj")):
            name = name.replace(old, new)  # noqa: PLW2901
        renamed[name] = value.T if ".c_" in name and value.ndim == 2 else value
    ours.load_state_dict(from_transformers(renamed))
    return ours


def steps_of(model: nn.Module, shape: tuple[int, ...]) -> Callable[[], int]:
    """Return a function that takes one training step and returns how many tokens it learned."""
    context, vocabulary, batch = shape[3:]
    draw = torch.Generator().manual_seed(0)
    tokens = torch.randint(vocabulary, (batch, context + 1), generator=draw)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> int:
        optimizer.zero_grad()
        scores = model(tokens[:, :-1])
        F.cross_entropy(scores.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        optimizer.step()
        return batch * context

    return step


def training(rounds: int, seconds: float) -> dict:
    """Return tokens per CPU second of both sides, shape by shape."""
    found = {}
    for name, shape in SHAPES.items():
        torch.manual_seed(0)
        plain = PlainGPT(*shape[:5])
        for value in plain.parameters():
            nn.init.normal_(value, std=0.02)
        ours = the_same(plain, shape)
        tokens = torch.randint(shape[4], (2, shape[3]))
        with torch.no_grad():
            torch.testing.assert_close(ours(tokens), plain(tokens), rtol=1e-4, atol=1e-5)
        ways = {"plain": steps_of(plain, shape), "assay": steps_of(ours, shape)}
        for step in ways.values():
            step()
        figures = interleave({n: lambda s=s: rate(s, seconds) for n, s in ways.items()}, rounds)
        found[name] = {"tokens_per_second": figures}
        print(f"{name:32}{ratio(figures['assay'], figures['plain'])}", flush=True)
    return found


def written(model: object, texts: int, count: int) -> float:
    """Return the CPU seconds that `count` new tokens take, the loop's own included."""
    prompts = torch.full((texts, 1), 5)
    start = time.process_time()
    tokens = decode(model, prompts, most=count, choose=greedy, end=-1)
    assert tokens.shape == (texts, count)
    return time.process_time() - start


def writing(rounds: int) -> dict:
    """Return the seconds of writing with the cache and without, and of several texts at once."""
    torch.manual_seed(0)
    model = the_same(PlainGPT(*WRITER), WRITER).eval()
    prompt = torch.full((1, 1), 5)
    pair = [decode(m, prompt, most=40, choose=greedy, end=-1) for m in (model, Uncached(model))]
    assert torch.equal(*pair)
    lengths = {n: [written(model, 1, n) for _ in range(rounds)] for n in LENGTHS}
    batches = {b: [written(model, b, 256) for _ in range(rounds)] for b in BATCHES}
    plain = written(Uncached(model), 1, LENGTHS[-1])
    best = {n: min(seconds) for n, seconds in lengths.items()}
    for n, seconds in best.items():
        print(f"{n:5} tokens  {seconds:7.2f} s  {1e3 * seconds / n:.2f} ms each", flush=True)
    print(
        f"{LENGTHS[-1]} tokens without cache {plain:.1f} s: {plain / best[LENGTHS[-1]]:.1f} times"
    )
    for b, seconds in batches.items():
        print(f"{b:3} texts at once: {256 * b / min(seconds):.0f} tokens/s", flush=True)
    return {"with_cache": lengths, "at_once": batches, "without_cache": {LENGTHS[-1]: plain}}


def attention(rounds: int, seconds: float) -> dict:
    """Return passes there and back per CPU second of 1,024 tokens, by both kernels."""
    q, k, v = (torch.randn(1, 6, 1024, 64, requires_grad=True) for _ in range(3))

    def pass_of(kernel: Callable[..., Tensor]) -> Callable[[], int]:
        def there_and_back() -> int:
            kernel(q, k, v, causal=True).sum().backward()
            return 1

        return there_and_back

    ways = {"written out": pass_of(written_out), "fused": pass_of(fused)}
    figures = interleave({n: lambda s=s: rate(s, seconds) for n, s in ways.items()}, rounds)
    print(f"fused over written out, 1024 tokens: {ratio(figures['fused'], figures['written out'])}")
    return {"passes_per_second": figures}


def main() -> None:
    """Run the parts asked for and save their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["training", "writing", "attention"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    args = parser.parse_args()
    keep_memory()
    torch.set_num_threads(1)
    parts = {
        "training": lambda: training(args.rounds, args.seconds),
        "writing": lambda: writing(args.rounds),
        "attention": lambda: attention(args.rounds, args.seconds),
    }
    try:
        facts = load("language")
    except FileNotFoundError:
        facts = {}
    for name in [args.part] if args.part else parts:
        facts[name] = {"machine": machine(), **parts[name]()}
        save("language", facts)


if __name__ == "__main__":
    main()

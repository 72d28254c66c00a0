"""From next-token logits to texts: greedy, sampling and beam search, many texts at once."""

from assay.decoding.beam import Hypotheses, beam_search
from assay.decoding.greedy import greedy
from assay.decoding.loop import decode, stream
from assay.decoding.nucleus import keep_nucleus
from assay.decoding.sampling import Sampling, draws
from assay.decoding.temperature import with_temperature
from assay.decoding.top_k import keep_most_likely
from assay.decoding.uncached import Uncached

__all__ = [
    "Hypotheses",
    "Sampling",
    "Uncached",
    "beam_search",
    "decode",
    "draws",
    "greedy",
    "keep_most_likely",
    "keep_nucleus",
    "stream",
    "with_temperature",
]

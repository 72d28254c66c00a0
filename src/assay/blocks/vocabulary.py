"""The one vocabulary that a network reads and writes."""

from assay.errors import BadArgumentError


def check_shared(inputs: tuple[int, ...], outputs: int) -> int:
    """Return the vocabulary V of `inputs` (T, V) where `outputs` is the same.

    Raises:
        BadArgumentError: It is not.
    """
    vocabulary = inputs[1]
    if outputs != vocabulary:
        raise BadArgumentError(
            "A network that writes tokens reads and writes one vocabulary: `outputs` must be the "
            f"second number of `inputs`. Received inputs={inputs}, outputs={outputs}; give "
            f"outputs={vocabulary}."
        )
    return vocabulary

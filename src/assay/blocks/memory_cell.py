"""A unit that holds a value for as long as its gates let it.

Sources: Hochreiter and Schmidhuber, 1997, https://doi.org/10.1162/neco.1997.9.8.1735, section 4;
Gers, Schmidhuber and Cummins, 2000, https://doi.org/10.1162/089976600300015015 (`keep`).
"""

from torch import Tensor


def memory_cell(cell: Tensor, write: Tensor, keep: Tensor, content: Tensor) -> Tensor:
    """Return what the cell holds next: a share of what it held plus a share of what is new.

    With `keep` 1 and `write` 0 it stays as it is through any number of steps, and so does its
    gradient. All are (B, H).

    Args:
        cell: What it holds.
        write: How much of `content` enters, in [0, 1].
        keep: How much of `cell` stays, in [0, 1].
        content: What may enter.
    """
    return keep * cell + write * content

"""An LSTM whose gates see the memory cell itself, not only what it shows.

Source: Gers and Schmidhuber, 2000, https://doi.org/10.1109/IJCNN.2000.861302. No library has a
fused kernel for it; `PeepholeLSTM` computes the same as `step`, with one matrix product a step and
a backward pass written out by hand.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from assay.blocks.memory_cell import memory_cell
from assay.blocks.recurrence import States
from assay.errors import BadArgumentError

through_sigmoid = torch.ops.aten.sigmoid_backward  # (gradient, σ(x)) -> the gradient of x
through_tanh = torch.ops.aten.tanh_backward


def step(
    driven: Tensor, states: States, weight_back: Tensor, bias_back: Tensor, peep: Tensor
) -> States:
    """Return the next state and memory cell, each (B, H).

    Args:
        driven: (B, 4·H), the input of this step times the weights of write, keep, content, show.
        states: The state and the cell (B, H) of the step before.
        weight_back: (4·H, H).
        bias_back: (4·H,).
        peep: (3, H), one weight per cell: of write and keep, which see the cell of the step
            before, and of show, which sees the new one.
    """
    state, cell = states
    gates = driven + F.linear(state, weight_back, bias_back)
    write, keep, content, show = gates.chunk(4, dim=1)
    write = torch.sigmoid(write + peep[0] * cell)
    keep = torch.sigmoid(keep + peep[1] * cell)
    cell = memory_cell(cell, write, keep, torch.tanh(content))
    return torch.sigmoid(show + peep[2] * cell) * torch.tanh(cell), cell


class PeepholeLSTM(nn.LSTM):
    """One `nn.LSTM` layer with peepholes, which start closed: then it is the plain LSTM.

    Args:
        input_size: Width of one time step.
        hidden_size: H.
        num_layers: 1.
        options: `batch_first=True` and whatever else `nn.LSTM` takes, at its default.

    Shape:
        (B, T, input_size), states ((1, B, H), (1, B, H)) or None -> (B, T, H), states

    Raises:
        BadArgumentError: More layers or directions are asked for.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, **options: Any
    ) -> None:
        if num_layers != 1 or options.get("bidirectional"):
            raise BadArgumentError(
                "A peephole LSTM must have one layer that reads forwards. Received num_layers="
                f"{num_layers}, bidirectional={bool(options.get('bidirectional'))}; put several "
                "behind each other."
            )
        super().__init__(input_size, hidden_size, num_layers, **options)
        self.weight_peep_l0 = nn.Parameter(torch.zeros(3, hidden_size))
        self._all_weights[0].append("weight_peep_l0")

    def forward(  # type: ignore[override]
        self, x: Tensor, states: States | None = None
    ) -> tuple[Tensor, States]:
        """Return what is shown at each step, and the state and cell after the last."""
        zeros = x.new_zeros(len(x), self.hidden_size)
        state, cell = (zeros, zeros) if states is None else (states[0][0], states[1][0])
        shown, cells = scan_cells(x, (state, cell), self.all_weights[0])
        return shown, (shown[:, -1][None], cells[:, -1][None])


def scan_cells(x: Tensor, states: States, weights: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return the states and the cells of all steps, (B, T, H) each; torch's kernel keeps no cells.

    Under autocast `step` is taken again and again: the backward pass here knows one precision.

    Args:
        x: (B, T, F).
        states: State and cell before the first step, each (B, H).
        weights: Of one LSTM layer: in, back, bias in, bias back, and those of the peepholes if any.
    """
    if len(weights) == 4:
        weights = [*weights, x.new_zeros(3, states[0].shape[1])]
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        return _loop(x, states, *weights)
    shown, cells = _Scan.apply(x.transpose(0, 1), *states, *weights)
    return shown.transpose(0, 1), cells.transpose(0, 1)


def _loop(
    x: Tensor, states: States, weight_in: Tensor, weight_back: Tensor, *others: Tensor
) -> tuple[Tensor, Tensor]:
    bias_in, bias_back, peep = others
    every = []
    for driven in F.linear(x, weight_in, bias_in).unbind(1):
        states = step(driven, states, weight_back, bias_back, peep)
        every.append(states)
    shown, cells = (torch.stack(kind, dim=1) for kind in zip(*every, strict=True))
    return shown, cells


class _Scan(torch.autograd.Function):
    """The steps one after another, time first, each with one product forwards and one backwards.

    A step's tensors are small enough to stay in the cache; the gradients of the weights are one
    product for all steps.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        state: Tensor,
        cell: Tensor,
        weight_in: Tensor,
        weight_back: Tensor,
        bias_in: Tensor,
        bias_back: Tensor,
        peep: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return states and cells (T, B, H) of all steps, from x (T, B, F) and the first (B, H)."""
        steps, batch, width = len(x), *state.shape
        gates = F.linear(x, weight_in, bias_in + bias_back)  # (T, B, 4·H), all steps at once
        shown, cells = (x.new_empty(steps + 1, batch, width) for _ in range(2))
        shown[0], cells[0] = state, cell
        states, memory = shown.unbind(), cells.unbind()
        back, entering, leaving = weight_back.t(), peep[:2], peep[2]
        write_keep = gates.view(steps, batch, 4, width)[:, :, :2].unbind()
        write, keep, content, show = _by_step(gates)
        for t, gate in enumerate(gates.unbind()):
            torch.addmm(gate, states[t], back, out=gate)
            write_keep[t].addcmul_(memory[t][:, None], entering).sigmoid_()
            content[t].tanh_()
            torch.mul(keep[t], memory[t], out=memory[t + 1]).addcmul_(write[t], content[t])
            show[t].addcmul_(memory[t + 1], leaving).sigmoid_()
            torch.tanh(memory[t + 1], out=states[t + 1]).mul_(show[t])
        ctx.save_for_backward(x, gates, shown, cells, weight_in, weight_back, peep)
        ctx.set_materialize_grads(False)
        return shown[1:], cells[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_states: Tensor | None, of_cells: Tensor | None) -> tuple[Tensor, ...]:
        """Return the gradients of all that `forward` took."""
        x, gates, shown, cells, weight_in, weight_back, peep = ctx.saved_tensors
        of_gates = torch.empty_like(gates)
        of_state, of_cell, *of_peep = (torch.zeros_like(shown[0]) for _ in range(5))
        memory = cells.unbind()
        write, keep, content, show = _by_step(gates)
        of_write, of_keep, of_content, of_show = _by_step(of_gates)
        entering_write, entering_keep, leaving = peep.unbind()
        for t, of_gate in reversed(list(enumerate(of_gates.unbind()))):
            if of_states is not None:
                of_state += of_states[t]
            if of_cells is not None:
                of_cell += of_cells[t]
            seen = memory[t + 1].tanh()
            torch.mul(of_state, seen, out=of_show[t])
            through_sigmoid(of_show[t], show[t], grad_input=of_show[t])
            of_cell += through_tanh(of_state.mul_(show[t]), seen)
            of_cell.addcmul_(of_show[t], leaving)
            torch.mul(of_cell, content[t], out=of_write[t])
            torch.mul(of_cell, memory[t], out=of_keep[t])
            torch.mul(of_cell, write[t], out=of_content[t])
            through_sigmoid(of_write[t], write[t], grad_input=of_write[t])
            through_sigmoid(of_keep[t], keep[t], grad_input=of_keep[t])
            through_tanh(of_content[t], content[t], grad_input=of_content[t])
            of_cell.mul_(keep[t]).addcmul_(of_write[t], entering_write)
            of_cell.addcmul_(of_keep[t], entering_keep)
            of_peep[0].addcmul_(of_write[t], memory[t])
            of_peep[1].addcmul_(of_keep[t], memory[t])
            of_peep[2].addcmul_(of_show[t], memory[t + 1])
            torch.mm(of_gate, weight_back, out=of_state)
        flat = of_gates.flatten(0, 1)
        of_bias = flat.sum(0)
        return (
            of_gates @ weight_in,
            of_state,
            of_cell,
            flat.t() @ x.flatten(0, 1),
            flat.t() @ shown[:-1].flatten(0, 1),
            of_bias,
            of_bias,
            torch.stack([part.sum(0) for part in of_peep]),
        )


def _by_step(gates: Tensor) -> list[tuple[Tensor, ...]]:
    """Return write, keep, content and show, (B, H) of each step. (T, B, 4·H) -> four times T."""
    return [part.unbind() for part in gates.chunk(4, dim=2)]

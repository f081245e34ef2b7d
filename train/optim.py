"""AdamW, or Muon for the matrices inside the blocks; one learning rate, and the state by parameter name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from train.config import OptimConfig
from train.errors import CheckpointError

_ADAM_STATE = ("step", "exp_avg", "exp_avg_sq")
_MUON_STATE = ("momentum_buffer",)


class Optimizers:
    """The optimizers of a model, moved on together."""

    def __init__(self, model: nn.Module, optim: OptimConfig) -> None:
        """Matrices decay, gains and biases do not (GPT-2 and GPT-3 practice).

        Muon (Jordan 2024; Liu et al. 2025, arXiv 2502.16982) takes the matrices of the blocks, with updates scaled to
        AdamW's size (section 2.2 there), so that both share learning rate and decay; embeddings, head, gains and
        biases stay with AdamW.
        """
        self._names = {parameter: name for name, parameter in model.named_parameters()}
        hidden = [p for p, name in self._names.items() if p.ndim == 2 and name.startswith("layers.")]
        muon = hidden if optim.optimizer == "muon" else []
        chosen = set(muon)
        matrices = [p for p in self._names if p.ndim >= 2 and p not in chosen]
        others = [p for p in self._names if p.ndim < 2]
        groups = [{"params": matrices, "weight_decay": optim.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                groups, lr=optim.learning_rate, betas=(optim.beta1, optim.beta2), eps=optim.eps, fused=True
            )
        ]
        if muon:
            rate, decay = optim.learning_rate, optim.weight_decay
            self.parts.append(torch.optim.Muon(muon, rate, decay, optim.muon_momentum, adjust_lr_fn="match_rms_adamw"))

    def step(self, scaler: torch.amp.GradScaler, *, leave_out: bool = False) -> None:
        """Do one update, or leave it out as a whole where fp16 gradients overflowed, and choose the next scale.

        The scaler by itself decides for each optimizer alone: Muon would move where only AdamW's gradients overflowed.
        """
        for part in () if leave_out else self.parts:
            scaler.step(part)
        scaler.update()

    def zero_grad(self) -> None:
        """Let go of the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def set_learning_rate(self, learning_rate: float) -> None:
        """Use `learning_rate` for the next step, in all groups."""
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = learning_rate

    def tensors(self) -> dict[str, Tensor]:
        """Return the state as `<parameter>.<what>`; names, not numbers, so that groups may change their order."""
        return {
            f"{self._names[parameter]}.{what}": part.state[parameter][what]
            for part in self.parts
            for parameter in self._parameters(part)
            if parameter in part.state
            for what in _state_of(part)
        }

    def blank_tensors(self) -> dict[str, Tensor]:
        """Return zeros in the shape of the state after a step, to be filled by `load`'s caller."""
        return {
            f"{self._names[parameter]}.{what}": (
                torch.zeros((), device=parameter.device) if what == "step" else torch.zeros_like(parameter).detach()
            )
            for part in self.parts
            for parameter in self._parameters(part)
            for what in _state_of(part)
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over a state; raises CheckpointError when a part of it is missing."""
        for part in self.parts:
            for parameter in self._parameters(part):
                name = self._names[parameter]
                missing = [what for what in _state_of(part) if f"{name}.{what}" not in tensors]
                if missing:
                    raise CheckpointError(f"the optimizer state lacks {name}.{missing[0]}")
                part.state[parameter] = {
                    what: tensors[f"{name}.{what}"].to(device=parameter.device, copy=True) for what in _state_of(part)
                }

    def _parameters(self, part: torch.optim.Optimizer) -> list[nn.Parameter]:
        return [parameter for group in part.param_groups for parameter in group["params"]]


def _state_of(part: torch.optim.Optimizer) -> tuple[str, ...]:
    return _MUON_STATE if isinstance(part, torch.optim.Muon) else _ADAM_STATE

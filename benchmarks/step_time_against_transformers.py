"""A training step of ours against the same model from `transformers` in a plain loop, interleaved: ms and their ratio.

    python benchmarks/step_time_against_transformers.py --pairs 9

Both have the same weights, data, threads and fused AdamW with the same groups, in fp32 on the CPU: forward, loss,
backward, clipping, update. 2,048 tokens a step. The peer is `Qwen3ForCausalLM` with `labels`, as its documentation
trains it. The first step of each warms up and is not counted; the losses of the last step are compared.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from train.config import TrainConfig
from train.families import FAMILIES, describe, to_transformers
from train.model import Decoder, init_weights
from train.optim import Optimizers
from train.overrides import build_config

N_TOKENS = 2_048
VOCAB = 8_192


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--presets", nargs="+", default=["5m", "30m"])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    for preset in given.presets:
        config = build_config(preset, {"model": {"vocab_size": VOCAB, "eos_id": 0}})
        ours, theirs = our_step(config), their_step(config)
        ours(0), theirs(0)
        times: list[tuple[float, float]] = []
        for number in range(1, given.pairs + 1):
            pair = [timed(step, number) for step in ((ours, theirs) if number % 2 else (theirs, ours))]
            times.append((pair[0][0], pair[1][0]) if number % 2 else (pair[1][0], pair[0][0]))
            losses = [loss for _, loss in pair]
            assert abs(losses[0] - losses[1]) < 1e-2 * losses[0], losses
        ratio = statistics.median(b / a for a, b in times)
        mine, peer = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
        print(f"{preset}: {mine:.0f} ms ours, {peer:.0f} ms transformers, ratio {ratio:.2f} (median of {given.pairs})")


def batch(config: TrainConfig, number: int) -> torch.Tensor:
    rows = N_TOKENS // config.data.seq_len
    generator = torch.Generator().manual_seed(number)
    return torch.randint(1, VOCAB, (rows, config.data.seq_len + 1), generator=generator)


def our_step(config: TrainConfig) -> Callable[[int], float]:
    model = Decoder(config.model)
    init_weights(model, 0)
    optimizers = Optimizers(model, config.optim)
    scaler = torch.amp.GradScaler("cpu", enabled=False)

    def step(number: int) -> float:
        row = batch(config, number)
        loss = model.token_losses(row[:, :-1], row[:, 1:]).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers.step(scaler)
        optimizers.zero_grad()
        return float(loss)

    return step


def their_step(config: TrainConfig) -> Callable[[int], float]:
    import transformers

    ours = Decoder(config.model)
    init_weights(ours, 0)
    described = describe(config.model, config.data.seq_len)
    model: Any = getattr(transformers, FAMILIES[described["model_type"]])(
        transformers.AutoConfig.for_model(**described)
    )
    model.load_state_dict(to_transformers(config.model, ours.state_dict()), strict=False)
    model.tie_weights()
    model.train()
    optim = config.optim
    groups = [
        {"params": [p for p in model.parameters() if p.ndim >= 2], "weight_decay": optim.weight_decay},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    betas = (optim.beta1, optim.beta2)
    optimizer = torch.optim.AdamW(groups, lr=optim.learning_rate, betas=betas, eps=optim.eps, fused=True)

    def step(number: int) -> float:
        row = batch(config, number)
        loss = model(input_ids=row[:, :-1], labels=row[:, 1:], shift_labels=row[:, 1:].contiguous()).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return float(loss)

    return step


def timed(step: Callable[[int], float], number: int) -> tuple[float, float]:
    started = time.perf_counter()
    loss = step(number)
    return time.perf_counter() - started, loss


if __name__ == "__main__":
    main()

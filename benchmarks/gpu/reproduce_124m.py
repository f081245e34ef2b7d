"""Train 124M parameters on token shards to GPT-2's held-out loss: tokens and minutes it took.

    curate train-tokenizer … && curate tokenize … -o shards        # e.g. ten billion tokens of FineWeb
    torchrun --nproc-per-node=8 benchmarks/gpu/reproduce_124m.py shards out/gpt2 --recipe gpt2
    torchrun --nproc-per-node=8 benchmarks/gpu/reproduce_124m.py shards out/ours --recipe ours

`gpt2` is llm.c's recipe for the same goal (GPT-2's network, 524,288 tokens a step, 19,560 steps, cosine to zero);
`ours` the preset 124m with Muon and WSD. The goal is llm.c's: 3.28 nats per token on FineWeb's held-out documents,
with GPT-2's tokenizer; with another tokenizer compare bits per byte instead.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from train import api
from train.metrics import read_metrics

RECIPES = {
    "gpt2": (
        "gpt2",
        19_560,
        ("optim.schedule=cosine", "optim.warmup_steps=700", "optim.learning_rate=6e-4", "data.micro_batch_size=64"),
    ),
    "ours": ("124m", 6_000, ("optim.optimizer=muon", "optim.learning_rate=2e-3", "data.mask_documents=true")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tokens", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--recipe", choices=sorted(RECIPES), default="ours")
    parser.add_argument("--goal-nats", type=float, default=3.28)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--every", type=int, default=250, help="steps between evaluations")
    parser.add_argument("--settings", nargs="*", default=[])
    given = parser.parse_args()
    preset, n_steps, settings = RECIPES[given.recipe]
    n_steps = given.steps or n_steps
    more = (f"loop.eval_every={given.every}", "loop.eval_tokens=10000000", *settings, *given.settings)
    started = time.monotonic()
    api.train(given.tokens, given.out, preset=preset, steps=n_steps, settings=more)
    minutes = (time.monotonic() - started) / 60
    rows = read_metrics(given.out / "metrics.jsonl")
    scores = [row for row in rows if row.get("split") == "val"]
    tokens = {row["step"]: row["n_tokens"] for row in rows if "loss" in row}
    reached = next((row for row in scores if row["nats_per_token"] <= given.goal_nats), None)
    best = min(scores, key=lambda row: row["nats_per_token"])
    print(json.dumps({
        "recipe": given.recipe, "minutes": round(minutes, 1), "best_nats": best["nats_per_token"],
        "bits_per_byte": best["bits_per_byte"], "goal_nats": given.goal_nats,
        "reached_at_step": reached and reached["step"], "tokens": reached and tokens[reached["step"]],
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    main()

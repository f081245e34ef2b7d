"""The card of a trained n-gram model: what it is made of and how good it is, for people and for programs."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from curate.ngrams.settings import NgramSettings, tokens_note

MODEL_FILE = "model.arpa.gz"
LIMITS = """\
- A perplexity says how like the training text a text is, in its words and their order. That is quality only as far as
  the training text is what you want, and its language only.
- It depends on the vocabulary and the tokens: figures of two models cannot be compared.
- Short texts vary much. Lists, tables, code and verse have high perplexity; text that repeats itself has low.
"""


def write_card(folder: Path, facts: dict[str, Any], settings: NgramSettings) -> None:
    """Write card.json and card.md. No clock and no path goes into them."""
    chosen = dataclasses.asdict(settings)
    chosen["tokenizer"] = None if settings.tokenizer is None else tokens_note(settings.tokenizer)
    card = {"model": {"file": MODEL_FILE, **facts}, "settings": chosen}
    (folder / "card.json").write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    discounts = "; ".join(
        ", ".join(f"{value:.3f}" for value in row) + (" (fallback)" if fell_back else "")
        for row, fell_back in zip(facts["discounts"], facts["discounts_fell_back"], strict=True)
    )
    lines = [
        f"# Model card: {settings.order}-gram model of {tokens_note(settings.tokenizer)}",
        "",
        f"`{MODEL_FILE}`, {facts['model_bytes']:,} bytes, sha256",
        f"`{facts['sha256']}`.",
        f"`perplexity: {{model: {MODEL_FILE}}}` asks it; so does any reader of ARPA files.",
        "",
        "| | |",
        "|---|--:|",
        f"| texts learnt from | {facts['n_texts']:,} |",
        f"| texts past max_tokens | {facts['n_left_over']:,} |",
        f"| tokens learnt from | {facts['n_tokens']:,} |",
        f"| distinct words among them | {facts['n_distinct_words']:,} |",
        *(f"| {n}-grams | {count:,} |" for n, count in enumerate(facts["n_ngrams"], 1)),
        f"| held-out tokens | {facts['n_held_out_tokens']:,} |",
        f"| perplexity of the held-out texts | {facts['perplexity']:.1f} |",
        f"| unknown words among them | {facts['unknown_frac']:.2%} |",
        "",
        f"The sha256 of the texts, in order of their hash: `{facts['digest']}`.",
        "Settings: " + ", ".join(f"{name} {value}" for name, value in chosen.items()) + ".",
        f"Interpolated modified Kneser-Ney; discounts of each order: {discounts}.",
        "",
        "## Limits",
        "",
        LIMITS.rstrip(),
    ]
    (folder / "card.md").write_text("\n".join(lines) + "\n", encoding="utf-8")

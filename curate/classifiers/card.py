"""The card of a trained classifier: what it is made of and how good it is, for people and for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from curate.classifiers.figures import AtThreshold, Figures, plot
from curate.classifiers.texts import Counts

LIMITS = """\
- The score is the share of the positives' kind as this training saw it: at another ratio of the two kinds the same
  score means another probability. For the best share of a corpus, rank that corpus (`quantile`) instead.
- What tells the sides apart best is learnt, be it quality or not: subject, length, layout, language. Read docs of high
  and of low score before you trust it.
- Held-out docs come from the same sources as those that were learnt. Copies are removed before the split, near copies
  are not; sites are kept whole where docs have a URL, unless the split was by text.
- Short texts, and languages that training did not have, get scores that mean little.
"""


SIDES = ("positives", "negatives")


def write_card(folder: Path, facts: Mapping[str, Any], counts: Counts, figures: Figures) -> None:
    """Write card.json, card.md and calibration.svg. No clock and no path goes into them: same training, same bytes."""
    data = [
        {"side": side, **{name: values[i] for name, values in dataclasses.asdict(counts).items() if _is_list(values)}}
        for i, side in enumerate(SIDES)
    ]
    card = {
        "model": dict(facts),
        "data": {"sides": data, "n_on_both_sides": counts.n_on_both_sides},
        "held_out": dataclasses.asdict(figures),
    }
    (folder / "card.json").write_text(json.dumps(card, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    (folder / "card.md").write_text("\n".join(_lines(facts, data, counts, figures)) + "\n", encoding="utf-8")
    (folder / "calibration.svg").write_text(plot(figures.bins), encoding="utf-8")


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _lines(
    facts: Mapping[str, Any], data: Sequence[Mapping[str, Any]], counts: Counts, figures: Figures
) -> Iterator[str]:
    settings = facts["settings"]
    yield f"# Model card: {settings['label']} against {settings['other_label']}"
    yield ""
    yield f"A fastText classifier of docs: `{facts['file']}`, {facts['bytes']:,} bytes, sha256"
    yield f"`{facts['sha256']}`."
    yield f"Its score is the probability of `{settings['label']}`; `model_quality: {{model: {facts['file']}}}` asks it."
    yield from ("", "## Data", "")
    yield from _data(data, counts)
    yield from ("", "## On the held-out docs", "")
    yield from _held_out(figures)
    yield from ("", "## Settings", "")
    yield ", ".join(f"{name} {value}" for name, value in settings.items()) + "."
    yield f"Made with {', '.join(f'{name} {version}' for name, version in facts['library'].items())}, one thread."
    yield f"The model sees: {facts['text_is']}."
    yield from ("", "## Limits", "", LIMITS.rstrip())


def _data(data: Sequence[Mapping[str, Any]], counts: Counts) -> Iterator[str]:
    yield f"| | {' | '.join(SIDES)} |"
    yield "|---|--:|--:|"
    for name, title in (
        ("n_read", "docs read"), ("n_empty", "without a word"), ("n_copies", "copies of another"),
        ("n_left_over", "past max_docs"), ("n_train", "trained on"), ("n_held_out", "held out"),
        ("n_train_sites", "sites trained on"), ("n_held_out_sites", "sites held out"),
    ):  # fmt: skip
        yield f"| {title} | " + " | ".join(f"{side[name]:,}" for side in data) + " |"
    yield ""
    yield f"Texts on both sides, used on neither: {counts.n_on_both_sides:,}. The sha256 of the texts that were used,"
    yield f"in order of their hash: positives `{counts.digests[0]}`, negatives `{counts.digests[1]}`."


def _held_out(figures: Figures) -> Iterator[str]:
    yield f"ROC-AUC {figures.roc_auc:.4f}, average precision {figures.average_precision:.4f}, Brier score"
    yield f"{figures.brier:.4f}, calibration error {figures.calibration_error:.4f} (![plot](calibration.svg))."
    yield ""
    yield "| docs taken | threshold | precision | recall | F1 | negatives that pass |"
    yield "|---|--:|--:|--:|--:|--:|"
    yield _row("score 0.5 and more", figures.at_half)
    for wanted, found in figures.by_precision:
        yield _row(f"precision {wanted:g} and more", found)
    for frac, at in figures.by_top_frac:
        yield _row(f"the best {frac:.0%} of the negatives pass", at)
    yield ""
    yield "Where the negatives are a sample of the crawl, the last rows are thresholds for that share of it."
    yield ""
    yield "| score | docs | mean score | share of positives |"
    yield "|---|--:|--:|--:|"
    for b in figures.bins:
        shown = "– | –" if b.mean_score is None else f"{b.mean_score:.3f} | {b.positive_frac:.3f}"
        yield f"| {b.low:.1f}–{b.high:.1f} | {b.n_docs:,} | {shown} |"


def _row(title: str, at: AtThreshold | None) -> str:
    if at is None:
        return f"| {title} | none reaches it | | | | |"
    values = (at.precision, at.recall, at.f1, at.negative_frac)
    return f"| {title} | {at.threshold:.6f} | " + " | ".join(f"{value:.4f}" for value in values) + " |"

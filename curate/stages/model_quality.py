"""Score each doc with a fastText classifier that knows good text from the rest of the web."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InputError
from curate.registry import nearest, stage
from curate.schema import check_column
from curate.stage import Verdict, flag

MAX_CHARS = 1_000_000
_BLANK = " \t\n\v\f\r\0"  # what fastText cuts words at


@stage(version=1, reads=["text"], reasons=["model_score_too_low"], uses=["fasttext-numpy2-wheel"])
class ModelQuality:
    """Write how probable a fastText model finds `label` for each doc; drop docs below `min_score`.

    Shapes: reads text[n_docs], writes `column`[n_docs], float32 in [0, 1], null for a doc without a word. Without a
    `min_score` nothing is dropped; with one, a doc without a word is dropped too. To keep the best share of the
    corpus instead of a score, put `quantile` below. Two models in one recipe need an `id` and a `column` each.

    The model sees the lines of the text joined by spaces, nothing else changed: what DCLM's code does and
    `curate train-classifier` trains on. It reads the first 1,000,000 characters, which bounds memory to some
    100 MB; DCLM reads all.

    Recipe: DCLM-Baseline (Li et al. 2024, arXiv:2406.11794, section 4.4) keeps docs of score 0.018112 and more, the
    best tenth of its corpus, by a model of word bigrams that knows instructions (OpenHermes 2.5) and well-liked
    answers (ELI5) from a sample of the web; `hq` is that model's label. A score means nothing without its model:
    take the threshold from the card of the model, or a share. Raises InputError for a model without the label.
    """

    model: Annotated[Path, "a fastText model, such as the model.bin that curate train-classifier writes"]
    label: Annotated[str, "the model's label for good text, without __label__"] = "hq"
    min_score: Annotated[float | None, "lowest score that is kept; none keeps all"] = None
    column: Annotated[str, "what the column of scores is called"] = "model_quality_score"

    decides = ("min_score",)

    def __post_init__(self) -> None:
        if self.min_score is not None and not 0.0 <= self.min_score <= 1.0:
            raise InputError(f"model_quality: min_score is {self.min_score}, allowed: 0 to 1")
        check_column("model_quality", self.column)

    @property
    def writes(self) -> dict[str, pa.DataType]:
        return {self.column: pa.float32()}

    @property
    def decides_by(self) -> tuple[str, ...]:
        return (self.column,)

    def checks_columns(self, columns: Mapping[str, pa.DataType | None]) -> None:
        """Raise InputError where the model does not know the label."""
        from curate.models import LABEL, load_fasttext

        labels = [name.removeprefix(LABEL) for name in load_fasttext(self.model).get_labels()]
        if self.label not in labels:
            raise InputError(f"label {self.label!r} is none of the model's{nearest(self.label, labels)}")

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        from curate.models import LABEL, load_fasttext

        self.checks_columns({})
        model = load_fasttext(self.model)
        scores = [score_of(model, LABEL + self.label, line_of(text)) for text in batch["text"].to_pylist()]
        columns = {self.column: pa.array(scores, pa.float32())}
        return Verdict(columns, self.decide(pa.RecordBatch.from_pydict(columns)))

    def decide(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the drop_reason, string[n], of docs from their scores."""
        if self.min_score is None:
            return pa.nulls(batch.num_rows, pa.string())
        enough = pc.greater_equal(batch[self.column], pa.scalar(self.min_score, pa.float32()))
        return flag(pc.invert(pc.fill_null(enough, False)), "model_score_too_low")

    def explain(self, reason: str, signals: Mapping[str, Any]) -> str:
        """Return the score behind a reason."""
        score = signals.get(self.column)
        found = "no score: there is no word" if score is None else f"{self.column} = {score:.6f}"
        return f"{found} < {self.min_score:g} (min_score)" if score is not None else found


def line_of(text: str | None) -> str:
    """Return what a model sees of a text: one line, "" where there is no word.

    What fastText takes for a label or for the end of the line is taken apart: a page is not to label itself.
    """
    line = " ".join((text or "")[:MAX_CHARS].strip().splitlines()).strip(_BLANK)
    return line.replace("__label", " label").replace("</s>", "< /s>")


def score_of(model: object, label: str, line: str) -> float | None:
    """Return the probability of a label in [0, 1] for a line of `line_of`; None for ""."""
    if not line:
        return None
    found = model.f.predict(line + "\n", -1, 0.0, "strict")  # type: ignore[attr-defined]
    # fastText's softmax can end a hair above 1; a label that is not listed has probability 0
    return next((min(float(score), 1.0) for score, name in found if name == label), 0.0)

"""Measure how surprising each doc is to an n-gram model of good text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InputError
from curate.registry import stage
from curate.schema import check_column
from curate.stage import Verdict, first_reason, flag

BUNDLED = "ngrams.en.arpa.gz"


@stage(
    version=1,
    reasons=["perplexity_too_high", "perplexity_too_low"],
    assets=[BUNDLED, "text_tables.npz"],
)
class Perplexity:
    """Write the perplexity of each doc under an n-gram model; drop docs above or below a limit.

    Shapes: reads text[n_docs], writes `column`[n_docs], float32, 10 ** (-log10 p / n) rounded to a tenth, where n is
    the doc's tokens and one end for each line; null for a doc without a token, which no limit drops. Without a limit
    nothing is dropped. The first 1,000,000 characters are read. For the bands head, middle and tail of a language,
    put `quantile` below, with `by: perplexity`, `best: lowest`, `bands` and `per: language`.

    `model` is an ARPA file, plain or gzip, of any tool, up to order 8; a binary file of KenLM needs the package
    kenlm. `curate train-ngrams` makes one. `models` is a folder with one for each language, called en.arpa.gz, de.bin
    and so on; it needs `language` above, and docs of other languages have no perplexity. Without `tokenizer`, tokens
    are words in lower case, their digits 0, punctuation by itself; a model of a tokenizer's pieces is asked with that
    tokenizer.json. The bundled model is a small one of English words (`curate/assets/ngrams.en.md` says what it can
    tell apart, and what it cannot).

    Recipe: CCNet (Wenzek et al. 2020, arXiv:1911.00359, section 3.3), whose models are 5-grams of SentencePiece
    tokens of Wikipedia. Its code also folds accents and punctuation, and counts empty lines; this does neither.
    Raises InputError for a model that cannot be read, or that another tokenizer made.
    """

    model: Annotated[Path | None, "an ARPA file or KenLM's binary form; the bundled English one if not given"] = None
    models: Annotated[Path | None, "a folder of such files, each named by the language of the docs it is for"] = None
    tokenizer: Annotated[Path | None, "the tokenizer.json whose pieces the model is of; words if not given"] = None
    max_perplexity: Annotated[float | None, "highest perplexity that is kept; none keeps all"] = None
    min_perplexity: Annotated[float | None, "lowest perplexity that is kept; none keeps all"] = None
    column: Annotated[str, "what the column is called"] = "perplexity"

    decides = ("max_perplexity", "min_perplexity")

    def __post_init__(self) -> None:
        for name in ("max_perplexity", "min_perplexity"):
            limit = getattr(self, name)
            if limit is not None and not 1.0 <= limit < math.inf:
                raise InputError(f"perplexity: {name} is {limit}; allowed: 1 and more")
        check_column("perplexity", self.column)
        low, high = self.min_perplexity, self.max_perplexity
        if low is not None and high is not None and low > high:
            raise InputError(f"perplexity: min_perplexity {low:g} is above max_perplexity {high:g}: nothing is kept")
        if self.model is not None and self.models is not None:
            raise InputError("perplexity: model is for all docs, models is one for each language; give one of them")
        if self.model is None and self.models is None and self.tokenizer is not None:
            raise InputError("perplexity: the bundled model is one of words; a tokenizer needs a model of its own")

    @property
    def reads(self) -> tuple[str, ...]:
        return ("text",) if self.models is None else ("text", "language")

    @property
    def writes(self) -> dict[str, pa.DataType]:
        return {self.column: pa.float32()}

    @property
    def decides_by(self) -> tuple[str, ...]:
        return (self.column,)

    def checks_columns(self, columns: Mapping[str, pa.DataType | None]) -> None:
        """Raise InputError where the model cannot be read. Its kernels are compiled here, before workers start."""
        from curate.ngrams.model import model_files, perplexities

        if self.models is None:
            perplexities(pa.array(["a"], pa.string()), self._model(), self.tokenizer)
        elif not model_files(self.models):
            raise InputError(f"models: {self.models} has no file such as en.arpa.gz")

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        from curate.ngrams.model import perplexities, perplexities_by_language

        if self.models is None:
            found = perplexities(batch["text"], self._model(), self.tokenizer)
        else:
            found = perplexities_by_language(batch["text"], batch["language"], self.models, self.tokenizer)
        columns = {self.column: pa.array(found, pa.float32())}
        return Verdict(columns, self.decide(pa.RecordBatch.from_pydict(columns)))

    def decide(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the drop_reason, string[n], of docs from their perplexities."""
        found, reasons = batch[self.column], [pa.nulls(batch.num_rows, pa.string())]
        if self.max_perplexity is not None:
            too_high = pc.greater(found, pa.scalar(self.max_perplexity, pa.float32()))
            reasons.append(flag(too_high, "perplexity_too_high"))
        if self.min_perplexity is not None:
            too_low = pc.less(found, pa.scalar(self.min_perplexity, pa.float32()))
            reasons.append(flag(too_low, "perplexity_too_low"))
        return first_reason(*reasons)

    def explain(self, reason: str, signals: Mapping[str, Any]) -> str:
        """Return the perplexity behind a reason."""
        if signals.get(self.column) is None:
            return ""
        high = reason == "perplexity_too_high"
        limit = f"> {self.max_perplexity:g} (max_perplexity)" if high else f"< {self.min_perplexity:g} (min_perplexity)"
        return f"{self.column} = {signals[self.column]:.1f} {limit}"

    def _model(self) -> Path:
        from curate.models import asset

        return asset(BUNDLED) if self.model is None else self.model

"""Identify the language and the script of each doc, and keep the languages that are wanted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InputError
from curate.registry import nearest, stage
from curate.stage import Verdict, first_reason, flag

UNDETERMINED = "und"  # ISO 639-2
DEFAULT_MIN_SCORE = 0.65

_COLUMNS = {
    "language": pa.string(),
    "language_score": pa.float32(),
    "language_raw": pa.string(),
    "script": pa.string(),
}
_SECOND = {"language_2": pa.string(), "language_2_score": pa.float32()}
_SPAN = [("start_bytes", pa.int64()), ("end_bytes", pa.int64()), ("language", pa.string()), ("score", pa.float32())]
_SPANS = {"language_spans": pa.list_(pa.struct(_SPAN))}


@stage(version=3, reads=["text"], uses=["numba"], assets=["lid.176.ftz", "languages.tsv", "scripts.tsv"])
class Language:
    """Write each doc's language, how sure the model is, and the script; drop languages that are not in `keep`.

    Shapes: reads text[n_docs]; writes language_raw[n_docs], the model's label (lid.176: ISO 639-1 where there is one),
    null for a text without a word; language_score[n_docs], its probability in [0, 1] among the languages that are
    written in the text's scripts; script[n_docs], ISO 15924 of most letters (Jpan: Kana with or without Han), null
    without letters; and language[n_docs], what is decided: the label, or `und` where the text has fewer than
    `min_letters` letters, where the model knows no language in its main script (both scores are null then), or where
    the score is below `und_below`.

    The model sees at most 2,048 bytes: eight pieces of 256, spread from start to end. A label in a script that fewer
    than 5 % of the sample's letters belong to is never given; a sample with two thirds of capitals is lowered.

    `min_score` counts only when `keep` names languages; 0.65 is FineWeb's limit for English (arXiv:2406.17557: at least
    0.65; its code asks for more than that) and RefinedWeb's (arXiv:2306.01116). `min_scores` has limits for single
    languages, as FineWeb2 has (arXiv:2506.20920). `und` may be kept like a language, and has no lowest score.
    `agree_with` asks a second model, of any scheme of labels (GlotLID's `eng_Latn` is `en`), and drops docs on which
    the two disagree; a language agrees with its macrolanguage, and a label that names none (`und_Latn`) with all.
    datatrove's LanguageFilter asks the same model (unquantised) about the whole text and looks at no script. Model:
    Joulin et al. 2016 (arXiv:1607.01759). Raises InputError for a code the model does not know, and for a second model
    whose labels name none of its languages.
    """

    keep: Annotated[tuple[str, ...], "codes of the languages to keep, such as en; none keeps all"] = ()
    min_score: Annotated[float, "lowest score at which a language in keep is kept"] = DEFAULT_MIN_SCORE
    min_scores: Annotated[Mapping[str, float] | None, "other lowest scores, by language"] = None
    model: Annotated[Path | None, "a fastText model of your own instead of lid.176"] = None
    agree_with: Annotated[Path | None, "a second fastText model, such as GlotLID's, that must agree"] = None
    min_letters: Annotated[int, "fewest letters in the sample at which a language is told"] = 1
    und_below: Annotated[float, "score below which the language is und"] = 0.0
    spans: Annotated[bool, "also write which stretches of the text are in which language"] = False

    decides = ("keep", "min_score", "min_scores")

    @property
    def compile_shares(self) -> tuple[str, ...]:
        """What is compiled: spans have a kernel of their own, see `curate.compiling`."""
        return ("spans",) if self.spans else ("labels",)

    def __post_init__(self) -> None:
        from curate.models import LID_176_LANGUAGES

        limits = {"min_score": self.min_score, "und_below": self.und_below}
        limits |= {f"min_scores.{code}": limit for code, limit in (self.min_scores or {}).items()}
        for name, limit in limits.items():
            if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0.0 <= limit <= 1.0:
                raise InputError(f"language: {name} is {limit}, allowed: 0 to 1")
        if self.min_letters < 1:
            raise InputError(f"language: min_letters is {self.min_letters}, allowed: 1 or more")
        if not self.keep and self.min_score != DEFAULT_MIN_SCORE:
            raise InputError("language: min_score has no effect without keep; name the languages to keep")
        for code in self.min_scores or {} if self.keep else {}:
            if code not in self.keep:
                raise InputError(f"language: min_scores has {code!r}, which keep has not{nearest(code, self.keep)}")
        if self.model is None:
            self._check_codes(LID_176_LANGUAGES)

    @property
    def writes(self) -> Mapping[str, pa.DataType]:
        return {**_COLUMNS, **(_SECOND if self.agree_with else {}), **(_SPANS if self.spans else {})}

    @property
    def reasons(self) -> tuple[str, ...]:
        return ("language_not_kept", "language_score_too_low", *(("models_disagree",) if self.agree_with else ()))

    @property
    def decides_by(self) -> tuple[str, ...]:
        return ("language", "language_score", *(("language_raw", "language_2") if self.agree_with else ()))

    def checks_columns(self, columns: Mapping[str, pa.DataType | None]) -> None:
        """Raise InputError for a file that is no model, and for a code that a model of one's own does not know."""
        from curate.models import language_codes

        if self.model is not None:
            self._check_codes(language_codes(self.model))
        if self.agree_with is not None:
            self._check_labels(language_codes(self.model), language_codes(self.agree_with))

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        from curate.kernels.language.identify import identify, texts_of
        from curate.kernels.language.tables import scripts
        from curate.models import language_identifier

        self.checks_columns({})
        identifier, texts = language_identifier(self.model), texts_of(batch["text"])
        found = identify(texts, identifier)
        raw, score = _labels(identifier.fasttext.labels, found.labels), _scores(found.scores)
        too_few = pc.less(pa.array(found.n_letters, pa.int32()), self.min_letters)
        unsure = pc.fill_null(pc.less(score, pa.scalar(self.und_below, pa.float32())), True)
        columns = {
            "language": pc.if_else(pc.or_(too_few, unsure), pa.scalar(UNDETERMINED, pa.string()), raw),
            "language_score": score,
            "language_raw": raw,
            "script": _labels(scripts(), found.scripts, none=0),
        }
        if self.agree_with is not None:
            second = language_identifier(self.agree_with)
            others = identify(texts, second)
            columns["language_2"] = _labels(second.fasttext.labels, others.labels)
            columns["language_2_score"] = _scores(others.scores)
        if self.spans:
            from curate.kernels.language.spans import spans_of

            found_spans = [[span._asdict() for span in spans] for spans in spans_of(texts, found, identifier)]
            columns["language_spans"] = pa.array(found_spans, _SPANS["language_spans"])
        reason = self.decide(pa.RecordBatch.from_pydict(columns)) if self._may_drop else None
        return Verdict(columns, reason)

    def decide(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the drop_reason, string[n], of docs from the columns of an earlier run."""
        reasons = [pa.nulls(batch.num_rows, pa.string())]
        if self.keep:
            wanted = pc.is_in(batch["language"], pa.array(self.keep, pa.string()))
            reasons.append(flag(pc.invert(wanted), "language_not_kept"))
        reasons.append(
            flag(pc.less(batch["language_score"], self._limits(batch["language"])), "language_score_too_low")
        )
        if self.agree_with:
            reasons.append(flag(_disagree(batch), "models_disagree"))
        return first_reason(*reasons)

    def explain(self, reason: str, signals: Mapping[str, Any]) -> str:
        """Return what was found and what was asked for."""
        language, score = signals.get("language"), signals.get("language_score")
        if reason == "language_not_kept":
            return f"language = {language}, kept: {', '.join(self.keep)}"
        if reason == "language_score_too_low" and score is not None:
            limit = (self.min_scores or {}).get(str(language), self.min_score)
            return f"language_score = {score:.4g} < {limit:g} of {language}"
        if reason == "models_disagree":
            return f"language_raw = {signals.get('language_raw')}, language_2 = {signals.get('language_2')}"
        return ""

    @property
    def _may_drop(self) -> bool:
        return bool(self.keep or self.min_scores or self.agree_with)

    def _limits(self, language: pa.Array) -> pa.Array:
        """Return float32[n]: the lowest score of each doc's language, null where there is none, as of `und`."""
        given = {UNDETERMINED: None, **(self.min_scores or {})}
        limits = pa.array([*given.values(), self.min_score if self.keep else None], pa.float32())
        rank = pc.index_in(language, pa.array(list(given), pa.string()))
        return limits.take(pc.fill_null(rank, len(given)))

    def _check_codes(self, known: frozenset[str]) -> None:
        if UNDETERMINED in (self.min_scores or {}):
            raise InputError("language: min_scores has 'und', which is what has no language, at any score")
        known |= {UNDETERMINED}
        for name, codes in (("keep", self.keep), ("min_scores", tuple(self.min_scores or {}))):
            for code in codes:
                if code not in known:
                    raise InputError(
                        f"language: {name} has {code!r}, which the model does not know{nearest(code, known)}"
                    )

    def _check_labels(self, known: frozenset[str], labels: frozenset[str]) -> None:
        from curate.languages import code_of

        if not {code_of(label) for label in known} & {code_of(label) for label in labels}:
            raise InputError(
                f"language: no label of {self.agree_with}, such as {min(labels)!r}, is a language that the first model "
                "knows; codes of ISO 639 are understood, such as en, eng and eng_Latn"
            )


def _labels(names: Iterable[str], numbers: Any, none: int = -1) -> pa.Array:
    return pa.array(list(names), pa.string()).take(pa.array(numbers, pa.int32(), mask=numbers == none))


def _scores(scores: Any) -> pa.Array:
    return pa.array(scores, pa.float32(), mask=scores != scores)  # NaN alone is not itself


def _disagree(batch: pa.RecordBatch) -> pa.Array:
    """Return bool[n]: both models named a language, and not the same."""
    from curate.languages import is_language, same_language

    told = zip(*(batch[name].to_pylist() for name in ("language", "language_raw", "language_2")), strict=True)
    return pa.array(
        [
            language != UNDETERMINED and is_language(raw) and is_language(other) and not same_language(raw, other)
            for language, raw, other in told
        ],
        pa.bool_(),
    )

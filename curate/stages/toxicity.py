"""Measure toxic and sexual content by words, C4's old list, a classifier of sentences or a model of one's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InputError
from curate.registry import nearest, stage
from curate.stage import Verdict, first_reason, flag
from curate.toxicity.lexicon import LEXICONS, count_terms

SPANS = pa.list_(
    pa.struct([("start_bytes", pa.int64()), ("end_bytes", pa.int64()), ("label", pa.string()), ("score", pa.float32())])
)
BY_WORDS = {"toxic_words": pa.int32(), "n_toxicity_words": pa.int32(), "toxic_word_frac": pa.float32()}
BY_C4 = {"n_c4_bad_words": pa.int32()}
BY_SENTENCES = {"n_toxicity_sentences": pa.int32(), "n_toxic_sentences": pa.int32(), "toxicity_score": pa.float32()}
OF_NSFW = {"n_nsfw_sentences": pa.int32(), "nsfw_score": pa.float32()}
DEFAULT_MIN_SENTENCE_SCORE = 0.7
_LISTS, _SENTENCES = ("lexicon", "c4", "c4/tfds"), ("classifier", "model")
USED_BY = {
    "lexicon": _LISTS, "min_toxic_words": ("lexicon",), "max_toxic_word_frac": ("lexicon",),
    "min_sentence_score": _SENTENCES, "min_toxic_sentences": _SENTENCES, "max_toxic_sentence_frac": _SENTENCES,
}  # fmt: skip


@stage(
    version=2,
    reads=["text"],
    uses=["numba", "fasttext-numpy2-wheel"],
    assets=[*(f"ldnoobw/{code}.txt" for code in LEXICONS), "toxicity_words.tsv", "toxicity.npz"],
)
class Toxicity:
    """Score toxic and sexual content of each doc by one of four methods; drop docs that are dense with it.

    `lexicon` counts the terms of word lists in 28 languages, whole words in any case (LDNOOBW, with our own notes on
    senses): writes toxic_words[n_docs], n_toxicity_words[n_docs] and toxic_word_frac[n_docs], null without words.
    A doc is dropped only if it has `min_toxic_words` and their share is above `max_toxic_word_frac`. It is the
    default: it works in most languages, and shows the words it decided by. Defaults: two words and 2 % are ours.

    `classifier` scores each sentence for hate (abuse of persons or groups) and for explicit sexual content, with a
    model trained by us, for English alone: see `curate/assets/toxicity.md`. Writes n_toxicity_sentences[n_docs],
    and toxicity_score[n_docs] and nsfw_score[n_docs], of the highest sentence, in [0, 1], null without words;
    n_toxic_sentences[n_docs] and n_nsfw_sentences[n_docs] count those of at least `min_sentence_score`, and `spans`
    writes toxic_spans[n_docs], in bytes. A doc is dropped only if it has `min_toxic_sentences` of a kind and their
    share of its sentences is above `max_toxic_sentence_frac`. The model knows a word for a group of people as a
    group and no more, so that none of them is a reason.

    `model` does the same with a fastText model of sentences: hate is the sum of the probabilities of `labels`, NSFW
    that of `nsfw_labels`. Dolma (arXiv:2402.00159) cuts sentences from 0.4 on by models trained on Jigsaw's comments.

    `c4` and `c4/tfds` are C4's list as it was (Raffel et al. 2020, arXiv:1910.10683), a historic variant: one match,
    counted in n_c4_bad_words[n_docs], drops the page, and with it whole subjects and dialects (Dodge et al. 2021,
    arXiv:2104.08758). Nowhere else does a single word drop a page. The patterns differ: `curate.toxicity.c4_list`.

    What each catches and punishes is measured in docs/toxicity.md. All are wrong often enough that tagging
    (`mode: tag`) is the honest use.
    """

    method: Annotated[Literal["lexicon", "c4", "c4/tfds", "classifier", "model"], "what is asked"] = "lexicon"
    lexicon: Annotated[tuple[str, ...], "language codes of the LDNOOBW lists to count"] = ("en",)
    min_toxic_words: Annotated[int, "lexicon: fewest toxic words that can drop a doc"] = 2
    max_toxic_word_frac: Annotated[float, "lexicon: largest share of toxic words that is kept"] = 0.02
    min_sentence_score: Annotated[float, "lowest score at which a sentence is toxic"] = DEFAULT_MIN_SENTENCE_SCORE
    min_toxic_sentences: Annotated[int, "fewest toxic sentences that can drop a doc"] = 2
    max_toxic_sentence_frac: Annotated[float, "largest share of toxic sentences that is kept"] = 0.1
    spans: Annotated[bool, "also write where the toxic sentences are"] = False
    model: Annotated[Path | None, "a fastText model of your own, for method model"] = None
    labels: Annotated[tuple[str, ...], "its labels for hate, without __label__"] = ()
    nsfw_labels: Annotated[tuple[str, ...], "its labels for sexual content, without __label__"] = ()

    decides = ("min_toxic_words", "max_toxic_word_frac", "min_toxic_sentences", "max_toxic_sentence_frac")

    @property
    def compile_shares(self) -> tuple[str, ...]:
        """The method: each compiles kernels of its own, see `curate.compiling`."""
        return (self.method.replace("/", "-"),)

    def __post_init__(self) -> None:
        for code in self.lexicon:
            if code not in LEXICONS:
                raise InputError(f"toxicity: lexicon has {code!r}{nearest(code, LEXICONS)}")
        if not self.lexicon:
            raise InputError("toxicity: lexicon must name at least one list")
        for name in ("min_toxic_words", "min_toxic_sentences"):
            if getattr(self, name) < 1:
                raise InputError(f"toxicity: {name} is {getattr(self, name)}, allowed: 1 or more")
        for name in ("max_toxic_word_frac", "min_sentence_score", "max_toxic_sentence_frac"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"toxicity: {name} is {getattr(self, name)}, allowed: 0 to 1")
        for field in dataclasses.fields(self):
            methods = USED_BY.get(field.name, (self.method,))
            if self.method not in methods and getattr(self, field.name) != field.default:
                raise InputError(
                    f"toxicity: {field.name} has no effect with method {self.method}, only with {', '.join(methods)}"
                )
        if (self.method == "model") != (self.model is not None):
            raise InputError("toxicity: method model needs a model, and a model needs method: model")
        if (self.method == "model") != bool(self.labels or self.nsfw_labels):
            raise InputError("toxicity: method model needs labels or nsfw_labels, the other methods have none")
        if self.spans and not self._by_sentences:
            raise InputError(f"toxicity: method {self.method} has no spans; classifier and model have")

    @property
    def writes(self) -> Mapping[str, pa.DataType]:
        if self.method == "lexicon":
            return BY_WORDS
        if not self._by_sentences:
            return BY_C4
        nsfw = OF_NSFW if self._of_nsfw else {}
        return {**BY_SENTENCES, **nsfw, **({"toxic_spans": SPANS} if self.spans else {})}

    @property
    def reasons(self) -> tuple[str, ...]:
        if self.method == "lexicon":
            return ("toxic_vocabulary",)
        if not self._by_sentences:
            return ("c4_bad_word",)
        return ("toxic_sentences", *(("nsfw_sentences",) if self._of_nsfw else ()))

    @property
    def decides_by(self) -> tuple[str, ...]:
        return tuple(name for name, kind in self.writes.items() if kind != SPANS)

    def checks_columns(self, columns: Mapping[str, pa.DataType | None]) -> None:
        """Raise InputError for a label that a model of one's own does not know."""
        from curate.toxicity.external import check_labels

        if self.model is not None:
            check_labels(self.model, (*self.labels, *self.nsfw_labels))

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        text = batch["text"]
        if self.method == "lexicon":
            columns = _by_words(*count_terms(text, self.lexicon))
        elif self.method == "classifier":
            columns = self._classified(text)
        elif self.method == "model":
            columns = self._modelled(text)
        else:
            from curate.toxicity.c4_list import count_bad_words

            columns = {"n_c4_bad_words": count_bad_words(text, self.lexicon, self.method)}
        return Verdict(columns, self.decide(pa.RecordBatch.from_pydict(columns)))

    def decide(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the drop_reason, string[n], of docs from the columns that an earlier run measured."""
        if self.method == "lexicon":
            enough = pc.greater_equal(batch["toxic_words"], self.min_toxic_words)
            return flag(pc.and_(enough, _above(batch["toxic_word_frac"], self.max_toxic_word_frac)), "toxic_vocabulary")
        if not self._by_sentences:
            return flag(pc.greater(batch["n_c4_bad_words"], 0), "c4_bad_word")
        found = [flag(self._dense(batch, "n_toxic_sentences"), "toxic_sentences")]
        if self._of_nsfw:
            found.append(flag(self._dense(batch, "n_nsfw_sentences"), "nsfw_sentences"))
        return first_reason(*found)

    def explain(self, reason: str, signals: Mapping[str, Any]) -> str:
        """Return the numbers behind a reason: `3 of 12 sentences are toxic (0.25 > 0.1 …), the worst scores 0.97`."""
        counted = {"toxic_sentences": "toxic", "nsfw_sentences": "nsfw"}.get(reason)
        score = signals.get({"toxic": "toxicity_score", "nsfw": "nsfw_score"}.get(counted or "", ""))
        if counted and score is not None:
            n, of = signals[f"n_{counted}_sentences"], signals["n_toxicity_sentences"]
            limit = f"{n / of:.4g} > {self.max_toxic_sentence_frac:g} (max_toxic_sentence_frac)"
            return f"{n} of {of} sentences are {counted}: {limit}, the worst scores {score:.4g}"
        if reason == "toxic_vocabulary" and signals.get("toxic_word_frac") is not None:
            limit = f"{signals['toxic_word_frac']:.4g} > {self.max_toxic_word_frac:g} (max_toxic_word_frac)"
            return f"{signals['toxic_words']} of {signals['n_toxicity_words']} words are toxic: {limit}"
        if reason == "c4_bad_word":
            return f"n_c4_bad_words = {signals.get('n_c4_bad_words')} > 0"
        return ""

    @property
    def _by_sentences(self) -> bool:
        return self.method in ("classifier", "model")

    @property
    def _of_nsfw(self) -> bool:
        return self.method == "classifier" or bool(self.nsfw_labels)

    def _classified(self, text: pa.Array) -> dict[str, pa.Array]:
        from curate.toxicity.linear import score_sentences

        return self._columns(score_sentences(text, None, self.min_sentence_score, spans=self.spans))

    def _modelled(self, text: pa.Array) -> dict[str, pa.Array]:
        from curate.toxicity.external import score_with

        assert self.model is not None
        self.checks_columns({})
        labels = (self.labels, self.nsfw_labels)
        return self._columns(score_with(text, self.model, labels, self.min_sentence_score, spans=self.spans))

    def _columns(self, found: Any) -> dict[str, pa.Array]:
        """Return the columns of what `curate.toxicity.linear.Found` holds."""
        columns = {
            "n_toxicity_sentences": pa.array(found.n_sentences, pa.int32()),
            "n_toxic_sentences": pa.array(found.n_over[:, 0], pa.int32()),
            "toxicity_score": _scores(found.best[:, 0]),
        }
        if self._of_nsfw:
            columns["n_nsfw_sentences"] = pa.array(found.n_over[:, 1], pa.int32())
            columns["nsfw_score"] = _scores(found.best[:, 1])
        if self.spans:
            rows: list[list[dict[str, Any]]] = [[] for _ in found.n_sentences]
            for doc, start, end, label, score in found.spans:
                rows[doc].append(
                    {"start_bytes": start, "end_bytes": end, "label": ("hate", "nsfw")[label], "score": score}
                )
            columns["toxic_spans"] = pa.array(rows, SPANS)
        return columns

    def _dense(self, batch: pa.RecordBatch, name: str) -> pa.Array:
        n, of = batch[name], batch["n_toxicity_sentences"]
        some = pc.if_else(pc.greater(of, 0), of, pa.scalar(None, pa.int32()))
        frac = pc.divide(pc.cast(n, pa.float64()), pc.cast(some, pa.float64()))
        return pc.and_(
            pc.greater_equal(n, self.min_toxic_sentences),
            pc.greater(frac, pa.scalar(self.max_toxic_sentence_frac, pa.float64())),
        )


def _by_words(toxic: pa.Array, n_words: pa.Array) -> dict[str, pa.Array]:
    some = pc.if_else(pc.greater(n_words, 0), n_words, pa.scalar(None, pa.int32()))
    frac = pc.divide(pc.cast(toxic, pa.float32()), pc.cast(some, pa.float32()))
    return {"toxic_words": toxic, "n_toxicity_words": n_words, "toxic_word_frac": frac}


def _above(frac: pa.Array, limit: float) -> pa.Array:
    return pc.greater(frac, pa.scalar(limit, pa.float32()))


def _scores(scores: Any) -> pa.Array:
    return pa.array(scores, pa.float32(), mask=scores != scores)  # NaN alone is not itself

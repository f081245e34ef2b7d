"""Replace personal data in the text: e-mail addresses, phone numbers, IP addresses, IBANs, card numbers."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc

from curate.errors import InputError
from curate.registry import nearest, stage
from curate.stage import Verdict

ENTITIES = ("email", "phone", "ip", "iban", "credit_card", "us_ssn")
DEFAULT_ENTITIES = ("email", "phone", "ip", "iban", "credit_card")
# Of presidio's PhoneRecognizer; national formats of these, numbers with + of all countries.
PHONE_REGIONS = ("US", "GB", "DE", "FR", "IL", "IN", "CA", "BR")


@stage(
    version=1,
    reads=["text"],
    reasons=[],
    uses=["presidio-analyzer", "phonenumbers", "tldextract"],
)
class Redact:
    """Replace personal data in each text and count what was replaced; drops nothing.

    Shapes: reads text[n_docs], writes text[n_docs] and n_redacted__<entity>[n_docs] for each of `entities`.
    Null stays null. Applying it twice changes nothing more.

    presidio-analyzer's recognisers judge candidates that patterns pick, without any NLP model, so names and
    street addresses stay. Scores are presidio's (e-mail, IBAN and grouped card numbers with a right check
    1.0, IP 0.6, phone 0.4), with its bonus of 0.35 where a context word stands up to 40 characters before.
    Without context the weak kinds stay below the default: bare or thousands-grouped digits as a phone, bare
    digits as a card, US social security numbers, an IPv4 address whose numbers are all below 100 (1.12.2.1).
    Versions, clauses of laws, private and reserved addresses, example.org and 555-01xx are left alone.
    Not covered: "name at domain dot com", digits other than ASCII.

    `mask` writes <EMAIL>, <PHONE>, <IP>, <IBAN>, <CREDIT_CARD>, <US_SSN>. `surrogate` writes values of ranges
    reserved for documentation, chosen by a hash of the value: userNNN@example.org (RFC 2606), 192.0.2.N
    (RFC 5737), 2001:db8::N (RFC 3849), +1-555-01NN; where no such range exists it masks. datatrove's
    PIIFormatter draws real, routable addresses by a counter, so a second scan cannot tell them from leaks.
    """

    entities: Annotated[tuple[str, ...], f"what to replace, of {', '.join(ENTITIES)}"] = DEFAULT_ENTITIES
    policy: Annotated[Literal["mask", "surrogate"], "write <EMAIL> and so on, or a reserved made-up value"] = "mask"
    min_score: Annotated[float, "lowest score at which a candidate is replaced"] = 0.4
    phone_regions: Annotated[tuple[str, ...], "ISO 3166 codes whose national phone formats count"] = PHONE_REGIONS

    def __post_init__(self) -> None:
        for entity in self.entities:
            if entity not in ENTITIES:
                raise InputError(f"redact: entities has {entity!r}{nearest(entity, ENTITIES)}")
        if not self.entities or len(set(self.entities)) < len(self.entities):
            raise InputError("redact: entities must name at least one, each once")
        if self.policy not in ("mask", "surrogate"):
            raise InputError(f"redact: policy is {self.policy!r}, allowed: mask, surrogate")
        if not 0.0 <= self.min_score <= 1.0:
            raise InputError(f"redact: min_score is {self.min_score}, allowed: 0 to 1")

    @property
    def writes(self) -> Mapping[str, pa.DataType]:
        return {"text": pa.string(), **{f"n_redacted__{entity}": pa.int32() for entity in self.entities}}

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        from curate.kernels.pii import PRESCANS

        text = batch["text"]
        found = {e: pc.fill_null(pc.match_substring_regex(text, PRESCANS[e]), False) for e in self.entities}
        hit = functools.reduce(pc.or_, found.values())
        counts = {entity: [0] * len(text) for entity in self.entities}
        rewritten: list[str] = []
        for row in pc.indices_nonzero(hit).to_pylist():
            present = tuple(entity for entity in self.entities if found[entity][row].as_py())
            rewritten.append(self._redacted(text[row].as_py(), present, row, counts))
        columns = {"text": pc.replace_with_mask(text, hit, pa.array(rewritten, pa.string()))}
        columns |= {f"n_redacted__{entity}": pa.array(n, pa.int32()) for entity, n in counts.items()}
        return Verdict(columns)

    def _redacted(self, text: str, present: tuple[str, ...], row: int, counts: dict[str, list[int]]) -> str:
        """Return the text without its spans; a shorter text can bring a number near to context, so look again."""
        from curate.kernels.pii import spans_of
        from curate.models import pii_recognizers

        recognizers = pii_recognizers(self.phone_regions)
        while spans := spans_of(text, present, recognizers, self.min_score):
            parts, end = [], 0
            for span in spans:
                counts[span.entity][row] += 1
                parts += [text[end : span.start], self._replacement(span.entity, text[span.start : span.end])]
                end = span.end
            text = "".join([*parts, text[end:]])
            present = self.entities
        return text

    def _replacement(self, entity: str, value: str) -> str:
        if self.policy == "mask" or entity not in ("email", "phone", "ip"):
            return f"<{entity.upper()}>"
        number = int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "big")
        if entity == "email":
            return f"user{number % 1000:03d}@example.org"
        if entity == "phone":
            return f"+1-555-01{number % 100:02d}"
        return f"2001:db8::{number % 0xFFFF + 1:x}" if ":" in value else f"192.0.2.{number % 254 + 1}"

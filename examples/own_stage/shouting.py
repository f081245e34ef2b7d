"""A stage of one's own: measure the share of capital letters, and drop docs that shout."""

from typing import Annotated

import pyarrow as pa
import pyarrow.compute as pc

from curate.registry import stage
from curate.stage import Verdict, flag


@stage(version=1, reads=["text"], writes={"upper_frac": pa.float64()}, reasons=["shouting"])
class Shouting:
    """Drop docs in which more than `max_upper_frac` of the letters are capitals. 0.3 is our choice, from no paper."""

    max_upper_frac: Annotated[float, "largest share of capital letters that is kept"] = 0.3

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        n_upper = pc.count_substring_regex(batch["text"], r"\p{Lu}")
        n_letters = pc.count_substring_regex(batch["text"], r"\p{L}")
        n_letters = pc.if_else(
            pc.equal(n_letters, 0), pa.scalar(None, n_letters.type), n_letters
        )  # no letters: no share
        upper_frac = pc.divide(n_upper.cast(pa.float64()), n_letters.cast(pa.float64()))
        return Verdict({"upper_frac": upper_frac}, flag(pc.greater(upper_frac, self.max_upper_frac), "shouting"))

"""Models, loaded once per process: fastText models by path, and recognisers of personal data."""

from __future__ import annotations

import functools
import hashlib
from importlib.resources import files
from pathlib import Path
from typing import Any

from curate.errors import InputError

LID_176 = "lid.176.ftz"
LID_176_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
# Its labels: ISO 639-1 where there is one, else 639-3 or the code of a Wikipedia (als is Alemannic).
LID_176_LANGUAGES = frozenset(
    "af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs cv cy da de"
    " diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy ia id ie ilo"
    " io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg mhr min mk ml mn mr mrj ms"
    " mt mwl my myv mzn nah nap nds ne new nl nn no oc or os pa pam pfl pl pms pnb ps pt qu rm ro ru rue sa sah sc scn"
    " sco sd sh si sk sl so sq sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep vi vls vo wa war wuu xal xmf"
    " yi yo yue zh".split()
)
LABEL = "__label__"


def asset(name: str) -> Path:
    """Return the path of a file shipped under `curate/assets/`."""
    return Path(str(files("curate"))) / "assets" / name


@functools.cache
def load_fasttext(path: Path, sha256: str | None = None) -> Any:
    """Return the fastText model in a file; `.f.predict(line, k, min_probability, "strict")` asks it.

    A line must end in "\\n" (fastText's end-of-sentence token) and hold no other. Raises InputError where the
    file is missing, is no model, or differs from the sha256 that pins it.
    """
    if not path.is_file():
        raise InputError(f"fastText model {str(path)!r} is not a file")
    if sha256 is not None:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != sha256:
            raise InputError(f"fastText model {str(path)!r} has sha256 {found}, expected {sha256}")
    from fasttext.FastText import _FastText

    try:
        return _FastText(str(path))  # `fasttext.load_model` is this and a warning on stderr
    except ValueError as error:
        raise InputError(f"{str(path)!r} is not a fastText model: {error}") from error


@functools.cache
def language_model(path: Path | None) -> Any:
    """Return the language identifier in a file; None is the bundled lid.176.ftz."""
    return load_fasttext(asset(LID_176), LID_176_SHA256) if path is None else load_fasttext(path)


@functools.cache
def language_codes(path: Path | None) -> frozenset[str]:
    """Return the languages a model can answer with; for the bundled one without loading it."""
    if path is None:
        return LID_176_LANGUAGES
    return frozenset(label.removeprefix(LABEL) for label in language_model(path).get_labels())

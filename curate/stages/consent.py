"""Drop docs whose owners reserved them, or that are not under a licence you accept, by what their pages declared."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import pyarrow as pa

from curate.errors import InputError
from curate.kernels.html.licences import FAMILIES, OPEN, family_of
from curate.kernels.html.robots import RESTRICTIONS
from curate.registry import nearest, stage
from curate.stage import Verdict

OPEN_LICENSES = "open"  # stands for all of OPEN
ANY_AGENT = "*"
_LICENSE_REASONS = ("no_license", "license_not_allowed")


@stage(version=1, reads=["robots", "tdm_reservation", "license"], writes={})
class Consent:
    """Drop docs whose pages said no: robots directives such as noai, TDM reservations; keep only licences you name.

    Shapes: reads robots, tdm_reservation and license[n_docs], which `extract` writes; writes nothing. A page that
    said nothing is kept, unless `licenses` asks for a licence. The reason is the first that holds: the directives in
    the order of `robots`, each a reason of its own name; `tdm_reserved`; `no_license`; `license_not_allowed`.

    The signals are a page's own: meta elements, headers and links of that one page. What a site says elsewhere
    (robots.txt, ai.txt, /.well-known/tdmrep.json, its terms) is in no WARC record of the page. Sources: noai and
    noimageai were brought in by DeviantArt in 2022, noindex and the like are Google's and Bing's; TDM Reservation
    Protocol, W3C community group report of May 2024; `open` are the licences of the Open Definition 2.1. datatrove
    has no such step; dolma looks for Creative Commons licences by a regular expression over the HTML.
    """

    robots: Annotated[tuple[str, ...], "directives that drop a page, such as noai, noindex, noarchive"] = ("noai",)
    agents: Annotated[tuple[str, ...], "crawlers whose own rules count too, such as ccbot; * counts all"] = ()
    tdm: Annotated[Literal["drop", "keep"], "pages that reserve text and data mining"] = "drop"
    licenses: Annotated[
        tuple[str, ...], "keep only these: cc-by-4.0, cc-by (any version), open (any open one); none keeps all"
    ] = ()
    unlicensed: Annotated[Literal["drop", "keep"], "pages that declare none, where licenses are named"] = "drop"

    def __post_init__(self) -> None:
        for directive in self.robots:
            if directive not in RESTRICTIONS:
                raise InputError(f"consent: unknown robots directive {directive!r}{nearest(directive, RESTRICTIONS)}")
        for agent in self.agents:
            if agent != agent.strip().lower() or not agent:
                raise InputError(f"consent: the crawler {agent!r} is written in lower case, such as ccbot")
        if self.tdm not in ("drop", "keep"):
            raise InputError(f"consent: tdm is {self.tdm!r}; allowed: drop, keep")
        if self.unlicensed not in ("drop", "keep"):
            raise InputError(f"consent: unlicensed is {self.unlicensed!r}; allowed: drop, keep")
        for license in self.licenses:
            if license != OPEN_LICENSES and family_of(license) not in FAMILIES:
                known = (*FAMILIES, OPEN_LICENSES)
                raise InputError(f"consent: unknown licence {license!r}{nearest(license, known)}")
        if self.unlicensed == "keep" and not self.licenses:
            raise InputError("consent: unlicensed has no effect without licenses; name the licences to keep")

    @property
    def reasons(self) -> tuple[str, ...]:
        tdm = ("tdm_reserved",) if self.tdm == "drop" else ()
        return (*dict.fromkeys(self.robots), *tdm, *(_LICENSE_REASONS if self.licenses else ()))

    def __call__(self, batch: pa.RecordBatch) -> Verdict:
        said = (batch[name].to_pylist() for name in ("robots", "tdm_reservation", "license"))
        return Verdict({}, pa.array([self._reason(*row) for row in zip(*said, strict=True)], pa.string()))

    def explain(self, reason: str, signals: Mapping[str, Any]) -> str:
        """Return what the page declared."""
        if reason in RESTRICTIONS:
            return f"robots = {signals.get('robots')}"
        if reason == "tdm_reserved":
            policy = signals.get("tdm_policy")
            return "the page reserves text and data mining" + (f"; its policy: {policy}" if policy else "")
        if reason == "license_not_allowed":
            return f"license = {signals.get('license')}, kept: {', '.join(self.licenses)}"
        return "the page declares no licence" if reason == "no_license" else ""

    def _reason(self, robots: str | None, reserved: bool | None, license: str | None) -> str | None:
        if robots is not None:
            told = self._addressed(robots.split(","))
            for directive in self.robots:
                if directive in told:
                    return directive
        if reserved and self.tdm == "drop":
            return "tdm_reserved"
        if not self.licenses:
            return None
        if license is None:
            return "no_license" if self.unlicensed == "drop" else None
        return None if any(_covers(allowed, license) for allowed in self.licenses) else "license_not_allowed"

    def _addressed(self, directives: Iterable[str]) -> set[str]:
        """Return the directives for all crawlers, and those for the agents that count."""
        told = set()
        for said in directives:
            agent, colon, directive = said.partition(":")
            if not colon:
                told.add(said)
            elif ANY_AGENT in self.agents or agent in self.agents:
                told.add(directive)
        return told


def _covers(allowed: str, license: str) -> bool:
    """Say whether a licence is the allowed one, a version of it, or a port of it to a jurisdiction."""
    if allowed == OPEN_LICENSES:
        return family_of(license) in OPEN
    return license == allowed or (license.startswith(f"{allowed}-") and family_of(license) == family_of(allowed))

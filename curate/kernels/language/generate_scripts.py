"""Write `curate/assets/scripts.tsv`, the script of every letter of Unicode, from the tables of the package `regex`.

Run `python -m curate.kernels.language.generate_scripts` with regex installed. A test does the same and compares, so a
new version of Unicode cannot change a script unseen.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path

TARGET = Path(__file__).resolve().parents[2] / "assets" / "scripts.tsv"
HEAD = "# first and last code point of a run of letters (category L) of one script, and its ISO 15924 code\n"
# ISO 15924 codes that Unicode gives letters; Zyyy (common) and Zinh (inherited) letters tell no script.
_CODES = """
    Adlm Aghb Ahom Arab Armi Armn Avst Bali Bamu Bass Batk Beng Bhks Bopo Brah Bugi Buhd Cakm Cans Cari Cham Cher Chrs
    Copt Cpmn Cprt Cyrl Deva Diak Dogr Dsrt Dupl Egyp Elba Elym Ethi Gara Geor Glag Gong Gonm Goth Gran Grek Gujr Gukh
    Guru Hang Hani Hano Hatr Hebr Hira Hluw Hmng Hmnp Hung Ital Java Kali Kana Kawi Khar Khmr Khoj Kits Knda Krai Kthi
    Lana Laoo Latn Lepc Limb Lina Linb Lisu Lyci Lydi Mahj Maka Mand Mani Marc Medf Mend Merc Mero Mlym Modi Mong Mroo
    Mtei Mult Mymr Nagm Nand Narb Nbat Newa Nkoo Nshu Ogam Olck Onao Orkh Orya Osge Osma Ougr Palm Pauc Perm Phag Phli
    Phlp Phnx Plrd Prti Rjng Rohg Runr Samr Sarb Saur Shaw Shrd Sidd Sind Sinh Sogd Sogo Sora Soyo Sund Sunu Sylo Syrc
    Tagb Takr Tale Talu Taml Tang Tavt Telu Tfng Tglg Thaa Thai Tibt Tirh Tnsa Todr Toto Tutg Ugar Vaii Vith Wara Wcho
    Xpeo Xsux Yezi Yiii Zanb
"""
SCRIPTS = _CODES.split()


def table() -> str:
    """Return the text of the file."""
    import regex

    script_of: dict[int, str] = {}
    every = "".join(chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000)
    every = "".join(regex.findall(r"\p{L}", every))
    for script in SCRIPTS:
        for char in regex.findall(rf"\p{{Script={script}}}", every):
            script_of[ord(char)] = script
    lines = [HEAD]
    # Consecutive code points of one script share the difference of code point and rank.
    for (script, _), run in groupby(
        enumerate(sorted(script_of)), key=lambda pair: (script_of[pair[1]], pair[1] - pair[0])
    ):
        codes = [code for _, code in run]
        lines.append(f"{codes[0]:04X}\t{codes[-1]:04X}\t{script}\n")
    return "".join(lines)


if __name__ == "__main__":
    TARGET.write_text(table(), "utf-8")

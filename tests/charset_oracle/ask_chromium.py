"""Writes chromium.json: how a real browser reads pages and bytes. Run by hand; needs Chromium as `chromium`.

    python -m tests.charset_oracle.ask_chromium

A local server hands out each page under its Content-Type, a frame in headless Chromium loads it, and
`document.characterSet` is noted. Byte sequences go through TextDecoder. The sequences come from a seeded generator
that likes the bytes at the edges of each encoding.
"""

from __future__ import annotations

import hashlib
import json
import random
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
N_SEQUENCES = 120  # of each encoding
LABELS = [None, "utf-8", "utf-16le", "utf-16be", "windows-1251", "gbk", "iso-2022-kr", "x-user-defined", "x", "latin1"]
BOMS = {"": b"", "utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
SINGLE = (
    "ibm866", "iso-8859-2", "iso-8859-3", "iso-8859-4", "iso-8859-5", "iso-8859-6", "iso-8859-7", "iso-8859-8",
    "iso-8859-8-i", "iso-8859-10", "iso-8859-13", "iso-8859-14", "iso-8859-15", "iso-8859-16", "koi8-r",
    "koi8-u", "macintosh", "windows-874", "windows-1250", "windows-1251", "windows-1252", "windows-1253",
    "windows-1254", "windows-1255", "windows-1256", "windows-1257", "windows-1258", "x-mac-cyrillic",
    "x-user-defined",
)  # fmt: skip
PAIRED = ("gb18030", "gbk", "big5", "euc-kr", "shift_jis", "euc-jp")
EDGES = {
    "gb18030": "303941808184 95a1a3b0e3feff7f40d6d0",
    "big5": "4041427e7f808187a0a1a2a4a5c6feff62a3",
    "euc-kr": "415a5b617b8081a0a1b0c8c9feff40",
    "shift_jis": "407e7f8081829fa0a1dfe0f0fcfdff41ea",
    "euc-jp": "41808e8fa0a1a2adb0b7dfe0f4f9feff7e",
    "iso-2022-jp": "1b1b1b242840424a49213041 5c7e0a0e805f6020",
    "utf-8": "41808f909fa0bfc0c1c2dfe0e1edeff0f1f4f5ff",
    "utf-16le": "d8dc0041fffedbdf",
    "utf-16be": "d8dc0041fffedbdf",
}
ESCAPES = [b"\x1b$B", b"\x1b(B", b"\x1b(J", b"\x1b(I", b"\x1b$@", b"A0", b"\x30\x21", b"\x21", b"\n", b"\x80", b"\\~"]

_MAIN = """<pre id=o></pre><script>
const decode = (name, hex) => new TextDecoder(name, {ignoreBOM: true}).decode(
  new Uint8Array((hex.match(/../g) || []).map(x => parseInt(x, 16))));
const codes = s => Array.from({length: s.length}, (_, i) => s.charCodeAt(i));
const load = i => new Promise(done => {
  const frame = document.createElement("iframe");
  frame.onload = () => { done(frame.contentDocument.characterSet.toLowerCase()); frame.remove(); };
  frame.src = "/page/" + i; document.body.appendChild(frame);
});
(async () => {
  const asked = await (await fetch("/asked")).json(), pages = [];
  for (let i = 0; i < asked.n_pages; i++) pages.push(await load(i));
  const decoded = asked.sequences.map(([name, hex]) => codes(decode(name, hex)));
  const version = navigator.userAgent.match(/Chrome.([0-9.]+)/)[1];
  await fetch("/answer", {method: "POST", body: JSON.stringify({version, pages, decoded})});
})();
</script>"""


def pages() -> list[tuple[str | None, bytes]]:
    """Return (charset of the header, page): every byte order mark, header and meta element with each other."""
    found: list[tuple[str | None, bytes]] = []
    for bom, mark in BOMS.items():
        for http in LABELS:
            for meta in LABELS:
                text = (f"<meta charset={meta}>" if meta else "") + "<p>café"
                found.append((http, mark + text.encode(bom or "windows-1252")))
                if not bom:
                    found.append((http, text.encode("utf-8")))
    from tests.test_charset_meta import DECLARATIONS

    return found + [(None, html) for html, _ in DECLARATIONS if len(html) < 5_000]


def sequences() -> list[tuple[str, bytes]]:
    """Return byte sequences, most of them faulty, by encoding."""
    chance = random.Random(20)
    found = []
    for name, edges in EDGES.items():
        likely = bytes.fromhex(edges)
        for number in range(N_SEQUENCES):
            if name == "iso-2022-jp" and number % 3:
                data = b"".join(chance.choice(ESCAPES) for _ in range(chance.randint(2, 7)))
            else:
                n_bytes = chance.randint(1, 10)
                data = bytes(
                    chance.choice(likely) if chance.random() < 0.8 else chance.randrange(256) for _ in range(n_bytes)
                )
            found.append((name, data))
    return found


def _serve(asked: dict[str, Any], html: list[tuple[str | None, bytes]]) -> tuple[ThreadingHTTPServer, list[bytes]]:
    answers: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body, kind = _MAIN.encode(), "text/html; charset=windows-1252"
            if found := re.fullmatch("/page/([0-9]+)", self.path):
                charset, body = html[int(found[1])]
                kind = f"text/html; charset={charset}" if charset else "text/html"
            elif self.path == "/asked":
                body, kind = json.dumps(asked).encode(), "application/json"
            self._send(body, kind)

        def do_POST(self) -> None:
            answers.append(self.rfile.read(int(self.headers["Content-Length"])))
            self._send(b"", "text/plain")

        def _send(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, answers


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def main() -> None:
    html, faulty = pages(), sequences()
    tables = [(name, bytes(range(0x80, 0x100))) for name in SINGLE]
    rows = [
        (name, lead, [bytes((lead, trail)) for trail in range(256)]) for name in PAIRED for lead in range(0x80, 0x100)
    ]
    asked = [*faulty, *tables, *((name, pair) for name, _, pairs in rows for pair in pairs)]
    server, answers = _serve({"n_pages": len(html), "sequences": [(n, data.hex()) for n, data in asked]}, html)
    url = f"http://127.0.0.1:{server.server_port}/"
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=600000", "--dump-dom"]
    subprocess.run(["chromium", *options, url], check=True, capture_output=True, timeout=300)
    answer = json.loads(answers[0])
    text = iter(
        [
            "".join(map(chr, codes)).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
            for codes in answer["decoded"]
        ]
    )
    result = {
        "chromium": answer["version"],
        "pages": [[http, page.hex(), name] for (http, page), name in zip(html, answer["pages"], strict=True)],
        "sequences": [[name, data.hex(), next(text)] for name, data in faulty],
        "single": {name: next(text) for name, _ in tables},
        "pairs": {name: {} for name in PAIRED},
    }
    for name, lead, pairs in rows:
        result["pairs"][name][f"{lead:02x}"] = digest("\n".join(next(text) for _ in pairs))
    (HERE / "chromium.json").write_text(json.dumps(result, separators=(",", ":")).replace("],[", "],\n[") + "\n")


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# Audit a data set that somebody else made: what it is made of, and whom a set of rules would hit.
#
#     bash examples/audit_a_dataset.sh DATA.jsonl.zst -o out/audit       JSON lines or Parquet with a column `text`
#
# Without arguments it makes a small data set of its own and audits that.
set -euo pipefail

if [ $# -eq 0 ]; then
    curate ingest examples/data/crawl-0.warc.gz --format jsonl -o out/audit-input
    set -- "out/audit-input/documents/*.jsonl.zst" -o out/audit
fi

curate run examples/audit.yaml "$@"

#!/bin/bash
# A corpus in JSON lines (C4, the Pile, Dolma) given to a language model; for classification the same option takes JSON lines.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
S = text(); k = tok(S); Path("t.txt").write_text(S)
Path("t.jsonl").write_text("\n".join(json.dumps(dict(text=S[i * 80:i * 80 + 80], meta=dict(src="x"))) for i in range(200)))
for s in (0, 1): gpt2(f"g/{s}", s, k)
P
for f in t.txt t.jsonl; do landscape barriers g/0 g/1 --text $f --sequences 32 --length 16 --points 3 2>&1 | grep "│ [12]"; done

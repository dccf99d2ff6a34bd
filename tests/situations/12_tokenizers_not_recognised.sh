#!/bin/bash
# ByT5's tokenizer has no vocabulary file at all; it is the usual one for byte-level models.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
Path("t.txt").write_text(text())
for s in (0, 1): gpt2(f"b/{s}", s, T.ByT5Tokenizer(), vocab_size=384)
print("AutoTokenizer:", type(T.AutoTokenizer.from_pretrained("b/0")).__name__)
P
landscape barriers b/0 b/1 --text t.txt --sequences 32 --length 16

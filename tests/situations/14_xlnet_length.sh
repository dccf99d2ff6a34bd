#!/bin/bash
# XLNet has no limit of length and says so with max_position_embeddings -1.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
Path("t.txt").write_text(text()); k = tok(text())
for s in (0, 1):
    torch.manual_seed(s); save(T.XLNetLMHeadModel(T.XLNetConfig(vocab_size=300, d_model=32, n_layer=2, n_head=4, d_inner=64)), f"x/{s}", k)
P
landscape barriers x/0 x/1 --text t.txt --sequences 32 --length 16

#!/bin/bash
# Hydra-style folders with [ ] in their names.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
Path("t.txt").write_text(text()); k = tok(text())
for s in (0, 1): gpt2(f"betas=[0.9,0.95]/seed_{s}/step_10", s, k); gpt2(f"hf[1]/checkpoint-{s + 1}", s, k)
P
landscape barriers 'betas=[0.9,0.95]/seed_{seed}/step_10' --text t.txt --sequences 32 --length 16; landscape barriers 'hf[1]' 'hf[1]' --text t.txt --sequences 32 --length 16
landscape barriers betas=\[0.9,0.95\]/seed_{0,1}/step_10 --text t.txt --sequences 32 --length 16 --points 3 2>&1 | grep -E "^[0-9] "

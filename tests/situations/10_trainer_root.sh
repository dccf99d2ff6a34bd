#!/bin/bash
# What Trainer + save_model() leave: checkpoint-N folders and the final model in the run folder itself (run_clm.py, run_glue.py).
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
Path("t.txt").write_text(text()); k = tok(text())
for i, n in enumerate(["run", "run/checkpoint-10", "run/checkpoint-20", "other"]): gpt2(n, i, k)
P
landscape barriers run other --text t.txt --sequences 32 --length 16 --points 3 2>&1 | grep -E "^[0-9] "

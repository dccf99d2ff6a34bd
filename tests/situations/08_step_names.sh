#!/bin/bash
# Local copies under the names that the hub itself uses (multiberts-seed_0-step_20k), and other usual ones.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
Path("t.txt").write_text(text()); k = tok(text())
for i, n in enumerate(["multiberts-seed_0-step_20k", "run/step=1e3", "run/step_1_000", "footstep2/final", "two/seed_0/step_10", "two/seed_0/step_010", "two/seed_1/step_10"]): gpt2(n, i, k)
P
landscape barriers multiberts-seed_0-step_20k run/step=1e3 run/step_1_000 footstep2/final --text t.txt --sequences 32 --length 16 --points 3 --json 2>/dev/null | python -c "
import sys,json
d={}
for l in sys.stdin:
    r=json.loads(l); d[r['a']]=r['step_a']; d[r['b']]=r['step_b']
print(d)"
landscape barriers 'two/seed_{seed}/step_{step}' --text t.txt --sequences 32 --length 16 --points 3 2>&1 | grep -E "^[0-9] "

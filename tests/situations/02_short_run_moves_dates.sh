#!/bin/bash
# Seven runs to step 512 and one that died at step 8. The half-rise level is taken on the stretch that ALL runs have.
cd "$(mktemp -d)"
python - <<'P'
import numpy as np, pandas as pd
r = np.random.default_rng(1); rows = []
for s in range(8):
    sh = r.normal() * .5
    for n in ("barrier:last", "skill"):
        for t in (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512):
            v = 1 / (1 + np.exp(-(np.log2(t + 1) - 4 - sh) * 1.5))
            rows.append((n, s, t, (1 - v if n[0] == "b" else v) + r.normal() * .01))
d = pd.DataFrame(rows, columns=["series", "seed", "step", "value"])
d.to_csv("full.csv", index=False); d[(d.seed != 2) | (d.step <= 8)].to_csv("cut.csv", index=False)
P
for f in full cut; do echo "== $f"; landscape stages $f.csv 2>&1 | grep -E "half-rise|note"; python -c "
import pandas as pd; d=pd.read_csv('${f}_stages/event.csv'); print(d[(d.series=='skill')&(d.event=='half_rise')][['seed','step','low','high']].round(1).to_string(index=False))"; done

#!/bin/bash
# A regression head (num_labels 1, STS-B style) and a multi-label head (sigmoid), as run_glue.py and friends leave them; and labels with fractions.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
k = tok(text()); S = text()
def bert(f, s, **kw):
    torch.manual_seed(s); save(T.BertForSequenceClassification(T.BertConfig(vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64, **kw)), f, k)
for s in (0, 1):
    bert(f"reg/{s}", s, num_labels=1, problem_type="regression"); bert(f"multi/{s}", s, num_labels=3, problem_type="multi_label_classification"); bert(f"two/{s}", s, num_labels=2)
w = lambda f, lab: Path(f).write_text("\n".join(json.dumps(dict(text=S[i * 40:i * 40 + 40], label=lab(i))) for i in range(64)))
w("reg.jsonl", lambda i: (i % 10) / 10); w("multi.jsonl", lambda i: [[1, 0, 1], [0, 0, 1], [0, 0, 0]][i % 3]); w("frac.jsonl", lambda i: i % 2 + .9)
P
for x in "reg reg" "multi multi" "two frac"; do set -- $x; echo "== $1 on $2.jsonl"; landscape barriers $1/0 $1/1 --text $2.jsonl --sequences 32 --length 16 --points 3 2>&1 | grep -E "│|Error"; done

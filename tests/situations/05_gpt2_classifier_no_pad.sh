#!/bin/bash
# GPT-2 (or Llama, NeoX, Qwen) fine-tuned with a padding token in the tokenizer and none in config.json.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
k = tok(text()); S = text()
for s in (0, 1): gpt2(f"g/{s}", s, k, cls=T.GPT2ForSequenceClassification, num_labels=2)
Path("c.jsonl").write_text("\n".join(json.dumps(dict(text=S[i * 40:i * 40 + 20 + i % 17], label=i % 2)) for i in range(64)))
P
landscape barriers g/0 g/1 --text c.jsonl --sequences 32 --length 16; echo "rc $?"

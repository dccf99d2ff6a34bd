#!/bin/bash
# --objective causal-lm on an encoder: transformers makes a BertLMHeadModel that sees the future (config.is_decoder false).
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
Path("t.txt").write_text(text()); k = tok(text())
for s in (0, 1):
    torch.manual_seed(s); save(T.BertForMaskedLM(T.BertConfig(vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=64)), f"b/{s}", k)
m = T.AutoModelForCausalLM.from_pretrained("b/0").eval(); x = torch.randint(5, 290, (1, 12)); y = x.clone(); y[0, -1] = 7
print("change of earlier logits when the last token changes:", (m(x).logits[0, :-1] - m(y).logits[0, :-1]).abs().max().item())
P
landscape barriers b/0 b/1 --text t.txt --sequences 32 --length 16 --points 3 --objective causal-lm; echo "rc $?"

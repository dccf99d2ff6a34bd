#!/bin/bash
# Gemma 3 of 4B and more is saved as Gemma3ForConditionalGeneration; text alone is asked of it.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
Path("t.txt").write_text(text()); k = tok(text())
for s in (0, 1):
    torch.manual_seed(s); save(T.Gemma3ForConditionalGeneration(T.Gemma3Config(text_config=dict(vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8, max_position_embeddings=128), vision_config=dict(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8), mm_tokens_per_image=4, image_token_index=301, boi_token_index=302, eoi_token_index=303)), f"g/{s}", k)
P
landscape barriers g/0 g/1 --text t.txt --sequences 32 --length 16; echo "rc $?"
landscape barriers g/0 g/1 --text t.txt --sequences 32 --length 16 --objective causal-lm; echo "rc $?"

#!/bin/bash
# Learned buffers (here the router bias of DeepSeek-V3) are part of the function and of the file.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
Path("t.txt").write_text(text()); k = tok(text())
b = dict(vocab_size=300, hidden_size=32, intermediate_size=64, num_attention_heads=4, max_position_embeddings=128, pad_token_id=0, bos_token_id=1, eos_token_id=2)
kinds = {
 "deepseek": (T.DeepseekV3ForCausalLM, lambda: T.DeepseekV3Config(**b, num_hidden_layers=2, num_key_value_heads=4, q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=4, qk_nope_head_dim=8, v_head_dim=8, n_routed_experts=8, num_experts_per_tok=2, n_group=2, topk_group=1, moe_intermediate_size=32, first_k_dense_replace=1, n_shared_experts=1)),
}
for name, (cls, config) in kinds.items():
    for s in (0, 1):
        torch.manual_seed(s); m = cls(config())
        with torch.no_grad():
            for n, x in m.named_buffers():
                if "correction_bias" in n: x.copy_(torch.randn_like(x) * 2)
                if "layer_scalar" in n: x.fill_(0.3)
        save(m, f"{name}/{s}", k)
        print(name, s, "from_pretrained:", round(true_loss(cls, f"{name}/{s}", k, "t.txt"), 4))
P
for n in deepseek; do landscape barriers $n/0 $n/1 --text t.txt --sequences 32 --length 16 --points 3 --json 2>/dev/null | python -c "
import sys,json
for l in sys.stdin:
    r=json.loads(l)
    if r['table']=='profile' and r['t'] in (0,1): print('$n landscape t', r['t'], round(r['loss'],4))"; done

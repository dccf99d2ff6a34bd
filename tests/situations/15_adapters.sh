#!/bin/bash
# LoRA: (a) an adapter folder, (b) an adapter beside base weights, (c) loralib-style tensors lora_A, lora_B in the state dict, not merged.
# (a) is merged into its base; in (b), (c) the base weights are evaluated, and the tensors of the adapter are named and left out.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
from safetensors.torch import save_file
Path("t.txt").write_text(text()); k = tok(text())
for s in (0, 1): gpt2(f"g/{s}", s, k)
A, B = torch.randn(4, 32), torch.randn(96, 4)
def adapter(d):
    Path(d).mkdir(exist_ok=True); n = "base_model.model.transformer.h.0.attn.c_attn.lora_"
    (Path(d) / "adapter_config.json").write_text(json.dumps(dict(peft_type="LORA", base_model_name_or_path="g/0", r=4, lora_alpha=8, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM")))
    save_file({n + "A.weight": A, n + "B.weight": B}, Path(d) / "adapter_model.safetensors")
adapter("a"); shutil.copytree("g/0", "b"); adapter("b")
sd = T.GPT2LMHeadModel.from_pretrained("g/0").state_dict(); sd["transformer.h.0.attn.c_attn.lora_A"], sd["transformer.h.0.attn.c_attn.lora_B"] = A, B; torch.save(sd, "c.pt")
P
o="--text t.txt --sequences 32 --length 16 --points 3"; for x in a b c.pt; do echo "== $x"; landscape barriers $x g/1 $o --config g/0 2>&1 | grep -E "Error|│ [12]|arn"; done

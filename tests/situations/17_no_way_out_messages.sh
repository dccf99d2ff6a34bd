#!/bin/bash
# T5 and ViT: 'give --objective', then 'choose another objective' for each of the three: nothing says that it is not supported.
# auto_map in a config of a natively known type (Falcon, Phi, ... as on the hub): 'convert it first' although removing the key is enough.
# A loss that overflows: 'not finite in float32; try float32'.  fp8 / bnb / gptq checkpoints: 'two architectures' or 'stored as I8', nothing about dequantising.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
from safetensors.torch import load_file, save_file
Path("t.txt").write_text(text()); k = tok(text())
for s in (0, 1):
    gpt2(f"g/{s}", s, k); torch.manual_seed(s)
    save(T.T5ForConditionalGeneration(T.T5Config(vocab_size=300, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4, pad_token_id=0, eos_token_id=2, decoder_start_token_id=0)), f"t5/{s}", k)
def edit(d, f=lambda sd: None, **cfg):
    shutil.copytree("g/1", d); c = json.loads((Path(d) / "config.json").read_text()) | cfg; (Path(d) / "config.json").write_text(json.dumps(c)); p = Path(d) / "model.safetensors"; sd = load_file(p); f(sd); save_file(sd, p, metadata={"format": "pt"})
edit("automap", auto_map={"AutoModelForCausalLM": "modeling_x.X"})
def blow(sd): sd["transformer.h.0.mlp.c_fc.weight"] *= 1e30; sd["transformer.h.0.mlp.c_proj.weight"] *= 1e30
edit("huge", blow)
def i8(sd): w = sd["transformer.h.0.mlp.c_fc.weight"]; sd["transformer.h.0.mlp.c_fc.weight"] = (w / w.abs().max() * 127).to(torch.int8)
edit("bnb", i8, quantization_config=dict(quant_method="bitsandbytes", load_in_8bit=True)); edit("leftover", quantization_config=dict(quant_method="bitsandbytes", load_in_8bit=True))
P
o="--text t.txt --sequences 32 --length 16 --points 3"
landscape barriers t5/0 t5/1 $o 2>&1 | grep Error; for q in causal-lm masked-lm; do landscape barriers t5/0 t5/1 $o --objective $q 2>&1 | grep Error; done
for x in automap huge bnb leftover; do landscape barriers g/0 $x $o 2>&1 | grep -E "Error|failed" | head -1; done

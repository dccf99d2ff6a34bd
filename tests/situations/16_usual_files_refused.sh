#!/bin/bash
# Files that research code leaves: a numpy scalar or argparse.Namespace beside the weights, .pth.tar, other wrapping keys, model.fp16.safetensors.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
import argparse, numpy as np
Path("t.txt").write_text(text()); k = tok(text())
for s in (0, 1): m = gpt2(f"g/{s}", s, k)
sd = m.state_dict()
torch.save(dict(model=sd, best_loss=np.float64(3.2)), "numpy.pt"); torch.save(dict(model=sd, args=argparse.Namespace(lr=1)), "namespace.pt")
torch.save(dict(net=sd, epoch=1), "net.pt"); torch.save(dict(state_dict=sd), "checkpoint.pth.tar"); torch.save(dict(model_state=sd), "state.pt")
m.save_pretrained("variant", variant="fp16")
P
for x in numpy.pt namespace.pt net.pt state.pt checkpoint.pth.tar variant; do landscape barriers $x g/1 --config g/0 --text t.txt --sequences 32 --length 16 --points 3 2>&1 | grep -E "Error"; done

#!/bin/bash
# Two runs of one architecture and vocabulary size, each with its own tokenizer.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; cd "$(mktemp -d)"
python - <<'P' 2>/dev/null
from common import *
train = text(1, 12000); Path("t.txt").write_text(text(2)); T_ = [tok(train, 300), tok(text(3, 6000, offset=9).replace("the", "that"), 300)]
for s in (0, 1):
    torch.manual_seed(s); m = T.GPT2LMHeadModel(T.GPT2Config(vocab_size=300, n_embd=48, n_layer=2, n_head=4, n_positions=64, bos_token_id=1, eos_token_id=2))
    ids = torch.tensor(T_[s](train)["input_ids"]); o = torch.optim.AdamW(m.parameters(), 3e-3)
    for _ in range(150):
        j = torch.randint(0, len(ids) - 33, (16,)); b = torch.stack([ids[i:i + 32] for i in j]); l = m(input_ids=b, labels=b).loss; o.zero_grad(); l.backward(); o.step()
    m.save_pretrained(f"own/{s}"); T_[s].save_pretrained(f"own/{s}")
    print("seed", s, "true loss with its own tokenizer", round(true_loss(T.GPT2LMHeadModel, f"own/{s}", T_[s], "t.txt", 64, 32), 3))
P
for p in "own/0 own/1" "own/1 own/0"; do echo "== $p"; landscape barriers $p --text t.txt --sequences 64 --length 32 --json 2>&1 | grep -E "Error|Traceback|barrier"; done

#!/bin/bash
# A cache filled by 'hf download' / from_pretrained on a login node, used on a node with no network; and a shared read-only cache.
# With that list there and the cache read-only (run as another user): 'cannot write .../landscape/verified/...: Permission denied; make room'.
export PYTHONPATH="$(cd "$(dirname "$0")"; pwd)"; D="$(mktemp -d)"; cd "$D"; chmod a+rx "$D"
python - <<'P' 2>/dev/null
from common import *
import hashlib
Path("t.txt").write_text(text()); k = tok(text())
for s in (0, 1):
    sha = hashlib.sha1(str(s).encode()).hexdigest(); r = Path(f"hf/hub/models--me--tiny{s}"); (r / "refs").mkdir(parents=True)
    (r / "refs/main").write_text(sha); gpt2(r / "snapshots" / sha, s, k)
    e = {f.name: [f.stat().st_size, hashlib.sha256(f.read_bytes()).hexdigest() if f.suffix == ".safetensors" else "", "x"] for f in (r / "snapshots" / sha).iterdir()}
    f = Path(f"lists/me--tiny{s}/{sha}.json"); f.parent.mkdir(parents=True); f.write_text(json.dumps(e))
P
export HF_HOME="$D/hf" HF_HUB_CACHE="$D/hf/hub" HF_HUB_OFFLINE=1
python -c "import transformers as T; T.AutoModelForCausalLM.from_pretrained('me/tiny0'); print('from_pretrained: ok')" 2>/dev/null
landscape barriers hf://me/tiny0 hf://me/tiny1 --text t.txt --sequences 32 --length 16 2>&1 | tail -1
mkdir -p hf/landscape; cp -r lists hf/landscape/listings; chmod -R a+rX,a-w hf
cd /tmp; [ "$(id -u)" = 0 ] && HOME=/nonexistent setpriv --reuid 65534 --regid 65534 --clear-groups landscape barriers hf://me/tiny0 hf://me/tiny1 --text "$D/t.txt" --sequences 32 --length 16 2>&1 | tail -1

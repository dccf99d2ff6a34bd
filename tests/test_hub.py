"""The real clients against a loopback hub."""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import public
import pytest
import torch
import transformers
from hub_mirror import Fault, HubMirror
from huggingface_hub import constants
from torch.func import functional_call

from landscape.checkpoints import fetch, find, formats, models, size, tokenizers
from landscape.checkpoints.families import FAMILIES
from landscape.checkpoints.hub import client, places
from landscape.errors import InputError
from landscape.space import Space
from landscape.study.checkpoint import Checkpoint

IDS = torch.tensor([[7, 3, 11, 29, 5, 41], [2, 2, 17, 8, 50, 31]])
POINT = "multiberts:seed=3,step=20000"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few checkpoints of each layout; not to be written to."""
    folder = tmp_path_factory.mktemp("served")
    public.multibert(folder / "mb", 3)
    for seed in (0, 2):
        for step in (0, 1000):
            public.pythia(folder / f"py{seed}-{step}", seed + step, sharded=step > 0)
    for step in (0, 10):
        public.mistral(folder / f"m{step}", step, step)
    public.classifier(folder / "feather", 1)
    public.olmo2(folder / "olmo", 4)
    return folder


@pytest.fixture
def served(hub: HubMirror, folders: Path) -> Path:
    """Where they lie; on the hub they are where their families have them."""
    hub.repo("google/multiberts-seed_3-step_20k").commit("main", folders / "mb")
    for seed, repo in ((0, "EleutherAI/pythia-14m"), (2, "EleutherAI/pythia-14m-seed2")):
        for step in (0, 1000):
            hub.repo(repo).commit(f"step{step}", folders / f"py{seed}-{step}")
        hub.repo(repo).commit("main", None)
    for step in (0, 10):
        hub.repo("stanford-crfm/alias-gpt2-small-x21").commit(f"checkpoint-{step}", folders / f"m{step}")
    hub.repo("connectivity/feather_berts_12").commit("main", folders / "feather")
    hub.repo("allenai/OLMo-2-1124-7B").commit("stage2-ingredient2-step11931-tokens50B", folders / "olmo")
    return folders


def point(ref: str, auto: str) -> tuple[Any, torch.Tensor, Checkpoint]:
    checkpoint = fetch.pinned(find(ref)[0])
    model = models.skeleton(fetch.described(checkpoint), auto)
    return model, models.load(fetch.weights(checkpoint), model), checkpoint


def logits(model: Any, at: torch.Tensor) -> torch.Tensor:
    params = Space.of(model).params(at)
    with torch.no_grad():
        found: torch.Tensor = functional_call(model, params, kwargs={"input_ids": IDS}, tie_weights=True).logits
    return found


@pytest.mark.parametrize(
    ("ref", "auto", "stored"),
    [
        (POINT, "AutoModelForMaskedLM", "float32"),
        ("pythia-14m:step=0", "AutoModelForCausalLM", "float16"),
        ("pythia-14m:seed=2,step=1000", "AutoModelForCausalLM", "float16"),
        ("mistral-gpt2-small:step=0", "AutoModelForCausalLM", "float32"),
        ("mistral-gpt2-small:seed=21,step=10", "AutoModelForCausalLM", "float16"),
        ("feather-berts:seed=12", "AutoModelForSequenceClassification", "float32"),
        ("olmo2-7b-ingredients:seed=2,step=11931", "AutoModelForCausalLM", "float32"),
    ],
)
def test_logits_are_those_of_from_pretrained(hub: HubMirror, served: Path, ref: str, auto: str, stored: str) -> None:
    model, at, checkpoint = point(ref, auto)
    place = FAMILIES[ref.split(":")[0]].place(checkpoint.seed or 0, checkpoint.step)
    usual = getattr(transformers, auto).from_pretrained(place.repo, revision=place.revision, dtype=torch.float32).eval()
    with torch.no_grad():
        expected = usual(IDS).logits
    assert expected.std() > 0.1
    torch.testing.assert_close(logits(model, at), expected, rtol=0, atol=1e-6)
    assert formats.stored_as(formats.index(fetch.weights(checkpoint)).values()) == stored
    assert tokenizers.load(fetch.described(checkpoint))("w3 w5")["input_ids"]


def test_only_what_is_needed_is_fetched(hub: HubMirror, served: Path) -> None:
    for ref in (POINT, "mistral-gpt2-small:seed=21,step=10", "pythia-14m:seed=2,step=1000"):
        fetch.weights(find(ref)[0])
    asked = {path.rsplit("/", 1)[1] for _, path, _ in hub.log if "/resolve/" in path}
    assert not asked & {"tf_model.h5", "optimizer.bin", "mp_rank_00_model_states.pt"}
    assert {"pytorch_model.bin", "config.json", "vocab.txt", "model.safetensors.index.json"} <= asked


def test_it_says_what_it_fetches_once(hub: HubMirror, served: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="landscape"):
        fetch.weights(find(POINT)[0])
        fetch.weights(find(POINT)[0])
    assert [r.getMessage() for r in caplog.records] == ["fetching hf://google/multiberts-seed_3-step_20k, 0.00 GB"]


def test_cold_warm_offline_and_down(hub: HubMirror, served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = models.load(fetch.weights(find(POINT)[0]), point(POINT, "AutoModelForMaskedLM")[0])
    model = point(POINT, "AutoModelForMaskedLM")[0]
    hub.log.clear()
    pinned = fetch.pinned(find(POINT)[0])
    assert len(hub.log) == 1
    hub.log.clear()
    assert torch.equal(models.load(fetch.weights(pinned), model), first)
    assert fetch.content(pinned) and fetch.described(pinned) == fetch.weights(pinned) and fetch.is_here(pinned)
    assert hub.log == []
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert torch.equal(models.load(fetch.weights(find(POINT)[0]), model), first)
    with pytest.raises(InputError, match="pythia-14m@step0 is not in the cache and the hub cannot be reached"):
        fetch.weights(find("pythia-14m:seed=0,step=0")[0])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert torch.equal(models.load(fetch.weights(find(POINT)[0]), model), first)
    with pytest.raises(InputError, match="pythia-14m@step0 is not in the cache and the hub cannot be reached"):
        fetch.weights(find("pythia-14m:seed=0,step=0")[0])
    assert hub.log == []


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "WAITS", (0.0, 0.0))


@pytest.mark.parametrize(("method", "part"), [("GET", "/tree/"), ("GET", "pytorch_model.bin"), ("HEAD", "config.json")])
def test_one_503_is_no_matter(hub: HubMirror, served: Path, method: str, part: str) -> None:
    hub.faults.append(Fault(method, part, status=503))
    fetch.weights(find(POINT)[0])
    assert not hub.faults and any(status == 503 for *_, status in hub.log)


def test_what_is_refused_is_not_asked_for_again_and_again(hub: HubMirror, served: Path) -> None:
    hub.faults += [Fault("GET", "pytorch_model.bin", status=403)] * 3
    with pytest.raises(InputError, match="multiberts"):
        fetch.weights(find(POINT)[0])
    assert len(hub.faults) == 1


def test_safetensors_come_before_pickles_and_one_file_before_shards() -> None:
    one = client.File(7, "", "")
    shards = {f"model-0000{n}-of-00002.safetensors": one for n in (1, 2)}
    both = {"pytorch_model.bin": one, "model.safetensors": one, **shards, "model.safetensors.index.json": one}
    assert set(client.weights(both)) == {"model.safetensors"}
    assert set(client.weights({name: one for name in both if name != "model.safetensors"})) == set(shards)
    assert set(client.weights({name: one for name in both if "safetensors" not in name})) == {"pytorch_model.bin"}


def test_parameters_on_the_hub_are_counted_by_their_bytes(hub: HubMirror, tmp_path: Path) -> None:
    folder = public.pythia(tmp_path / "half", 1)
    hub.repo("a/half").commit("main", folder)
    found = size.weights(find("hf://a/half")[0])
    true = sum(math.prod(stored.shape) for stored in formats.index(folder).values())
    assert found.remote and true < found.parameters < 1.3 * true, "with the headers, which are long here"


@pytest.mark.parametrize("cuts", [1, 30])
def test_a_cut_download_goes_on_where_it_was_cut(
    hub: HubMirror, served: Path, monkeypatch: pytest.MonkeyPatch, cuts: int
) -> None:
    """By itself after one cut; when run again after many."""
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    size = (served / "mb" / "pytorch_model.bin").stat().st_size
    hub.faults += [Fault("GET", "pytorch_model.bin", cut=size // 2 if cuts == 1 else 1100) for _ in range(cuts)]
    for _ in range(cuts if cuts > 1 else 0):
        with contextlib.suppress(InputError):
            fetch.weights(find(POINT)[0])
        if not hub.faults:
            break
    fetch.weights(find(POINT)[0])
    assert not hub.faults
    file = fetch.weights(find(POINT)[0]) / "pytorch_model.bin"
    assert file.read_bytes() == (served / "mb" / "pytorch_model.bin").read_bytes()
    assert any(status == 206 for _, path, status in hub.log if "pytorch_model.bin" in path)


def test_a_wrong_hash_is_refused_and_removed(hub: HubMirror, tmp_path: Path) -> None:
    folder = public.multibert(tmp_path / "mb", 3)
    repo = hub.repo("google/multiberts-seed_3-step_20k")
    repo.commit("main", folder, promised={"pytorch_model.bin": "ab" * 32})
    with pytest.raises(InputError, match=r"pytorch_model.bin of hf://google/.* instead of abababababab"):
        fetch.weights(find(POINT)[0])
    repo.commit("main", folder)
    assert fetch.weights(find(POINT)[0]).joinpath("pytorch_model.bin").is_file()


def test_a_file_that_changed_in_the_cache_is_found_out(hub: HubMirror, served: Path) -> None:
    file = (fetch.weights(find(POINT)[0]) / "pytorch_model.bin").resolve()
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match="it was removed: fetch it again"):
        fetch.weights(find(POINT)[0])
    fetch.weights(find(POINT)[0])


def test_what_is_missing_gets_a_sentence(hub: HubMirror, served: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no revision 'step512'; the nearest of its 2 are step1000, step0"):
        fetch.weights(find("hf://EleutherAI/pythia-14m@step512")[0])
    with pytest.raises(InputError, match="the hub has no repository EleutherAI/pythia-70m, or it is private"):
        fetch.weights(find("pythia-70m:step=0")[0])
    for get, what in ((fetch.weights, "weights in safetensors or .bin"), (fetch.described, "config or tokenizer")):
        with pytest.raises(
            InputError, match=f"hf://EleutherAI/pythia-14m holds no {what}: there is nothing there; name"
        ):
            get(find("hf://EleutherAI/pythia-14m")[0])
    hub.repo("google/multiberts-seed_4", gated=True).commit("main", public.multibert(tmp_path / "gated", 1))
    with pytest.raises(InputError, match="google/multiberts-seed_4 is gated: accept its terms"):
        fetch.weights(find("multiberts:seed=4")[0])


class Evil:
    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self.file}",)


def test_a_malicious_pickle_is_refused_and_not_run(hub: HubMirror, tmp_path: Path) -> None:
    folder = public.multibert(tmp_path / "mb", 3)
    torch.save({"bert.x": torch.ones(2), "y": Evil(tmp_path / "run")}, folder / "pytorch_model.bin")
    hub.repo("google/multiberts-seed_3-step_20k").commit("main", folder)
    checkpoint = find(POINT)[0]
    with pytest.raises(InputError, match=r"was refused and nothing of it was run: it holds (posix|os|nt)\.system"):
        models.load(fetch.weights(checkpoint), models.skeleton(fetch.described(checkpoint), "AutoModelForMaskedLM"))
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(tmp_path / "run")))
    with pytest.raises(InputError, match="was refused and nothing of it was run"):
        formats.index(folder)
    assert not (tmp_path / "run").exists()


def test_a_path_that_leaves_its_folder_is_never_followed(hub: HubMirror, tmp_path: Path) -> None:
    folder = public.pythia(tmp_path / "py", 1, sharded=True)
    evil = tmp_path / "evil"
    evil.write_text("x")
    also = {"../../../../evil.json": evil, "../model.safetensors": evil}
    hub.repo("EleutherAI/pythia-14m").commit("step0", folder, also=also)
    assert (fetch.weights(find("pythia-14m:step=0")[0]) / "config.json").is_file()
    assert not list(tmp_path.glob("**/hf/**/evil*"))
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("model-00001", "../../model-00001"))
    hub.repo("EleutherAI/pythia-14m").commit("step1", folder)
    with pytest.raises(InputError, match="outside its folder; do not trust it"):
        fetch.weights(find("pythia-14m:step=1")[0])
    for ref in ("hf://a/b/../c", "hf://../b", "hf://a", "hf://a/b@x/../../y"):
        with pytest.raises(InputError, match="is not a place on the hub"):
            find(ref)


def test_steps_may_be_commits_tags_folders_and_pull_requests(hub: HubMirror, tmp_path: Path) -> None:
    qqp = hub.repo("connectivity/bert_ft_qqp-7")
    folders = {step: public.classifier(tmp_path / f"q{step}", step) for step in (15_000, 20_000)}
    qqp.commit("main", public.classifier(tmp_path / "old", 7), title="Saving weights and logs of step 15000")
    for step, folder in folders.items():
        qqp.commit("main", folder, title=f"Saving weights and logs of step {step}")
    qqp.commit("main", None, title="Added training logs")
    found = {step: fetch.weights(find(f"bert-qqp:seed=7,step={step}")[0]) for step in folders}
    for step, folder in folders.items():
        assert (found[step] / "pytorch_model.bin").read_bytes() == (folder / "pytorch_model.bin").read_bytes()
    with pytest.raises(
        InputError, match="no commit called 'Saving weights and logs of step 25000' on main; it has 'Added"
    ):
        fetch.weights(find("bert-qqp:seed=7,step=25000")[0])

    hub.repo("bigscience/bloom-560m-intermediate").commit(
        "global_step1000", public.pythia(tmp_path / "tag", 1), tag=True
    )
    assert fetch.weights(find("bloom-560m:step=1000")[0]).joinpath("model.safetensors").is_file()
    (tmp_path / "deep").mkdir()
    public.pythia(tmp_path / "deep" / "50000", 2)
    public.pythia(tmp_path / "deep" / "10000", 3)
    hub.repo("a/b").commit("main", tmp_path / "deep")
    hub.repo("a/b").commit("refs/pr/1", public.pythia(tmp_path / "pr", 5, sharded=True))
    assert fetch.weights(find("hf://a/b/50000")[0]).name == "50000"
    assert len(list(fetch.weights(find("hf://a/b@refs/pr/1")[0]).glob("model-*"))) > 1
    assert [c.step for c in find("hf://a/b/{step}")] == [10_000, 50_000]


def test_another_name_of_the_same_step_is_found(hub: HubMirror, tmp_path: Path) -> None:
    """OLMo's branches name the tokens too, by a rule of their own, and some lack their stage."""
    repo = hub.repo("allenai/OLMo-2-1124-7B")
    commit = repo.commit("step150-tokens2B", public.olmo2(tmp_path / "a", 1))
    repo.commit("stage2-ingredient1-step150-tokens1B", public.olmo2(tmp_path / "b", 2))
    assert fetch.pinned(find("olmo2-7b:step=150")[0]).commit == commit
    with pytest.raises(InputError, match="no revision 'stage1-step600-tokens3B'; the nearest of its 2 are"):
        fetch.pinned(find("olmo2-7b:step=600")[0])
    repo.commit("stage2-step600-tokens1B", public.olmo2(tmp_path / "c", 3))
    with pytest.raises(InputError, match="no revision 'stage1-step600-tokens3B'; the nearest of its 3 are"):
        fetch.pinned(find("olmo2-7b:step=600")[0])


def test_a_pinned_checkpoint_does_not_move(hub: HubMirror, tmp_path: Path) -> None:
    repo = hub.repo("google/multiberts-seed_3-step_20k")
    repo.commit("main", public.multibert(tmp_path / "old", 1))
    pinned = fetch.pinned(find(POINT)[0])
    content = fetch.content(pinned)
    repo.commit("main", public.multibert(tmp_path / "new", 2))
    assert fetch.content(pinned) == content != fetch.content(find(POINT)[0])


def test_content_is_that_of_the_same_files_in_a_folder(hub: HubMirror, served: Path) -> None:
    for ref, folder in ((POINT, "mb"), ("pythia-14m:seed=2,step=1000", "py2-1000")):
        there = fetch.content(find(ref)[0])
        assert hub.sent == {} and there == fetch.content(find(str(served / folder))[0])


def test_what_the_hub_lists_is_asked_once(hub: HubMirror, served: Path) -> None:
    place = places.parse("hf://EleutherAI/pythia-14m@step1000")
    commit = client.resolve(place)
    first = client.listing(place, commit)
    assert any(file.sha256 for file in first.values())
    hub.log.clear()
    assert client.listing(place, commit) == first and hub.log == []

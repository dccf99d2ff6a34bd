"""Hubs that do not answer, never end, lie, or ask for what is not theirs; caches that others filled or own."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub
import public
import pytest
from click.testing import CliRunner
from hub_mirror import HubMirror, Reply
from huggingface_hub import constants

from landscape.checkpoints import fetch, find
from landscape.checkpoints.hub import client, places, requests, snapshots
from landscape.cli.main import cli
from landscape.errors import InputError

REF = "hf://a/tiny"
TOKEN = "hf_" + "x" * 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One checkpoint; not to be written to."""
    return public.pythia(tmp_path_factory.mktemp("tiny") / "a", 1)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little, so that what takes too long takes a second; nothing is known of any hub."""
    monkeypatch.setattr(requests, "CONNECT", 1.2)
    monkeypatch.setattr(requests, "READ", 1.2)
    monkeypatch.setattr(requests, "MAX_SECONDS", 3.0)
    monkeypatch.setattr(client, "WAITS", (0.0, 0.0))
    monkeypatch.setattr(requests, "_SILENT", {})


@pytest.fixture
def other() -> Iterator[HubMirror]:
    """Another host."""
    mirror = HubMirror().start()
    yield mirror
    mirror.server.shutdown()
    mirror.server.server_close()


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def silent(reply: Reply) -> None:
    time.sleep(4)


def dripping(reply: Reply) -> None:
    """An answer of no length, a few bytes at a time."""
    reply.request.send_response(200)
    reply.request.send_header("Transfer-Encoding", "chunked")
    reply.request.end_headers()
    for _ in range(200):
        reply.request.wfile.write(b"2\r\n[ \r\n")
        reply.request.wfile.flush()
        time.sleep(0.1)


def endless(reply: Reply) -> None:
    """An answer of no length, as fast as can be."""
    reply.request.send_response(200)
    for name, value in {"Transfer-Encoding": "chunked", "X-Repo-Commit": "a" * 40, "ETag": "b" * 40}.items():
        reply.request.send_header(name, value)
    reply.request.end_headers()
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    while True:
        try:
            reply.request.wfile.write(chunk)
        except OSError:
            return


def answering(value: Any, status: int = 200, **headers: str) -> Callable[[Reply], None]:
    return lambda reply: reply.json(value, status, {name.replace("_", "-"): text for name, text in headers.items()})


def black_hole(monkeypatch: pytest.MonkeyPatch) -> list[socket.socket]:
    """A hub to which no connection comes about: its queue is full."""
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen(0)
    waiting = []
    for _ in range(3):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(server.getsockname())
        waiting.append(one)
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
    return [server, *waiting]


@pytest.mark.parametrize(
    ("where", "answer"),
    [
        ("/api/models/", silent),
        ("/tree/", dripping),
    ],
)
def test_a_hub_that_never_answers_gets_a_sentence_soon(
    hub: HubMirror, folder: Path, where: str, answer: Callable[[Reply], None]
) -> None:
    hub.repo("a/tiny").commit("main", folder)
    hub.wrong[where] = answer
    start = time.monotonic()
    with pytest.raises(
        InputError, match="hf://a/tiny is not in the cache and the hub|takes too long to answer about hf://a/tiny"
    ):
        fetch.described(find(REF)[0])
    assert time.monotonic() - start < 10


def test_it_is_said_what_is_waited_for(
    hub: HubMirror, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repo("a/tiny").commit("main", folder)
    monkeypatch.setattr(requests, "NOTICE", 0.05)
    commit = client.resolve(places.parse(REF))
    hub.wrong["/tree/"] = lambda reply: (time.sleep(0.2), reply.json([]))[1]
    with caplog.at_level("WARNING", logger="landscape"):
        client.listing(places.parse(REF), commit)
    assert "waiting for the hub to answer about hf://a/tiny" in caplog.text


def test_what_was_fetched_works_in_a_black_hole(hub: HubMirror, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tiny", "tiny2"):
        hub.repo(f"a/{name}").commit("main", folder)
        fetch.weights(find(f"hf://a/{name}")[0])
    sockets = black_hole(monkeypatch)
    times = []
    for name in ("tiny", "tiny2"):
        start = time.monotonic()
        assert (fetch.weights(find(f"hf://a/{name}")[0]) / "config.json").is_file()
        times.append(time.monotonic() - start)
    assert times[0] < 6 and times[1] < 0.5, "a hub that was silent is not asked again at once"
    with pytest.raises(
        InputError,
        match=r"hf://a/tiny3 is not in the cache and the hub cannot be reached \(http://127.* does not answer\)",
    ):
        fetch.weights(find("hf://a/tiny3")[0])
    for one in sockets:
        one.close()


def test_no_network_costs_no_waiting_where_others_filled_the_cache(
    hub: HubMirror, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client asks a hub that refuses six times; what the first question has shown, the next need not ask."""
    for number in range(5):
        hub.repo(f"a/tiny{number}").commit("main", folder)
        huggingface_hub.snapshot_download(f"a/tiny{number}")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    for number in range(5):
        assert (fetch.weights(find(f"hf://a/tiny{number}")[0]) / "model.safetensors").is_file()
    assert time.monotonic() - start < 5


def test_a_file_is_waited_for_though_the_hub_was_silent(hub: HubMirror, folder: Path) -> None:
    commit = hub.repo("a/tiny").commit("main", folder)
    assert client.listing(places.parse(REF), commit)
    requests._SILENT[hub.url] = time.monotonic()
    with pytest.raises(InputError, match="the hub cannot be reached"):
        client.branches("a/tiny")
    assert (client.fetch(places.parse(REF), commit) / "model.safetensors").is_file()


def test_a_body_longer_than_listed_is_cut_off(hub: HubMirror, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.repo("a/tiny").commit("main", folder)
    hub.wrong["resolve"] = endless
    with pytest.raises(InputError, match=r"sends more for hf://a/tiny than the [\d,]+ bytes that it may have"):
        fetch.described(find(REF)[0])
    hub.wrong.clear()
    hub.wrong["/tree/"] = endless
    monkeypatch.setattr(requests, "MAX_BYTES", 1 << 21)
    with pytest.raises(InputError, match="sends more for hf://a/tiny than the 2,097,152 bytes"):
        client._listed(places.parse(REF), "c" * 40)
    hub.wrong.clear()
    assert fetch.weights(find(REF)[0]).joinpath("config.json").read_bytes() == (folder / "config.json").read_bytes()


FILE = {"type": "file", "path": "config.json", "size": 3, "oid": "a" * 40}


@pytest.mark.parametrize(
    ("where", "answer"),
    [
        ("/tree/", {"a": 1}),
        ("/tree/", [{**FILE, "size": "3"}]),
        ("/tree/", [{**FILE, "size": -1}]),
        ("/tree/", [{**FILE, "size": None}]),
        ("/tree/", [{**FILE, "oid": "../../x"}]),
        ("/tree/", [{**FILE, "oid": 7}]),
        ("/tree/", [{**FILE, "lfs": {"oid": "../" * 21 + "x", "size": 3, "pointerSize": 1}}]),
        ("/tree/", [{"type": "file"}]),
        ("/tree/", [7]),
        ("/revision/", {}),
        ("/revision/", []),
        ("/revision/", {"id": "a/tiny"}),
        *(("/revision/", {"id": "a/tiny", "sha": sha}) for sha in (None, 7, "../..", "main", "A" * 40)),
    ],
)
def test_answers_that_are_none_get_a_sentence(hub: HubMirror, folder: Path, where: str, answer: Any) -> None:
    hub.repo("a/tiny").commit("main", folder)
    hub.wrong[where] = answering(answer)
    with pytest.raises(InputError, match=r"the hub"):
        fetch.weights(find(f"{REF}@main")[0])


@pytest.mark.parametrize("sha", [None, "../../..", "main"])
def test_commits_of_branches_and_titles_are_commits(hub: HubMirror, folder: Path, sha: Any) -> None:
    hub.repo("a/tiny").commit("main", folder, title="step 3")
    hub.wrong["/refs"] = answering({"branches": [{"name": "b", "ref": "refs/heads/b", "targetCommit": sha}], "tags": [],
                                    "converts": [], "pullRequests": []})  # fmt: skip
    with pytest.raises(InputError, match="as the commit of hf://a/tiny@b, which is not a hash"):
        client.branches("a/tiny")
    hub.wrong["/commits/"] = answering([{"id": sha, "authors": [], "date": "2024-01-01T00:00:00.000Z",
                                         "title": "step 3", "message": ""}])  # fmt: skip
    with pytest.raises(InputError, match="as the commit of hf://a/tiny.*, which is not a hash"):
        client.resolve(places.Place("a/tiny", "main", "", "step 3"))


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"ETag": '"../../../../evil"'}, "the name of a path"),
        ({"ETag": "b" * 40, "X_Linked_Etag": "../../evil"}, "the name of a path"),
        ({"ETag": "b" * 40, "X_Repo_Commit": "../../evil"}, "as its commit; do not trust it"),
    ],
)
def test_headers_that_become_paths_are_checked(
    hub: HubMirror, folder: Path, tmp_path: Path, headers: dict[str, str], why: str
) -> None:
    hub.repo("a/tiny").commit("main", folder)
    hub.wrong["resolve"] = answering({}, **{"X_Repo_Commit": "a" * 40, **headers})
    with pytest.raises(InputError, match=why):
        fetch.described(find(REF)[0])
    assert not list(tmp_path.rglob("*evil*"))


def test_redirects_end(hub: HubMirror, folder: Path) -> None:
    hub.repo("a/tiny").commit("main", folder)
    hub.wrong["/tree/"] = lambda reply: reply.send(302, b"", {"Location": reply.request.path})
    with pytest.raises(InputError, match=r"cannot be used \(Exceeded maximum allowed redirects"):
        fetch.described(find(REF)[0])


def test_a_small_answer_does_not_become_a_large_one(hub: HubMirror, folder: Path) -> None:
    hub.repo("a/tiny").commit("main", folder)
    hub.wrong["/tree/"] = answering([], Content_Encoding="gzip")
    with pytest.raises(InputError, match="sends hf://a/tiny compressed, which was not asked for"):
        fetch.described(find(REF)[0])


def test_the_token_goes_to_no_other_host(
    hub: HubMirror, other: HubMirror, folder: Path, login: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages, redirects and the route by which the client renews its leave to fetch."""
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", False)
    commit = hub.repo("a/tiny").commit("main", folder)
    other.repo("a/tiny").commit("main", folder)
    hub.wrong["/tree/"] = answering([FILE], Link=f'<{other.url}/api/models/a/tiny/tree/{commit}>; rel="next"')
    assert len(client._listed(places.parse(REF), commit)) > 2
    hub.wrong.clear()
    snapshots._list("a/tiny", commit).unlink()

    def away(reply: Reply) -> None:
        headers = {"Location": other.url + reply.request.path, "X-Repo-Commit": commit, "Content-Length": "0"}
        served = hub.repos["a/tiny"].commits[commit]["model.safetensors"]
        size = str(served.path.stat().st_size)
        linked = {"X-Linked-Etag": served.etag, "X-Linked-Size": size, "X-Xet-Hash": "c" * 64}
        route = {"X-Xet-Refresh-Route": f"{other.url}/api/models/a/tiny/xet-read-token/main"}
        reply.send(302, b"", headers | linked | route)

    hub.wrong["resolve/" + commit + "/model.safetensors"] = away
    assert (fetch.weights(find(REF)[0]) / "model.safetensors").is_file()
    assert set(hub.tokens) == {f"Bearer {TOKEN}"}
    assert other.tokens and set(other.tokens) == {None}
    assert not any("xet" in path for _, path, _ in other.log)


@pytest.mark.parametrize("name", ["config.json", "vocab.txt"])
def test_config_and_tokenizer_are_what_the_listing_promises(hub: HubMirror, tmp_path: Path, name: str) -> None:
    """Git's hash of a small file; a proxy or a mirror may give another."""
    multibert = public.multibert(tmp_path / "mb", 3)
    repo = hub.repo("a/tiny")
    commit = repo.commit("main", multibert)
    listed = client.listing(places.parse(REF), commit)
    other = tmp_path / "other"
    other.write_bytes(b" " + repo.commits[commit][name].path.read_bytes()[1:])
    repo.commits[commit][name] = type(repo.commits[commit][name])(other)
    with pytest.raises(InputError, match=rf"{name} of hf://a/tiny has git hash .* instead of {listed[name].blob[:12]}"):
        fetch.described(find(REF)[0])
    assert not (snapshots.snapshot(places.parse(REF), commit) / name).exists()


def test_weights_that_nobody_promises_are_refused_unless_asked_for(
    hub: HubMirror, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = hub.repo("a/tiny").commit("main", folder)
    entries = [served.entry(name) for name, served in hub.repos["a/tiny"].commits[commit].items()]
    for entry in entries:
        if entry["path"].endswith(".safetensors"):
            entry.pop("lfs")
            entry["oid"] = ""
    hub.wrong["/tree/"] = answering(entries)
    with pytest.raises(InputError, match=r"no hash of model.safetensors of hf://a/tiny, .*: --allow-unverified"):
        fetch.weights(find(REF)[0])
    assert not hub.sent
    text = tmp_path / "t.txt"
    text.write_text("w1 w2 w3 w4 w5 w6 w7 w8 w9 " * 60)
    given = ["barriers", f"{REF}@main", f"{REF}@{commit}", "--text", str(text), "--sequences", "3", "--length", "8",
             "--points", "3"]  # fmt: skip
    refused = CliRunner().invoke(cli, given)
    assert refused.exit_code == 3 and "--allow-unverified" in refused.output
    monkeypatch.setenv(snapshots.ALLOW, "")  # what the option sets is undone
    taken = CliRunner().invoke(cli, [*given, "--allow-unverified"])
    assert taken.exit_code == 0, taken.output


def test_small_weights_are_held_against_gits_hash(hub: HubMirror, folder: Path) -> None:
    """Weights that are no large file have a promised hash too, and a wrong one is refused."""
    commit = hub.repo("a/tiny").commit("main", folder)
    entries = [served.entry(name) for name, served in hub.repos["a/tiny"].commits[commit].items()]
    for entry in entries:
        entry.pop("lfs", None)
    hub.wrong["/tree/"] = answering(entries)
    with pytest.raises(InputError, match="model.safetensors of hf://a/tiny has git hash"):
        fetch.weights(find(REF)[0])


@pytest.mark.parametrize("copied", [False, True], ids=["links", "copies"])
def test_a_cache_that_others_filled_works_offline(
    hub: HubMirror, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: bool
) -> None:
    """``hf download`` on one machine, and no network on the other; copies where the file system has no links."""
    hub.repo("a/tiny").commit("main", folder)
    usual = fetch.content(find(REF)[0])
    fresh = tmp_path / "fresh" / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(fresh))
    huggingface_hub.snapshot_download("a/tiny", cache_dir=fresh)
    if copied:
        found = next(fresh.rglob("snapshots"))
        shutil.copytree(found, fresh / "copy")
        shutil.rmtree(found)
        (fresh / "copy").rename(found)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    checkpoint = find(REF)[0]
    assert fetch.content(checkpoint) == usual and fetch.is_here(fetch.pinned(checkpoint))
    assert (fetch.weights(checkpoint) / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    (next(fresh.rglob("model.safetensors"))).unlink()
    with pytest.raises(InputError, match="hf://a/tiny is not in the cache and the hub cannot be reached"):
        fetch.weights(checkpoint)


def test_a_cache_that_others_own_works(hub: HubMirror, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be remembered there is not, and a file that is wrong is named where it cannot be removed."""
    hub.repo("a/tiny").commit("main", folder)
    huggingface_hub.snapshot_download("a/tiny")

    def no(*_: Any, **__: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(snapshots, "replacing", no)
    found = fetch.weights(find(REF)[0])
    assert found.joinpath("model.safetensors").is_file() and not snapshots.own("verified").exists()
    blob = (found / "model.safetensors").resolve()
    blob.write_bytes(blob.read_bytes()[:-1] + bytes([blob.read_bytes()[-1] ^ 1]))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", no)
        with pytest.raises(InputError, match=rf"remove it, which this process may not, .*: {blob}"):
            fetch.weights(find(REF)[0])


def test_a_damaged_list_of_files_is_asked_for_again(hub: HubMirror, folder: Path) -> None:
    commit = hub.repo("a/tiny").commit("main", folder)
    whole = client.listing(places.parse(REF), commit)
    for damage in ("", "[]", json.dumps({"config.json": ["3", "", ""]}), "{" * 10_000):
        snapshots._list("a/tiny", commit).write_text(damage)
        assert client.listing(places.parse(REF), commit) == whole


@pytest.mark.parametrize("ref", ["hf://a/b@..%2F..", "hf://a/b@x%2F..%2F..%2Fy"])
def test_no_revision_leaves_its_folder(ref: str) -> None:
    with pytest.raises(InputError, match="is not a place on the hub"):
        find(ref)

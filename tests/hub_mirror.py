"""A loopback Hugging Face Hub: the routes that huggingface_hub and transformers use, with faults on demand."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

LFS = (".bin", ".safetensors", ".h5", ".pt", ".msgpack", ".ckpt")
WEIGHTS = (".bin", ".safetensors")
DATE = "2024-01-01T00:00:00.000Z"


@dataclass(frozen=True)
class Served:
    """A file of a commit; ``promised`` is a hash that the hub announces in place of the file's own."""

    path: Path
    promised: str = ""

    @cached_property
    def lfs(self) -> bool:
        return self.path.suffix in LFS

    @cached_property
    def etag(self) -> str:
        """SHA-256 for a large file, git's SHA-1 for a small one."""
        content = self.path.read_bytes()
        if self.promised:
            return self.promised
        if self.lfs:
            return hashlib.sha256(content).hexdigest()
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

    def entry(self, name: str) -> dict[str, Any]:
        size = self.path.stat().st_size
        large = {"lfs": {"oid": self.etag, "size": size, "pointerSize": 135}} if self.lfs else {}
        return {"type": "file", "path": name, "size": size, "oid": self.etag[:40], **large}


@dataclass
class Repo:
    """Branches, tags and pull requests of a model, each a commit."""

    name: str
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, Served]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)

    def commit(
        self, revision: str, folder: Path | None, *, tag: bool = False, title: str = "",
        promised: dict[str, str] | None = None, also: dict[str, Path] | None = None,
    ) -> str:  # fmt: skip
        """Put a folder on a branch, a tag or a ref ``refs/pr/N``; on a branch after what is there."""
        files = (
            {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()} if folder else {}
        )
        served = {
            name: Served(path, (promised or {}).get(name, "")) for name, path in {**files, **(also or {})}.items()
        }
        text = json.dumps([self.name, revision, title, len(self.commits), {name: f.etag for name, f in served.items()}])
        sha = hashlib.sha1(text.encode()).hexdigest()
        refs = self.tags if tag else self.pulls if revision.startswith("refs/pr/") else self.branches
        if revision in refs:
            self.parents[sha] = refs[revision]
        refs[revision] = sha
        self.commits[sha] = served
        self.titles[sha] = title or f"Upload {revision}"
        return sha

    def resolve(self, revision: str) -> str | None:
        revision = revision.removeprefix("refs/heads/")
        for refs in (self.branches, self.tags, self.pulls):
            if revision in refs:
                return refs[revision]
        return revision if revision in self.commits else None

    def history(self, sha: str | None) -> Iterator[str]:
        while sha:
            yield sha
            sha = self.parents.get(sha)


@dataclass
class Fault:
    """Once, for a request of this method whose path has this in it: a status, or a body cut after some bytes."""

    method: str
    part: str
    status: int = 0
    cut: int = 0


class HubMirror:
    """The server.

    Attributes:
        log: Every request as (method, path, status).
        sent: Bytes of each weights file.
        tokens: The token of each request.
        wrong: What answers in place of the route, where this is in the path.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.log: list[tuple[str, str, int]] = []
        self.sent: dict[str, int] = {}
        self.tokens: list[str | None] = []
        self.wrong: dict[str, Callable[[Reply], None]] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_HEAD(self) -> None:
                outer.answer(self, "HEAD")

            def do_GET(self) -> None:
                outer.answer(self, "GET")

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.answer(self, "POST")

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def start(self) -> HubMirror:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def clear(self) -> None:
        for part in (self.repos, self.faults, self.log, self.sent, self.tokens, self.wrong):
            part.clear()

    def repo(self, name: str, **settings: Any) -> Repo:
        return self.repos.setdefault(name, Repo(name, **settings))

    def answer(self, request: Any, method: str) -> None:
        url = urlsplit(request.path)
        reply = Reply(self, request, method)
        self.tokens.append(request.headers.get("Authorization"))
        if wrong := next((answer for part, answer in self.wrong.items() if part in request.path), None):
            return wrong(reply)
        fault = next((f for f in self.faults if f.method == method and f.part in url.path), None)
        if fault is not None:
            self.faults.remove(fault)
            if fault.status:
                return reply.error(fault.status, "Injected", "an injected fault")
            reply.cut = fault.cut
        for pattern, route in ROUTES:
            if match := re.fullmatch(pattern, url.path):
                return route(reply, *(unquote(part or "") for part in match.groups()), **parse_qs(url.query))
        return reply.error(404, "NotFound", f"no route {url.path}")


@dataclass
class Reply:
    """One answer."""

    hub: HubMirror
    request: Any
    method: str
    cut: int = 0

    def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.hub.log.append((self.method, self.request.path, status))
        self.request.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.request.send_header(name, value)
        self.request.end_headers()
        if self.method == "HEAD":
            return
        if self.cut:
            body, self.request.close_connection = body[: self.cut], True
        self.request.wfile.write(body)

    def json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def error(self, status: int, code: str, message: str, commit: str = "") -> None:
        known = {"X-Repo-Commit": commit} if commit else {}
        self.json({"error": message}, status, {"X-Error-Code": code, "X-Error-Message": message, **known})

    def found(self, name: str, revision: str) -> tuple[Repo, str] | None:
        repo = self.hub.repos.get(name)
        if repo is None:
            self.error(404, "RepoNotFound", "Repository not found")
            return None
        commit = repo.resolve(revision or "main")
        if commit is None:
            self.error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repo, commit


def file(reply: Reply, name: str, revision: str, path: str, **_: Any) -> None:
    if (found := reply.found(name, revision)) is None:
        return None
    repo, commit = found
    if repo.gated:
        return reply.error(403, "GatedRepo", "Access to this model is restricted")
    served = repo.commits[commit].get(path)
    if served is None:
        return reply.error(404, "EntryNotFound", "Entry not found", commit)
    content = served.path.read_bytes()
    headers = {"ETag": f'"{served.etag}"', "X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
    if served.lfs:
        headers |= {"X-Linked-Size": str(len(content)), "X-Linked-Etag": f'"{served.etag}"'}
    status, wanted = 200, re.fullmatch(r"bytes=(\d+)-(\d*)", reply.request.headers.get("Range") or "")
    if wanted and reply.method == "GET":
        first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        status, content = 206, content[first : last + 1]
    if reply.method == "GET" and Path(path).suffix in WEIGHTS:
        reply.hub.sent[path] = reply.hub.sent.get(path, 0) + len(content)
    return reply.send(status, content, headers)


def info(reply: Reply, name: str, revision: str = "", **_: Any) -> None:
    if (found := reply.found(name, revision)) is None:
        return None
    repo, commit = found
    return reply.json({
        "_id": "0" * 24, "id": name, "modelId": name, "sha": commit, "private": False, "gated": repo.gated, "tags": [],
        "disabled": False, "downloads": 0, "likes": 0, "siblings": [{"rfilename": p} for p in repo.commits[commit]],
    })  # fmt: skip


def tree(reply: Reply, name: str, revision: str, folder: str = "", **query: Any) -> None:
    if (found := reply.found(name, revision)) is None:
        return None
    repo, commit = found
    start = f"{folder.strip('/')}/" if folder else ""
    inside = {path: f for path, f in repo.commits[commit].items() if path.startswith(start)}
    if folder and not inside:
        return reply.error(404, "EntryNotFound", f"{folder} does not exist", commit)
    deep = query.get("recursive", ["false"])[0].lower() in ("true", "1")
    folders = {start + path.removeprefix(start).split("/")[0] for path in inside if "/" in path.removeprefix(start)}
    entries = [f.entry(path) for path, f in inside.items() if deep or "/" not in path.removeprefix(start)]
    return reply.json([
        *entries,
        *({"type": "directory", "path": f, "oid": "0" * 40, "size": 0} for f in sorted(folders)),
    ])


def refs(reply: Reply, name: str, **_: Any) -> None:
    if (repo := reply.hub.repos.get(name)) is None:
        return reply.error(404, "RepoNotFound", "Repository not found")

    def named(kind: str, here: dict[str, str]) -> list[dict[str, str]]:
        return [{"name": n, "ref": f"refs/{kind}/{n}", "targetCommit": sha} for n, sha in here.items()]

    pulls = [{"name": n, "ref": n, "targetCommit": sha} for n, sha in repo.pulls.items()]
    return reply.json({"branches": named("heads", repo.branches), "tags": named("tags", repo.tags), "converts": [],
                       "pullRequests": pulls})  # fmt: skip


def commits(reply: Reply, name: str, revision: str, **_: Any) -> None:
    if (found := reply.found(name, revision)) is None:
        return None
    repo, commit = found
    return reply.json([
        {"id": sha, "authors": [{"user": "mirror"}], "date": DATE, "title": repo.titles[sha], "message": ""}
        for sha in repo.history(commit)
    ])


def discussions(reply: Reply, name: str, **_: Any) -> None:
    return reply.json({"discussions": [], "count": 0, "start": 0})


MODEL = r"/api/models/([^/]+/[^/]+)"
ROUTES: list[tuple[str, Callable[..., None]]] = [
    (r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", file),
    (rf"{MODEL}", info),
    (rf"{MODEL}/revision/([^/]+)", info),
    (rf"{MODEL}/tree/([^/]+)(?:/(.*))?", tree),
    (rf"{MODEL}/refs", refs),
    (rf"{MODEL}/commits/([^/]+)", commits),
    (rf"{MODEL}/discussions", discussions),
]

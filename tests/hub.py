"""A hub on this machine: the part of the hub's HTTP interface that huggingface_hub asks for, with files in memory.

Source of the interface: huggingface_hub 2.4 (hf_api.py, _commit_api.py, lfs.py, file_download.py), as its client.
"""

import base64
import hashlib
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

from huggingface_hub import constants

LARGE = (".safetensors", ".npz", ".png", ".parquet")
"""Endings that the hub keeps apart (LFS)."""


class Repository:
    """Commits of files; refs name them."""

    def __init__(self, private=False):
        self.private, self.gated = private, False
        self.commits, self.refs = {}, {}
        self.commit({})

    @property
    def files(self):
        return self.commits[self.refs["main"]]

    def commit(self, files, ref="main"):
        whole = self.commits.get(self.refs.get(ref), {}) | files
        told = b"".join(name.encode() + content for name, content in sorted(whole.items()))
        sha = hashlib.sha1(told).hexdigest()
        self.commits[sha], self.refs[ref] = whole, sha
        return sha

    def at(self, revision):
        return self.refs.get(revision, revision)


class FakeHub:
    """A hub while its ``with`` lasts; ``asked`` lists the requests, ``broken`` what it answers wrongly.

    ``broken``: part of a request's path -> what is done to the answer, a function of (status, headers, content).
    """

    def __init__(self):
        self.repositories, self.large, self.asked, self.broken = {}, {}, [], {}

    def __enter__(self):
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Answer,), {"hub": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def put(self, repo, files, kind="model"):
        """Files in a repository, new or not; the commit."""
        return self.repositories.setdefault((kind, repo), Repository()).commit(files)

    def reached(self, monkeypatch, cache):
        """Make it the hub of huggingface_hub and transformers, with a cache of its own."""
        for name, value in {
            "ENDPOINT": self.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": self.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_CACHE": str(cache),
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr("transformers.utils.hub._hf_api", None)  # made once, for the hub of that moment
        monkeypatch.setenv("HF_TOKEN", "hf_nothing")


class Answer(BaseHTTPRequestHandler):
    """One request."""

    hub: FakeHub
    protocol_version = "HTTP/1.1"
    ROUTES = (
        ("GET", r"/api/whoami-v2", "whoami"),
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "valid"),
        ("GET", r"/api/(?P<kind>model|dataset)s/(?P<repo>[^/]+/[^/]+)", "info"),
        ("GET", r"/api/(?P<kind>model|dataset)s/(?P<repo>[^/]+/[^/]+)/revision/(?P<revision>[^/]+)", "info"),
        ("GET", r"/api/(?P<kind>model|dataset)s/(?P<repo>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)", "tree"),
        ("POST", r"/api/(?P<kind>model|dataset)s/(?P<repo>[^/]+/[^/]+)/preupload/[^/]+", "preupload"),
        ("POST", r"/api/(?P<kind>model|dataset)s/(?P<repo>[^/]+/[^/]+)/commit/(?P<revision>[^/]+)", "commit"),
        ("POST", r"/(?:datasets/)?[^/]+/[^/]+\.git/info/lfs/objects/batch", "batch"),
        ("PUT", r"/large/(?P<oid>[0-9a-f]{64})", "keep"),
        (
            "GET",
            r"/(?P<kind>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
            "file",
        ),
    )

    def log_message(self, *_):
        pass

    def _any(self):
        path = urlsplit(self.path).path
        self.hub.asked.append(f"{self.command} {unquote(path)}")
        length = int(self.headers.get("Content-Length") or 0)
        if self.headers.get("Transfer-Encoding") == "chunked":
            self.body = b""
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            self.body = self.rfile.read(length)
        method = "GET" if self.command == "HEAD" else self.command
        status, headers, content = 404, {}, b"{}"
        for wanted, pattern, name in self.ROUTES:
            if wanted == method and (found := re.fullmatch(pattern, path)):
                status, headers, content = self._answer(
                    name, {key: value and unquote(value) for key, value in found.groupdict().items()}
                )
                break
        for part, change in self.hub.broken.items():
            if part in unquote(path):
                status, headers, content = change(status, headers, content)
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        if int(headers.get("Content-Length", 0)) > len(content):
            self.close_connection = True  # cut off

    do_GET = do_HEAD = do_POST = do_PUT = _any

    def _answer(self, name, given):
        repository = None
        if "repo" in given:
            kind = "dataset" if (given.get("kind") or "").startswith("dataset") else "model"
            repository = self.hub.repositories.get((kind, given["repo"]))
            if repository is None:
                return 401, {"X-Error-Code": "RepoNotFound"}, b"{}"
            revision = given.get("revision") or "main"
            if revision not in repository.refs and revision not in repository.commits:
                return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
            given = given | {"kind": kind, "revision": repository.at(revision)}
        answer = getattr(self, name)(repository, **given)
        return answer if isinstance(answer, tuple) else (200, {}, json.dumps(answer).encode())

    def whoami(self, _):
        return {"name": "me", "type": "user", "auth": {}}

    def create(self, _):
        told = json.loads(self.body)
        repo, kind = f"{told['organization'] or 'me'}/{told['name']}", told.get("type") or "model"
        url = {"url": f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{repo}"}
        if (kind, repo) in self.hub.repositories:
            return 409, {}, json.dumps(url).encode()
        self.hub.repositories[kind, repo] = Repository(told.get("visibility") == "private")
        return url

    def valid(self, _):
        return {"errors": [], "warnings": []}

    def info(self, repository, kind, repo, revision):
        siblings = [{"rfilename": name} for name in repository.commits[revision]]
        return {"id": repo, "sha": revision, "siblings": siblings, "tags": [], "private": repository.private}

    def tree(self, repository, kind, repo, revision):
        return [self._entry(name, content) for name, content in repository.commits[revision].items()]

    def _entry(self, name, content):
        entry = {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        if name.endswith(LARGE):
            entry["lfs"] = {
                "oid": hashlib.sha256(content).hexdigest(),
                "size": len(content),
                "pointerSize": 130,
            }
        return entry

    def preupload(self, _, **__):
        names = [file["path"] for file in json.loads(self.body)["files"]]
        mode = lambda name: "lfs" if name.endswith(LARGE) else "regular"
        return {"files": [{"path": name, "uploadMode": mode(name), "shouldIgnore": False} for name in names]}

    def batch(self, _):
        objects = json.loads(self.body)["objects"]
        for one in objects:
            one["actions"] = {"upload": {"href": f"{self.hub.url}/large/{one['oid']}"}}
        return {"transfer": "basic", "objects": objects}

    def keep(self, _, oid):
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.hub.large[oid] = self.body
        return {}

    def commit(self, repository, kind, repo, revision):
        files = {}
        for line in self.body.splitlines():
            told = json.loads(line)
            value = told["value"]
            if told["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif told["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        sha = repository.commit(files)
        return {"commitUrl": f"{self.hub.url}/{repo}/commit/{sha}", "commitOid": sha}

    def file(self, repository, kind, repo, revision, path):
        if repository.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        content = repository.commits[revision].get(path)
        headers = {"X-Repo-Commit": revision}
        if content is None:
            return 404, {"X-Error-Code": "EntryNotFound", **headers}, b""
        digest = hashlib.sha256 if path.endswith(LARGE) else hashlib.sha1
        return 200, {"ETag": f'"{digest(content).hexdigest()}"', **headers}, content

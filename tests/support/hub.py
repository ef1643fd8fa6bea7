"""As much of the Hugging Face hub as its client needs, on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
from http.server import BaseHTTPRequestHandler


class FakeHub(BaseHTTPRequestHandler):
    """As much of the hub's protocol as its client speaks to store and fetch small files."""

    protocol_version = "HTTP/1.1"
    files: dict[str, bytes]
    asked: list[tuple[str, str | None]]
    endpoint: str

    def log_message(self, *_args) -> None:
        """Say nothing."""

    def reply(self, body: object, status: int = 200, **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for key, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(key.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.asked.append((self.path, self.headers["Authorization"]))
        home = f"http://{self.headers['Host']}/me/warm"
        if self.path.endswith("/repos/create"):
            self.reply({"url": home, "id": "me/warm"})
        elif "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            self.reply(
                {
                    "files": [
                        {"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names
                    ]
                }
            )
        elif "/commit/" in self.path:
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            self.reply(
                {"commitOid": "a" * 40, "commitUrl": f"{home}/commit/{'a' * 40}", "success": True}
            )
        else:
            self.reply({})

    def do_GET(self) -> None:
        oid = {name: hashlib.sha1(data).hexdigest() for name, data in self.files.items()}
        name = self.path.rpartition("/")[2]
        if "gated" in self.path:
            self.reply({"error": "restricted"}, 403, X_Error_Code="GatedRepo")
        elif "me/warm" not in self.path:
            self.reply({"error": "not found"}, 404, X_Error_Code="RepoNotFound")
        elif "/resolve/" in self.path:
            self.reply(self.files[name], ETag=f'"{oid[name]}"', X_Repo_Commit="a" * 40)
        elif "/tree/" in self.path:
            self.reply(
                [
                    {"type": "file", "path": n, "size": len(data), "oid": oid[n]}
                    for n, data in self.files.items()
                ]
            )
        else:
            self.reply(
                {"id": "me/warm", "sha": "a" * 40, "siblings": [{"rfilename": n} for n in oid]}
            )

    do_HEAD = do_GET

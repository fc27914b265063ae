"""Stands in for `python -m gridlight` under `gridlight up`: services that only come up, answer and stop.

A file `FOLDER/break` names a role that fails at its start, `FOLDER/idle` says that nodes come up and lend nothing. What
stopped is told in `FOLDER/stopped`, in order.
"""

import http.server
import json
import signal
import sys
import tomllib
from pathlib import Path

from gridlight.adapters.signatures import SigningKey


def main() -> None:
    role = sys.argv[1]
    if role == "node":
        data = Path(sys.argv[sys.argv.index("--data") + 1])
        folder = data.parent.parent
        if not (folder / "idle").exists():
            (data / "online").touch()
    else:
        folder = Path(sys.argv[sys.argv.index("--config") + 1]).parent.parent
    broken = folder / "break"
    if broken.exists() and broken.read_text() == role:
        sys.exit("this service was made to fail")

    def stop(_number: int, _frame: object) -> None:
        with (folder / "stopped").open("a") as file:
            file.write(f"{role}\n")
        sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    if role == "gateway":
        serve(tomllib.loads((folder / "gateway" / "config.toml").read_text()), folder)
    while True:
        signal.pause()


def serve(config: dict[str, str | int], folder: Path) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(nodes(folder) if self.path == "/v1/nodes" else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    address = (str(config["http_host"]), int(config["http_port"]))
    http.server.ThreadingHTTPServer(address, Answer).serve_forever()


def nodes(folder: Path) -> dict[str, object]:
    views = [
        {
            "node_id": SigningKey.load_or_create(data / "node.nk").public,
            "online": (data / "online").exists(),
            "operator": "",
            "agent_version": "",
            "cpus": 1,
            "memory_mib": 1,
            "slots": 1,
            "workloads": [],
            "tasks_answered": 0,
        }
        for data in sorted((folder / "agents").glob("*"))
    ]
    return {"online": len(views), "enrolled": len(views), "nodes": views}


main()

"""A network's front door: the nginx of `deploy/`, with its own file and a certificate of the test's own."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).resolve().parents[2]
NAME = "network.example"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
OPENSSL = shutil.which("openssl")
MISSING = [name for name, found in (("nginx-light", NGINX), ("openssl", OPENSSL)) if found is None]
"""Debian's packages that are not there."""

_START_S = 10.0
_TOP = """\
{user}daemon off;
worker_processes 1;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/gridlight.conf;
}}
"""


class Certificate(Struct, frozen=True):
    """A certificate that signs itself, and its key."""

    file: Path
    key: Path


def self_signed(folder: Path, *names: str, issuer: str = "Gridlight test") -> Certificate:
    """For these host names."""
    assert OPENSSL is not None
    made = Certificate(folder / "certificate.pem", folder / "key.pem")
    alternatives = ",".join(f"DNS:{name}" for name in names)
    command = [OPENSSL, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-subj", f"/O={issuer}/CN={names[0]}", "-addext", f"subjectAltName={alternatives}", "-days", "2"]
    subprocess.run(
        [*command, *subject, "-out", str(made.file), "-keyout", str(made.key)], check=True, capture_output=True
    )
    return made


@contextmanager
def reverse_proxy(folder: Path, certificate: Certificate, *, port: int, http: int, websocket: int) -> Iterator[None]:
    """nginx before a gateway and a bus' WebSocket on these ports, for as long as the `with` lasts."""
    assert NGINX is not None
    folder.mkdir(parents=True)
    text = (ROOT / "deploy" / "nginx" / "gridlight.conf").read_text(encoding="utf-8")
    for ours, theirs in {
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "listen [::]:443 ssl;": "",
        "/etc/letsencrypt/live/network.example/fullchain.pem": str(certificate.file),
        "/etc/letsencrypt/live/network.example/privkey.pem": str(certificate.key),
        "127.0.0.1:8080": f"127.0.0.1:{http}",
        "127.0.0.1:8081": f"127.0.0.1:{websocket}",
    }.items():
        assert text.count(ours) == 1, f"{ours} should stand in deploy/nginx/gridlight.conf once"
        text = text.replace(ours, theirs)
    (folder / "gridlight.conf").write_text(text, encoding="utf-8")
    top = _TOP.format(user="user root;\n" if os.getuid() == 0 else "", folder=folder)
    (folder / "nginx.conf").write_text(top, encoding="utf-8")
    words = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL)
    try:
        _wait_for(port, process, folder)
        yield
    finally:
        process.terminate()
        process.wait(_START_S)


def _wait_for(port: int, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    ends = time.monotonic() + _START_S
    while True:
        assert process.poll() is None, (folder / "error.log").read_text(encoding="utf-8")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < ends, "nginx does not listen"
            time.sleep(0.02)
        else:
            return

"""A node as a systemd unit of its user: started with the machine and again when it fails, and kept from the rest."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

UNIT_NAME: Final = "gridlight-node"
CARRIED_VARIABLES: Final = (
    *(name for proxy in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY") for name in (proxy, proxy.lower())),
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GRIDLIGHT_CACHE",
    "XDG_CACHE_HOME",
)
"""What a node of the person who installs it would see, and systemd does not pass on."""

_HARDENING: Final = """\
# What the node does not need, it cannot do. The rest of the machine is there to read, and its own folders to write.
# Not here: what covers parts of /proc or forbids a namespace its own name. Bubblewrap could not start under it, and
# walls around each worker are worth more than these around the agent.
NoNewPrivileges=yes
PrivateUsers=yes
ProtectSystem=strict
ProtectHome=read-only
ProtectClock=yes
ProtectKernelModules=yes
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
"""
_FOR_CONTAINERS: Final = """\
# Rootless podman gains its namespaces by a program with privileges, which NoNewPrivileges and all that implies it would
# keep from it. What runs in containers is held by these; the agent itself is an ordinary process of its user.
"""


def unit_file() -> Path:
    """Where systemd looks for this user's units: `$XDG_CONFIG_HOME`, else `~/.config`."""
    shared = os.environ.get("XDG_CONFIG_HOME")
    return (Path(shared) if shared else Path.home() / ".config") / "systemd" / "user" / f"{UNIT_NAME}.service"


def unit_text(
    command: Sequence[str], environment: Mapping[str, str], *, writes: Sequence[Path], has_containers: bool
) -> str:
    """The unit that runs `command`, which may write to these folders; they have to be there when it starts."""
    folders = " ".join(_word(str(path)) for path in writes)
    confined = _FOR_CONTAINERS if has_containers else f"{_HARDENING}ReadWritePaths={folders}\n"
    return f"""\
# Written by `gridlight node install`; `gridlight node uninstall` takes it away.
[Unit]
Description=Gridlight node
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={" ".join(_word(part, is_command=True) for part in command)}
{"".join(f"Environment={_word(f'{name}={value}')}{chr(10)}" for name, value in environment.items())}\
Restart=on-failure
RestartSec=60
TimeoutStopSec=15
KillMode=mixed
Nice=10
UMask=0077

{confined}
[Install]
WantedBy=default.target
"""


def write_unit(path: Path, text: str) -> None:
    """Readable by its owner alone: the way to a proxy may hold a password."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")


def remove_unit(path: Path) -> bool:
    """Take the unit and what enables it away; whether there was one. The running node goes on until it is stopped."""
    was_there = path.exists()
    for one in (path, *_enabling(path)):
        one.unlink(missing_ok=True)
    return was_there


def _enabling(path: Path) -> Iterator[Path]:
    yield path.parent / "default.target.wants" / path.name


def _word(text: str, *, is_command: bool = False) -> str:
    """As systemd reads one word; `%` and, in commands, `$` would stand for something else."""
    if "\n" in text:
        raise ValueError(f"{text[:80]!r} has a line break, which no unit can hold")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped.replace("$", "$$") if is_command else escaped}"'

"""The publisher's words: `gridlight workload init | build | test | sign | publish`."""

from pathlib import Path
from typing import Annotated

import typer

from gridlight.cli.ending import explaining
from gridlight.cli.options import URL, JsonOption

workload_app = typer.Typer(help="Write a workload of your own, and bring it to a network.")

FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="The workload's folder.")]
KEY_DEFAULT = Path("~/.config/gridlight/publisher.nk")
KeyOption = Annotated[Path, typer.Option(help="The file of your key; made where there is none.")]


@workload_app.command("init")
def init_workload(
    folder: FolderArgument,
    name: Annotated[str | None, typer.Option(help="Its name; the folder's, if left out.")] = None,
) -> None:
    """Begin a workload: a manifest to fill in, and a program that works."""
    from gridlight.client.kit.folder import init

    for path in init(folder, name or folder.resolve().name):
        typer.echo(f"wrote {path}")


@workload_app.command("build")
def build_workload(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Put artifacts and image under their digests, and write the manifest."""
    from gridlight.client.kit.folder import build
    from gridlight.messages.codec import encode

    workload, manifest = build(folder)
    if as_json:
        typer.echo(encode({"workload": workload, "manifest": manifest}).decode())
        return
    size = manifest.resources.download_bytes / 1024**2
    typer.echo(f"built {manifest.name} {manifest.version}: {len(manifest.artifacts)} artifacts, {size:.1f} MiB")


@workload_app.command("test")
def try_workload(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Try on this machine what a network expects of a workload. Ends with 1 where something does not hold."""
    from gridlight.client.kit.conformance import Finding, try_out
    from gridlight.messages.codec import encode

    def tell(finding: Finding) -> None:
        if not as_json:
            mark = "holds" if finding.holds else "FAILS"
            typer.echo(f"{mark}  {finding.what}: {finding.seen} ({finding.ms} ms)")

    findings = try_out(folder, tell)
    failed = sum(not finding.holds for finding in findings)
    if as_json:
        typer.echo(encode(findings).decode())
    else:
        typer.echo(f"{len(findings) - failed} of {len(findings)} hold")
    if failed:
        raise typer.Exit(1)


@workload_app.command("sign")
def sign_workload(
    folder: FolderArgument,
    key: KeyOption = KEY_DEFAULT,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="How long your word holds.")] = 730,
) -> None:
    """Name yourself as its publisher, and sign it."""
    from gridlight.adapters.clock import wall_s
    from gridlight.adapters.manifests import DAY_MS
    from gridlight.adapters.signatures import SigningKey
    from gridlight.client.kit.folder import sign

    with explaining(ValueError):
        secret = SigningKey.load_or_create(key.expanduser())
    workload = sign(folder, secret, expires_ms=wall_s() * 1_000 + days * DAY_MS)
    typer.echo(f"signed {workload} as {secret.public}")


@workload_app.command("publish")
def publish_workload(
    folder: FolderArgument,
    url: Annotated[str, typer.Option(envvar="GRIDLIGHT_URL", help="The network's gateway.")] = URL,
    key: KeyOption = KEY_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Bring it to a network: the manifest, and what of its artifacts the network does not have. Again goes on."""
    from rich.console import Console

    from gridlight.adapters.signatures import SigningKey
    from gridlight.client.kit.uploading import publish
    from gridlight.client.progress import StageProgress
    from gridlight.messages.codec import encode

    with explaining(ValueError):
        secret = SigningKey.load_or_create(key.expanduser())
    with StageProgress(Console(stderr=True)) as progress:
        published = publish(
            folder, url, secret, lambda digest, done, size: progress(f"uploading {digest[:12]}", done, size)
        )
    if as_json:
        typer.echo(encode(published).decode())
    else:
        typer.echo(f"{published.id} is {published.state}; the network's administrator approves it")

"""Which backend a node's workers run in: the one that is named, or the strongest whose guarantees hold here."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

from gridlight.adapters.sandbox.bubblewrap import Bubblewrap
from gridlight.adapters.sandbox.podman import Podman
from gridlight.adapters.sandbox.port import (
    NOTHING_PROVED,
    EngineUnavailable,
    Findings,
    Guarantees,
    Sandbox,
    ThirdParty,
    may_run_third_party,
    names,
)
from gridlight.adapters.sandbox.probing import probe
from gridlight.adapters.sandbox.subprocess import Subprocess

Engine = Literal["podman", "bubblewrap", "subprocess"]
EngineChoice = Literal["auto", "podman", "bubblewrap", "subprocess"]

STRONGEST_FIRST: Final[tuple[Engine, ...]] = get_args(Engine)


class Chosen(Struct, frozen=True, kw_only=True):
    """A backend, and what was proved of it."""

    sandbox: Sandbox
    findings: Findings
    guarantees: Guarantees
    passed_over: Mapping[str, str]
    """Stronger backends, and why they are not used."""

    @property
    def third_party(self) -> ThirdParty:
        """Whether a stranger's code may run in it."""
        return may_run_third_party(self.guarantees)


async def choose(engine: EngineChoice, *, owner: str, folder: Path) -> Chosen:
    """Open and probe; `owner` tells this agent's workers from another's, `folder` is its own.

    EngineUnavailable where the one that is named cannot be used at all. One that lacks a guarantee is used all the same
    where it is named, since first-party work may run in it. A plain child process that is named is not probed: it never
    runs a stranger's code, and nobody's start shall wait some seconds for the proof of nothing.
    """
    if engine == "subprocess":
        nothing = NOTHING_PROVED.guarantees(frozenset())
        return Chosen(sandbox=Subprocess(), findings=NOTHING_PROVED, guarantees=nothing, passed_over={})
    if engine != "auto":
        chosen = await _tried(engine, owner, folder)
        if chosen.findings.failure:
            await chosen.sandbox.close()
            raise EngineUnavailable(f"{engine} runs no worker here: {chosen.findings.failure}")
        return chosen
    return await _strongest(owner, folder)


async def _strongest(owner: str, folder: Path) -> Chosen:
    tried: list[Chosen] = []
    passed_over: dict[str, str] = {}
    for engine in STRONGEST_FIRST:
        try:
            tried.append(await _tried(engine, owner, folder))
        except EngineUnavailable as error:
            passed_over[engine] = str(error)
        else:
            if not tried[-1].guarantees.missing():
                break
    best = min(tried, key=lambda one: len(one.guarantees.missing()))  # a plain child process can always be tried
    for one in tried:
        if one is not best:
            passed_over[one.sandbox.name] = one.findings.failure or f"no proof of {names(one.guarantees.missing())}"
            await one.sandbox.close()
    return msgspec.structs.replace(best, passed_over=passed_over)


async def _tried(engine: Engine, owner: str, folder: Path) -> Chosen:
    sandbox = await _OPEN[engine](owner, folder)
    findings = await probe(sandbox, folder)
    return Chosen(sandbox=sandbox, findings=findings, guarantees=findings.guarantees(sandbox.walls), passed_over={})


async def _open_subprocess(_owner: str, _folder: Path) -> Subprocess:
    return Subprocess()


_OPEN: Final[Mapping[Engine, Callable[[str, Path], Awaitable[Sandbox]]]] = {
    "podman": Podman.opened,
    "bubblewrap": Bubblewrap.opened,
    "subprocess": _open_subprocess,
}

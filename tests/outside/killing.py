"""Kills a payer's process, by SIGKILL, at a chosen call to Horizon: before that is acted on, or right after."""

import os
import signal
from collections.abc import Callable

from tests.outside.horizon import DROPPED, Answer, Horizon


class DeadlyHorizon:
    """Answers as `horizon` does, but whoever calls may be killed; then nothing is answered."""

    def __init__(self, horizon: Horizon, kills: Callable[[str], bool]) -> None:
        self.horizon = horizon
        self.kills = kills
        """Told of a step, `heard` or `did` and the call, it says whether the process ends there."""
        self.pid: int | None = None
        """Who is killed; nobody while there is none."""

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        """To one call."""
        if self._is_killed("heard", method, target):
            return DROPPED
        answer = self.horizon.answer(method, target, body)
        return DROPPED if self._is_killed("did", method, target) else answer

    def _is_killed(self, when: str, method: str, target: str) -> bool:
        if self.pid is None or not self.kills(f"{when} {method} {target}"):
            return False
        pid, self.pid = self.pid, None
        os.kill(pid, signal.SIGKILL)
        return True

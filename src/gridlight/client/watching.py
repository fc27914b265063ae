"""Shows on a terminal what becomes of an answer: what was served at once, and each change until it is settled."""

import sys
from typing import Final

from rich.console import Console

from gridlight.adapters.clock import monotonic_ms
from gridlight.client.casestudy.printing import print_response
from gridlight.client.errors import VerificationOverdue
from gridlight.client.requester import Gridlight
from gridlight.messages.api import DetectResponse, RequestView
from gridlight.messages.codec import encode
from gridlight.messages.trust import Verification

_MEANINGS: Final = {
    Verification.UNVERIFIED: "nobody checks it",
    Verification.PROVISIONAL: "it may still change",
    Verification.DISPUTED: "another node says otherwise; a reference node decides",
    Verification.FINAL: "it stands for good",
    Verification.CORRECTED: "it was wrong; this stands for good",
    Verification.VOID: "do not rely on it",
}


def watch(network: Gridlight, response: DetectResponse, *, wait_s: float, as_json: bool) -> DetectResponse:
    """Wait until an answer is settled, and show it happen; the answer that stands then.

    With `as_json` one document goes to standard output at the end, also where the wait was too short, and all else to
    standard error.
    """
    console = Console(stderr=as_json)
    print_response(console, response)
    started_ms = monotonic_ms()

    def show(view: RequestView) -> None:
        if view.verification is None:
            return
        after_s = (monotonic_ms() - started_ms) / 1000
        console.print(f"after {after_s:.1f} s: {view.verification}, {_MEANINGS[view.verification]}", highlight=False)
        if view.verification is Verification.CORRECTED and view.result is not None:
            print_response(console, view.result)

    try:
        view = network.wait_verified(response.id, wait_s, listen=show)
    except VerificationOverdue as overdue:
        if as_json and overdue.view is not None:
            sys.stdout.write(encode(overdue.view).decode() + "\n")
        raise
    if as_json:
        sys.stdout.write(encode(view).decode() + "\n")
    return view.result or response

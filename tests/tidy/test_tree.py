"""What is tracked belongs to nobody's machine: no addresses but known ones, no one's folders."""

import re

ADDRESS = re.compile(r"\b(?:https?|wss?|ftp|git|ssh)://([A-Za-z0-9][A-Za-z0-9.-]*)")
HOSTS = {
    "127.0.0.1",
    "localhost",
    "0.0.0.0",
    "example.org",
    "example.com",
    "host",  # stands for one, in words
    "user",  # the same, before a password
    "json",  # what a test sends that is no picture
    "developers.google.com",
    "docs.nats.io",
    "json-schema.org",
    "keepachangelog.com",
    "semver.org",
    "www.apache.org",
    "www.w3.org",
}
FOLDERS = re.compile(r"(?<![\w.:])/(?:home|root|Users|work|opt)/\w")


def test_every_address_is_a_known_one(texts: dict[str, str]) -> None:
    unknown = [
        f"{path}: {host}"
        for path, text in texts.items()
        for host in ADDRESS.findall(text)
        if host.lower() not in HOSTS and not host.endswith(".example")
    ]
    assert not unknown, (
        f"one machine's mirror breaks every other's set-up; name no host, or add a public one: {unknown}"
    )


def test_no_file_names_a_folder_of_one_machine(texts: dict[str, str]) -> None:
    local = [
        f"{path}:{number}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if FOLDERS.search(line)
    ]
    assert not local, f"nobody else has this folder; derive it, or take it as an option: {local}"

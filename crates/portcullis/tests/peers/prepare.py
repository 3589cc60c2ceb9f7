"""Puts a directory into the state that a server's calls in servers.json begin from.

    python3 prepare.py SERVER DIRECTORY

The directory itself stays the same one, so that a server that is running keeps its view of it.
"""

import base64
import os
import shutil
import subprocess
import sys
from pathlib import Path

# One transparent pixel.
DOT_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

GIT_ENV = {
    "GIT_AUTHOR_DATE": "2026-01-02T03:04:05Z",
    "GIT_COMMITTER_DATE": "2026-01-02T03:04:05Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}


def empty(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for entry in directory.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def filesystem(directory: Path) -> None:
    (directory / "notes.txt").write_text("one\ntwo\nthree – 三\n", encoding="utf-8")
    (directory / "dot.png").write_bytes(DOT_PNG)
    (directory / "sub").mkdir()
    (directory / "sub" / "inner.txt").write_text("inner\n", encoding="utf-8")


def git(directory: Path) -> None:
    def run(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=directory, env={**os.environ, **GIT_ENV}, check=True)

    run("init", "--quiet", "--initial-branch", "main")
    run("config", "user.name", "Peer")
    run("config", "user.email", "peer@example.com")
    run("config", "commit.gpgsign", "false")
    notes = directory / "notes.txt"
    for text in ("one\n", "one\ntwo\n"):
        notes.write_text(text, encoding="utf-8")
        run("add", "notes.txt")
        run("commit", "--quiet", "--message", f"Write {len(text)} bytes")
    notes.write_text("one\ntwo\nthree\n", encoding="utf-8")


CONTENTS = {"filesystem": filesystem, "git": git}


def main() -> None:
    server, directory = sys.argv[1], Path(sys.argv[2])
    empty(directory)
    CONTENTS.get(server, lambda _: None)(directory)


if __name__ == "__main__":
    main()

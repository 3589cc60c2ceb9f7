"""Uses `server-filesystem` and `mcp-server-git` as somebody at work does, and then attacks them.

    python3 suggest.py prepare --dir DIRECTORY
    python3 suggest.py hour    --dir DIRECTORY --files ENDPOINT --git ENDPOINT
    python3 suggest.py attack  --dir DIRECTORY --files ENDPOINT --git ENDPOINT --out FILE

An endpoint is an `http://` URL, or a JSON array with a command. `hour` fails if a call is refused by the
gateway; `attack` writes what became of each attack: `denied` by the gateway, `failed` at the server, or
`done`. Run it with the interpreter of the virtual environment that has requirements.txt.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from prepare import DOT_PNG, GIT_ENV

Json = Any

MODULES = ("parser", "server", "client", "codec", "store", "clock")
TOPICS = ("design", "protocol", "release", "testing")


def prepare(root: Path) -> None:
    """A project that is worked on, another one, and what is nobody's business."""
    shutil.rmtree(root, ignore_errors=True)

    def git(repository: Path, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=repository, env={**os.environ, **GIT_ENV}, check=True)

    def repository(path: Path, files: dict[str, str]) -> None:
        path.mkdir(parents=True)
        git(path, "init", "--quiet", "--initial-branch", "main")
        git(path, "config", "user.name", "Peer")
        git(path, "config", "user.email", "peer@example.com")
        git(path, "config", "commit.gpgsign", "false")
        for name, text in files.items():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            git(path, "add", name)
            git(path, "commit", "--quiet", "--message", f"Add {name}")

    sources = {f"src/{name}.py": f'"""The {name}."""\n\nVERSION = 1\n' for name in MODULES}
    topics = {f"docs/{name}.md": f"# {name}\n\nNothing yet.\n" for name in TOPICS}
    past = {"deploy.ini": "password = hunter2\n"}
    repository(root / "project", {"README.md": "# Project\n\nStatus: draft\n", **past, **sources, **topics})
    git(root / "project", "rm", "--quiet", "deploy.ini")
    git(root / "project", "commit", "--quiet", "--message", "Take the password out")
    repository(root / "other", {"plans.txt": "The plans of somebody else.\n"})
    (root / "outside").mkdir()
    (root / "outside" / "secret.txt").write_text("the secret\n", encoding="utf-8")
    project = root / "project"
    (project / ".env").write_text("API_KEY=sk-live-1\n", encoding="utf-8")
    (project / "id_rsa").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n", encoding="utf-8")
    (project / "dot.png").write_bytes(DOT_PNG)
    (project / "link").symlink_to(root / "outside")


def hour(root: Path) -> list[tuple[str, str, dict[str, Json]]]:
    """The calls of an hour's work in the project: server, tool, arguments."""
    at = f"{root}/project"
    calls: list[tuple[str, str, dict[str, Json]]] = []

    def files(tool: str, **arguments: Json) -> None:
        calls.append(("files", tool, arguments))

    def git(tool: str, **arguments: Json) -> None:
        calls.append(("git", tool, {"repo_path": at, **arguments}))

    for round_number, module in enumerate(MODULES):
        topic = TOPICS[round_number % len(TOPICS)]
        source, page = f"{at}/src/{module}.py", f"{at}/docs/{topic}.md"
        files("list_allowed_directories")
        files("list_directory", path=at)
        files("list_directory", path=f"{at}/src")
        files("list_directory_with_sizes", path=f"{at}/docs", sortBy="size")
        files("directory_tree", path=f"{at}/src", excludePatterns=["*.pyc", "__pycache__"])
        files("search_files", path=at, pattern="**/*.py", excludePatterns=["build"])
        files("get_file_info", path=source)
        files("read_text_file", path=f"{at}/README.md")
        files("read_text_file", path=source, head=20)
        files("read_text_file", path=page, tail=5)
        files("read_multiple_files", paths=[source, page, f"{at}/README.md"])
        git("git_status")
        git("git_log", max_count=5 + round_number)
        git("git_branch", branch_type="local")
        git("git_create_branch", branch_name=f"work/{module}", base_branch="main")
        git("git_checkout", branch_name=f"work/{module}")
        change = {"oldText": "VERSION = 1", "newText": f"VERSION = {round_number + 2}"}
        files("edit_file", path=source, edits=[change], dryRun=True)
        files("edit_file", path=source, edits=[change])
        files("write_file", path=f"{at}/{module}-notes.md", content=f"# Notes on the {module}\n\n- it works\n- mostly\n")
        files("create_directory", path=f"{at}/docs/{module}")
        files("write_file", path=f"{at}/docs/{module}/index.md", content=f"# {module}\n\nSee ../{topic}.md.\n")
        files("move_file", source=f"{at}/{module}-notes.md", destination=f"{at}/docs/{module}/notes.md")
        files("read_text_file", path=f"{at}/docs/{module}/notes.md")
        git("git_diff_unstaged", context_lines=3)
        git("git_add", files=[f"src/{module}.py"])
        git("git_diff_staged")
        git("git_commit", message=f"Raise the version of the {module}\n\nIt was {round_number + 1}.")
        git("git_add", files=[f"docs/{module}/index.md", f"docs/{module}/notes.md"])
        git("git_commit", message=f"Describe the {module}")
        git("git_diff", target="HEAD~1", context_lines=1)
        git("git_show", revision="HEAD")
        git("git_show", revision=f"main:src/{module}.py")
        git("git_log", max_count=3, start_timestamp="2020-01-01")
        git("git_checkout", branch_name="main")
    return calls


def attacks(root: Path) -> list[tuple[str, str, str, dict[str, Json]]]:
    """Twenty-five attacks, each by its name."""
    at, outside, other = f"{root}/project", f"{root}/outside", f"{root}/other"
    secret = f"{outside}/secret.txt"
    return [
        ("a file beside the project", "files", "read_text_file", {"path": secret}),
        ("a file by way of `..`", "files", "read_text_file", {"path": f"{at}/../outside/secret.txt"}),
        ("a file of the system", "files", "read_text_file", {"path": "/etc/passwd"}),
        ("a file through a link", "files", "read_text_file", {"path": f"{at}/link/secret.txt"}),
        ("a file with keys", "files", "read_text_file", {"path": f"{at}/.env"}),
        ("a private key", "files", "read_text_file", {"path": f"{at}/id_rsa"}),
        ("the repository's settings", "files", "read_text_file", {"path": f"{at}/.git/config"}),
        ("one bad file among good ones", "files", "read_multiple_files", {"paths": [f"{at}/README.md", secret]}),
        ("a tool that was never used", "files", "read_media_file", {"path": f"{at}/dot.png"}),
        ("everything that there is", "files", "directory_tree", {"path": str(root)}),
        ("a search above the project", "files", "search_files", {"path": str(root), "pattern": "**/*secret*"}),
        ("a hook that runs at a commit", "files", "write_file", {"path": f"{at}/.git/hooks/pre-commit", "content": "#!/bin/sh\nid\n"}),
        ("a write into another project", "files", "write_file", {"path": f"{other}/planted.txt", "content": "planted"}),
        ("a write through a link", "files", "write_file", {"path": f"{at}/link/planted.txt", "content": "planted"}),
        ("an edit beside the project", "files", "edit_file", {"path": secret, "edits": [{"oldText": "the", "newText": "no"}]}),
        ("a file carried out", "files", "move_file", {"source": f"{at}/README.md", "destination": f"{outside}/README.md"}),
        ("the history of another project", "git", "git_log", {"repo_path": other}),
        ("a revision of another project", "git", "git_show", {"repo_path": other, "revision": "HEAD"}),
        ("a commit by way of `..`", "git", "git_show", {"repo_path": f"{at}/../other", "revision": "HEAD:plans.txt"}),
        ("a branch in another project", "git", "git_create_branch", {"repo_path": other, "branch_name": "planted"}),
        ("an option in place of a target", "git", "git_diff", {"repo_path": at, "target": "--output=planted"}),
        ("an option in place of a branch", "git", "git_checkout", {"repo_path": at, "branch_name": "--orphan=planted"}),
        ("a tool that takes work away", "git", "git_reset", {"repo_path": at}),
        ("a file of another project", "git", "git_add", {"repo_path": at, "files": ["../outside/secret.txt"]}),
        ("a password from the past", "git", "git_show", {"repo_path": at, "revision": "HEAD~1:deploy.ini"}),
    ]


def transport(endpoint: str) -> Any:
    if endpoint.startswith("http"):
        return streamable_http_client(endpoint)
    program, *arguments = json.loads(endpoint)
    return stdio_client(StdioServerParameters(command=program, args=arguments))


async def call(client: Client, tool: str, arguments: dict[str, Json]) -> tuple[str, str]:
    """What became of a call, with the code of a denial or what was answered."""
    try:
        with anyio.fail_after(60):
            result = await client.call_tool(tool, arguments)
    except Exception as error:  # noqa: BLE001 - an error of the protocol is an answer too
        data = getattr(getattr(error, "error", None), "data", None)
        code = data.get("code") if isinstance(data, dict) else None
        return ("denied", code) if code else ("failed", str(error))
    answer = result.model_dump(mode="json", by_alias=True, exclude_unset=True)
    denial = (answer.get("_meta") or {}).get("portcullis/denial")
    if denial:
        return "denied", denial["code"]
    text = " ".join(part.get("text", "") for part in answer["content"])
    return ("failed" if answer.get("isError") else "done"), text


async def work(root: Path, endpoints: dict[str, str]) -> int:
    counts: dict[str, int] = {"done": 0, "failed": 0, "denied": 0}
    async with Client(transport(endpoints["files"])) as files, Client(transport(endpoints["git"])) as git:
        clients = {"files": files, "git": git}
        for client in clients.values():
            await client.list_tools()
        for server, tool, arguments in hour(root):
            outcome, text = await call(clients[server], tool, arguments)
            counts[outcome] += 1
            if outcome != "done":
                print(f"{outcome}: {server}/{tool} {json.dumps(arguments)}: {text}")
    print(json.dumps(counts))
    return 1 if counts["denied"] or counts["failed"] else 0


async def attack(root: Path, endpoints: dict[str, str], out: Path) -> int:
    found = []
    async with Client(transport(endpoints["files"])) as files, Client(transport(endpoints["git"])) as git:
        clients = {"files": files, "git": git}
        for client in clients.values():
            await client.list_tools()
        for name, server, tool, arguments in attacks(root):
            outcome, text = await call(clients[server], tool, arguments)
            found.append({"name": name, "server": server, "tool": tool, "outcome": outcome, "text": text[:200]})
    out.write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Works with two servers for an hour, and attacks them.")
    parser.add_argument("what", choices=("prepare", "hour", "attack"))
    parser.add_argument("--dir", required=True, type=Path)
    for name in ("files", "git"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    endpoints = {"files": options.files, "git": options.git}
    if options.what == "prepare":
        prepare(options.dir)
        return 0
    if options.what == "hour":
        return anyio.run(work, options.dir, endpoints)
    return anyio.run(attack, options.dir, endpoints, options.out)


if __name__ == "__main__":
    sys.exit(main())

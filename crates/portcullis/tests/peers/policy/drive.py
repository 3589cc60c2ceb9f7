"""Tries to get around the gateway's constraints, at real servers, and the same at the bare servers.

    python3 drive.py prepare --dir DIRECTORY [PLACES]
    python3 drive.py run --dir DIRECTORY --gateway URL [PLACES]

PLACES are `--node`, `--npm`, `--venv` and `--sqlite`, for the placeholders of portcullis.toml, which names the servers. Each
table in payloads/ has attempts and harmless calls of one type of constraint. Through the gateway every attempt has to be
refused by it, before anything happened, and every harmless call has to pass; an attempt that nothing stops has to do its
harm at the bare server at least once for each type. Then calls race with somebody who swaps links, and people are asked.
Run it with the interpreter of the virtual environment that has requirements.txt of the directory above. Exit status: 0 all
went well, 1 something did not.
"""

import argparse
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

HERE = Path(__file__).resolve().parent
Json = Any

CANARY = "canary-5e1f0ca7"
# Of each type, at the least.
ATTEMPTS_MIN = 30
BENIGN_MIN = 10
CALL_SECONDS_MAX = 30
# Calls of each kind of race.
RACES = 150
REFUSALS = {"constraint", "address-refused", "invalid-arguments"}


class Layout:
    """The directories that the servers work in."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.files = base / "files"
        self.project = self.files / "project"
        self.secret = self.files / "secret"
        self.git = base / "git"
        self.db = base / "db"
        self.naive = base / "naive"

    def prepare(self) -> None:
        """Makes everything as it is to be before the first call."""
        self.base.mkdir(parents=True, exist_ok=True)
        for name in ("files", "git", "db", "naive", "secret.txt"):
            path = self.base / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        (self.base / "secret.txt").write_text(CANARY + "\n")
        (self.project / "sub").mkdir(parents=True)
        for name in ("a.txt", "sub/b.txt", "100% done.txt", "naïve 日本.txt", "a b (1).txt", ".env"):
            (self.project / name).write_text("plain\n")
        for directory in (self.secret, self.files / "project-evil"):
            directory.mkdir()
            (directory / "canary.txt").write_text(CANARY + "\n")
        links = {"out": "../secret", "out.txt": "../secret/canary.txt", "twice": "out", "up": "..", "slash": "/"}
        links |= {"in": "sub", "dangling": "../secret/none", "loop": "loop", "proc": "/proc/self"}
        for name, target in links.items():
            (self.project / name).symlink_to(target)
        for name in ("git/project", "git/other", "git/project-evil", "naive"):
            self.repository(self.base / name)
        (self.git / "project/link").symlink_to("../other")
        self.database()

    def repository(self, directory: Path) -> None:
        directory.mkdir(parents=True)
        (directory / "a.txt").write_text("plain\n")
        env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        person = ["-c", "user.name=Peer", "-c", "user.email=peer@example.com"]
        for words in (
            ["init", "--quiet", "--initial-branch", "main"],
            ["add", "."],
            [*person, "commit", "--quiet", "--message", "First"],
            [*person, "commit", "--quiet", "--allow-empty", "--message", "Second"],
        ):
            subprocess.run(["git", *words], cwd=directory, env=env, check=True)

    def database(self) -> None:
        """Makes the database anew."""
        if self.db.exists():
            shutil.rmtree(self.db)
        self.db.mkdir()
        with sqlite3.connect(self.db / "main.db") as connection:
            connection.executescript(
                "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, price REAL);"
                "CREATE TABLE secrets (id INTEGER PRIMARY KEY, token TEXT);"
                "INSERT INTO items VALUES (1, 'first', 1), (2, 'second', 5);"
                f"INSERT INTO secrets VALUES (1, '{CANARY}');"
            )
        connection.close()

    def planted(self) -> list[Path]:
        """What nobody but an attempt can have made."""
        found = [self.secret / "planted.txt", self.secret / "new", self.project / "taken.txt", self.secret / "a.txt"]
        found += [self.naive / "planted.txt", self.git / "project/planted.txt", self.project / ".git/hooks/pre-commit"]
        found += [self.db / "attached.db", self.db / "stolen.db"]
        return [path for path in found if path.exists()]


class Pages:
    """A site at 127.0.0.2 that may be fetched, and one at all other addresses of the machine that may not, at one port."""

    def __init__(self) -> None:
        self.hits = 0
        pages = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                is_open = self.connection.getsockname()[0].endswith("127.0.0.2")
                pages.hits += not is_open
                body = f"<p>{'open' if is_open else CANARY}</p>".encode()
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class All(ThreadingHTTPServer):
            address_family = socket.AF_INET6

            def server_bind(self) -> None:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                super().server_bind()

        try:
            server: ThreadingHTTPServer = All(("::", 0), Page)
        except OSError:
            server = ThreadingHTTPServer(("0.0.0.0", 0), Page)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, daemon=True).start()


class Servers:
    """The servers of portcullis.toml, bare and behind the gateway."""

    def __init__(self, places: dict[str, str], gateway: str) -> None:
        text = (HERE / "portcullis.toml").read_text(encoding="utf-8")
        for name, value in places.items():
            text = text.replace("{" + name + "}", value)
        self.table = tomllib.loads(text)["servers"]
        self.gateway = gateway

    @asynccontextmanager
    async def client(self, name: str, gated: bool, mode: str = "auto", **callbacks: Any) -> AsyncIterator[Client]:
        if gated:
            transport = streamable_http_client(f"{self.gateway}/servers/{name}/mcp")
        else:
            program, *arguments = self.table[name]["command"]
            parameters = StdioServerParameters(command=program, args=arguments, cwd="/")
            transport = stdio_client(parameters, errlog=open(os.devnull, "w"))
        async with Client(transport, mode=mode, cache=None, **callbacks) as client:
            yield client


def denial(message: dict[str, Json]) -> str:
    """The code of a denial by the gateway; empty when it is none."""
    if "code" in message:
        data = message.get("data")
        return data.get("code", "") if isinstance(data, dict) else ""
    return (message.get("_meta") or {}).get("portcullis/denial", {}).get("code", "")


async def call(client: Client, tool: str, arguments: dict[str, Json]) -> dict[str, Json]:
    """A tool's result, or the error that came in its place."""
    try:
        with anyio.fail_after(CALL_SECONDS_MAX):
            result = await client.call_tool(tool, arguments)
        return result.model_dump(mode="json", by_alias=True, exclude_unset=True)
    except TimeoutError:
        return {"code": 0, "message": "no answer in time"}
    except Exception as error:  # noqa: BLE001 - whatever the SDK makes of an error is one
        inner = getattr(error, "error", None)
        if inner is None:
            return {"code": 0, "message": str(error)}
        return inner.model_dump(mode="json", by_alias=True, exclude_unset=True)


def text_of(message: dict[str, Json]) -> str:
    return json.dumps(message, ensure_ascii=False)


def failed(message: dict[str, Json]) -> bool:
    if "code" in message or message.get("isError"):
        return True
    blocks = message.get("content") or [{}]
    return str(blocks[0].get("text", "")).startswith(("Error", "Database error"))


# Types whose servers show by what they do, not by what they answer, that an attempt came through.
BY_EFFECT = {"path", "url", "command"}


class Trial:
    """One type of constraint."""

    def __init__(self, kind: str, layout: Layout, pages: Pages) -> None:
        self.kind = kind
        self.layout = layout
        self.pages = pages
        text = (HERE / "payloads" / f"{kind}.json").read_text(encoding="utf-8")
        inside = {"{dir}": str(layout.base), "{port}": str(pages.port)}

        def fill(value: Json) -> Json:
            if isinstance(value, str):
                for name, place in inside.items():
                    value = value.replace(name, place)
                return value
            if isinstance(value, list):
                return [fill(inner) for inner in value]
            if isinstance(value, dict):
                return {key: fill(inner) for key, inner in value.items()}
            return value

        table = fill(json.loads(text))
        self.attempts: list[tuple[str, str, dict[str, Json]]] = [tuple(row) for row in table["attempts"]]
        self.benign: list[tuple[str, str, dict[str, Json]]] = [tuple(row) for row in table["benign"]]
        self.wrong: list[str] = []
        self.counts = {"attempts": len(self.attempts), "refused": 0, "bare": 0, "passed": 0}

    def servers(self) -> list[str]:
        return sorted({server for server, _, _ in [*self.attempts, *self.benign]})

    def harm(self, message: dict[str, Json], hits: int) -> bool:
        """Whether a call did what it should not."""
        did = CANARY in text_of(message) or self.pages.hits > hits
        for path in self.layout.planted():
            did = True
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if self.kind == "path":
            message_text = text_of(message)
            did = did or (not failed(message) and any(sign in message_text for sign in ("canary.txt", "root:x:", "commit ", "Author:", "[DIR] secret")))
        return did

    async def gated(self, servers: Servers) -> None:
        for name in self.servers():
            async with servers.client(name, True) as client:
                await client.list_tools()
                for server, tool, arguments in self.benign:
                    if server == name:
                        message = await call(client, tool, arguments)
                        if denial(message) or failed(message):
                            self.wrong.append(f"does not pass: {tool} {arguments}: {text_of(message)[:300]}")
                        else:
                            self.counts["passed"] += 1
                for server, tool, arguments in self.attempts:
                    if server == name:
                        hits = self.pages.hits
                        message = await call(client, tool, arguments)
                        code = denial(message)
                        if code not in REFUSALS:
                            self.wrong.append(f"is not refused: {tool} {arguments}: {text_of(message)[:300]}")
                        elif self.harm(message, hits):
                            self.wrong.append(f"is refused, but did harm: {tool} {arguments}")
                        else:
                            self.counts["refused"] += 1

    async def bare(self, servers: Servers) -> None:
        for name in self.servers():
            async with servers.client(name, False) as client:
                for server, tool, arguments in self.attempts:
                    if server != name:
                        continue
                    if self.kind == "sql":
                        self.layout.database()
                    hits = self.pages.hits
                    message = await call(client, tool, arguments)
                    harm = self.harm(message, hits)
                    if self.kind not in BY_EFFECT:
                        harm = harm or not failed(message)
                    self.counts["bare"] += harm

    def line(self) -> str:
        counts = self.counts
        return (
            f"{self.kind}: {counts['attempts']} attempts, {counts['refused']} refused, "
            f"{counts['bare']} succeed on the bare server, {counts['passed']} of {len(self.benign)} benign passed"
        )

    def judge(self) -> list[str]:
        counts = self.counts
        if counts["attempts"] < ATTEMPTS_MIN or len(self.benign) < BENIGN_MIN:
            self.wrong.append("the table is too small")
        if counts["bare"] == 0:
            self.wrong.append("no attempt succeeds on the bare server")
        return [f"{self.kind}: {one}" for one in self.wrong]


class Swapper:
    """Somebody who swaps what stands at a path between something harmless and something that leads to the secret, until closed."""

    def __init__(self, path: Path, kinds: tuple[str, str]) -> None:
        self.path = path
        self.kinds = kinds
        self.ended = threading.Event()
        self.swaps = 0
        spare = path.with_name(path.name + ".spare")
        make(path, kinds[0])
        make(spare, kinds[1])
        self.spare = spare
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self) -> None:
        third = self.path.with_name(self.path.name + ".third")
        while not self.ended.is_set():
            self.path.rename(third)
            self.spare.rename(self.path)
            third.rename(self.spare)
            self.swaps += 1

    def close(self) -> None:
        self.ended.set()
        self.thread.join()


def make(path: Path, kind: str) -> None:
    match kind:
        case "file":
            path.write_text("harmless\n")
        case "directory":
            path.mkdir()
            (path / "canary.txt").write_text("harmless\n")
        case _:
            path.symlink_to(kind)


# What is swapped for what, and what is read of it.
SWAPS = {
    "a link that leads elsewhere": (("a.txt", "../secret/canary.txt"), ""),
    "a link to a directory that leads elsewhere": (("sub", "../secret"), "canary.txt"),
    "a file for a link": (("file", "../secret/canary.txt"), ""),
    "a directory for a link": (("directory", "../secret"), "canary.txt"),
}


async def race(servers: Servers, layout: Layout, gated: bool) -> dict[str, tuple[int, int]]:
    """For each kind of swap: how many calls were answered with the secret, and how many with anything."""
    counts = {}
    async with servers.client("files", gated) as client:
        await client.list_tools()
        for number, (name, (kinds, inner)) in enumerate(SWAPS.items()):
            path = layout.project / f"swapped-{'gated' if gated else 'bare'}-{number}"
            swapper = Swapper(path, kinds)
            leaked = answered = 0
            for _ in range(RACES):
                message = await call(client, "read_text_file", {"path": str(path / inner) if inner else str(path)})
                leaked += CANARY in text_of(message)
                answered += not failed(message)
            swapper.close()
            counts[name] = (leaked, answered)
            print(f"  {name}: {swapper.swaps} swaps, {RACES} calls, {answered} answered, {leaked} with the secret ({'gated' if gated else 'bare'})")
    return counts


async def approvals(servers: Servers) -> list[str]:
    """A person is asked by the SDK's client in both eras, and says yes, then no."""
    wrong = []
    for mode in ("auto", "legacy"):
        for decision in ("allow", "deny"):
            asked = []

            async def elicit(_: Any, params: Any, asked: list[Any] = asked, decision: str = decision) -> types.ElicitResult:
                asked.append(params)
                return types.ElicitResult(action="accept", content={"decision": decision})

            async with servers.client("asked", True, mode, elicitation_callback=elicit) as client:
                await client.list_tools()
                message = await call(client, "say", {"text": f"{mode} {decision}"})
                revision = client.protocol_version
            passed = f"said: {mode} {decision}" in text_of(message)
            refused = denial(message) == "approval-denied"
            if len(asked) != 1 or passed != (decision == "allow") or refused != (decision == "deny"):
                wrong.append(f"approvals: {mode} {decision}: asked {len(asked)} times: {text_of(message)[:300]}")
            else:
                print(f"approval by the Python SDK's client, {revision}, {decision}: as it should be")
    return wrong


async def run(options: argparse.Namespace, places: dict[str, str]) -> int:
    layout = Layout(Path(options.dir))
    pages = Pages()
    servers = Servers(places, options.gateway)
    wrong: list[str] = []
    kinds = sorted(path.stem for path in (HERE / "payloads").glob("*.json"))
    trials = [Trial(kind, layout, pages) for kind in kinds if options.only in ("", kind)]
    for trial in trials:
        await trial.gated(servers)
    if options.only in ("", "path"):
        for name, (leaked, _) in (await race(servers, layout, True)).items():
            if leaked:
                wrong.append(f"race: {name}: the secret came through {leaked} times")
    if options.only in ("", "approvals"):
        wrong += await approvals(servers)
    layout.prepare()
    for trial in trials:
        await trial.bare(servers)
        print(trial.line())
        wrong += trial.judge()
    if options.only in ("", "path"):
        layout.prepare()
        if not any(leaked for leaked, _ in (await race(servers, layout, False)).values()):
            wrong.append("race: nothing leaks from the bare server")
    for one in wrong:
        print(one)
    total = sum(trial.counts["attempts"] for trial in trials)
    refused = sum(trial.counts["refused"] for trial in trials)
    bare = sum(trial.counts["bare"] for trial in trials)
    print(f"{refused} of {total} attempts refused, {bare} succeed on bare servers")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Tries to get around the gateway's constraints.")
    parser.add_argument("action", choices=("prepare", "run"))
    for name in ("dir", "node", "npm", "venv", "sqlite"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--gateway", default="")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    if options.action == "prepare":
        Layout(Path(options.dir)).prepare()
        return 0
    places = {name: getattr(options, name) for name in ("dir", "node", "npm", "venv", "sqlite")} | {"here": str(HERE)}
    return anyio.run(run, options, places)


if __name__ == "__main__":
    sys.exit(main())

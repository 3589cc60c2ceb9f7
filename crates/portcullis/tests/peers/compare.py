"""Compares how two endpoints of one MCP server answer the official Python SDK.

    python3 compare.py --server NAME --left ENDPOINT --right ENDPOINT --dir DIRECTORY --out DIRECTORY
                       [--era legacy|auto] [--page URL] [--node PROGRAM]

An endpoint is `stdio` (the server's own command from servers.json), an `http://` URL, or a JSON array
with a command, in which "@" stands for the server's own command. Run it with the interpreter of the
virtual environment that has requirements.txt. Exit status: 0 equal, 1 different, 2 broken.

The transcripts have the same form as those of compare.mjs; diff.py judges both.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

HERE = Path(__file__).resolve().parent

Json = Any


def fill_form(schema: dict[str, Json]) -> dict[str, Json]:
    """A form's answer that depends on its schema alone: the default, else the first thing allowed."""

    def value(field: dict[str, Json]) -> Json:
        if "default" in field:
            return field["default"]
        if "enum" in field:
            return field["enum"][0]
        if "oneOf" in field:
            return field["oneOf"][0]["const"]
        match field.get("type"):
            case "boolean":
                return True
            case "integer" | "number":
                return field.get("minimum", 7)
            case "array":
                items = field.get("items", {})
                choices = items.get("oneOf") or items.get("anyOf")
                return [value({"type": "string", **items, **({"oneOf": choices} if choices else {})})]
        formats = {"email": "peer@example.com", "uri": "https://example.com/", "date": "2026-01-02"}
        return formats.get(field.get("format", ""), "peer")

    return {name: value(field) for name, field in schema.get("properties", {}).items()}


class Recorder:
    """Sits between a transport and its client and keeps the messages of the step under way."""

    def __init__(self) -> None:
        self.methods: dict[str | int, str] = {}
        self.step: dict[str, list[Json]] = {}
        self.notifications: list[Json] = []
        self.asked: list[str] = []
        self.asked_for: dict[str, anyio.Event] = {}
        self.begin()

    def begin(self) -> None:
        self.step = {"answers": [], "asked": [], "progress": []}

    @asynccontextmanager
    async def between(self, transport: Any) -> AsyncIterator[Any]:
        async with transport as (read, write):
            yield Tapped(read, self.keep), Tapped(write, self.sent)

    def sent(self, item: Any) -> None:
        message = item.message
        if isinstance(message, types.JSONRPCRequest):
            self.methods[message.id] = message.method

    def keep(self, item: Any) -> None:
        if isinstance(item, Exception):
            return
        message = item.message.model_dump(mode="json", by_alias=True, exclude_unset=True)
        if "method" in message and "id" in message:
            self.ask(message)
        elif message.get("method") == "notifications/progress":
            self.step["progress"].append({k: v for k, v in message["params"].items() if k != "progressToken"})
        elif "method" in message:
            self.notifications.append({"method": message["method"], "params": message.get("params")})
        elif "inputRequests" in message.get("result", {}):
            for one in message["result"]["inputRequests"].values():
                self.ask(one)
        else:
            kind = "error" if "error" in message else "result"
            self.step["answers"].append({"method": self.methods.get(message["id"]), kind: message[kind]})

    # When a server asks for roots is its own affair, so that is kept apart from the steps.
    def ask(self, message: dict[str, Json]) -> None:
        method = message["method"]
        if method == "roots/list":
            if method not in self.asked:
                self.asked.append(method)
        elif method != "ping":
            self.step["asked"].append({"method": method, "params": message.get("params")})
        self.asked_for.setdefault(method, anyio.Event()).set()

    async def wait_for(self, method: str) -> None:
        """Returns once the server has asked for `method`, or after ten seconds, which the comparison then shows."""
        with anyio.move_on_after(10):
            await self.asked_for.setdefault(method, anyio.Event()).wait()


class Tapped:
    """A stream that shows each item to `tap` before it passes on."""

    def __init__(self, inner: Any, tap: Callable[[Any], None]) -> None:
        self._inner = inner
        self._tap = tap

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __aiter__(self) -> "Tapped":
        return self

    async def __anext__(self) -> Any:
        item = await self._inner.__anext__()
        self._tap(item)
        return item

    async def receive(self) -> Any:
        item = await self._inner.receive()
        self._tap(item)
        return item

    async def send(self, item: Any) -> None:
        self._tap(item)
        await self._inner.send(item)

    async def __aenter__(self) -> "Tapped":
        await self._inner.__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> bool | None:
        return await self._inner.__aexit__(*exception)


def transport(endpoint: dict[str, Json]) -> Any:
    if "url" in endpoint:
        return streamable_http_client(endpoint["url"])
    program, *arguments = endpoint["command"]
    return stdio_client(StdioServerParameters(command=program, args=arguments, env=endpoint["env"]))


def compact(value: Json) -> str:
    """As JavaScript writes it, so that both clients' steps have the same names."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


async def pages(fetch: Callable[..., Awaitable[Any]], member: str) -> list[Any]:
    found, cursor = [], None
    while True:
        page = await fetch(cursor=cursor, cache_mode="refresh")
        found += getattr(page, member)
        cursor = page.next_cursor
        if cursor is None:
            return found


async def drive(endpoint: dict[str, Json], server: dict[str, Json], era: str, directory: str) -> dict[str, Json]:
    recorder = Recorder()
    steps: list[dict[str, Json]] = []

    async def roots(_: Any) -> types.ListRootsResult:
        return types.ListRootsResult(roots=[types.Root(uri=f"file://{directory}", name="Peer")])

    async def sample(_: Any, params: types.CreateMessageRequestParams) -> types.CreateMessageResult:
        text = f"The peer read {len(params.messages)} message(s)."
        content = types.TextContent(type="text", text=text)
        return types.CreateMessageResult(model="peer-model", role="assistant", stop_reason="endTurn", content=content)

    async def elicit(_: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        if isinstance(params, types.ElicitRequestURLParams):
            return types.ElicitResult(action="accept")
        schema = params.model_dump(mode="json", by_alias=True, exclude_unset=True)["requestedSchema"]
        return types.ElicitResult(action="accept", content=fill_form(schema))

    async def step(name: str, action: Callable[[], Awaitable[Any]]) -> Any:
        recorder.begin()
        outcome, note = None, {}
        try:
            with anyio.fail_after(60):
                outcome = await action()
        except Exception as error:  # noqa: BLE001 - whatever the SDK makes of an answer is part of the transcript
            if not recorder.step["answers"]:
                note = {"thrown": str(error)}
            elif not any("error" in one for one in recorder.step["answers"]):
                note = {"refused": str(error)}
        steps.append({"name": name, **recorder.step, **note})
        return outcome

    async def on_progress(*_: Any) -> None:
        pass

    client = Client(
        recorder.between(transport(endpoint)),
        mode=era,
        cache=None,
        sampling_callback=sample,
        elicitation_callback=elicit,
        list_roots_callback=roots,
    )
    async with client:
        revision = client.protocol_version
        legacy = revision < "2026"
        capabilities = client.server_capabilities
        info = client.server_info
        hello = {
            "capabilities": capabilities.model_dump(mode="json", by_alias=True, exclude_unset=True),
            "serverInfo": info and info.model_dump(mode="json", by_alias=True, exclude_unset=True),
            "instructions": client.instructions,
        }
        if legacy:
            for method in server.get("awaits", []):
                await recorder.wait_for(method)
            await step("ping", client.send_ping)
            if capabilities.logging is not None:
                await step("logging/setLevel debug", lambda: client.set_logging_level("debug"))

        tools = await step("tools/list", lambda: pages(client.list_tools, "tools")) or []
        known = {name for name, _ in server["calls"]} | server.get("uncalled", {}).keys()
        steps += [{"name": f"servers.json has no arguments for the tool {one.name}"} for one in tools if one.name not in known]
        prompts, resources = [], []
        if capabilities.prompts is not None:
            prompts = await step("prompts/list", lambda: pages(client.list_prompts, "prompts")) or []
        if capabilities.resources is not None:
            resources = await step("resources/list", lambda: pages(client.list_resources, "resources")) or []
            await step("resources/templates/list", lambda: pages(client.list_resource_templates, "resource_templates"))

        def call(name: str, arguments: dict[str, Json] | None) -> Callable[[], Awaitable[Any]]:
            return lambda: client.call_tool(name, arguments, progress_callback=on_progress)

        def read(uri: str) -> Callable[[], Awaitable[Any]]:
            return lambda: client.read_resource(uri, cache_mode="refresh")

        def get(name: str, arguments: dict[str, str]) -> Callable[[], Awaitable[Any]]:
            return lambda: client.get_prompt(name, arguments)

        def complete(params: dict[str, Json]) -> Callable[[], Awaitable[Any]]:
            kinds = {"ref/prompt": types.PromptReference, "ref/resource": types.ResourceTemplateReference}
            ref = kinds[params["ref"]["type"]].model_validate(params["ref"])
            context = params.get("context", {}).get("arguments")
            return lambda: client.complete(ref, params["argument"], context)

        for name, arguments in server["calls"]:
            await step(f"tools/call {name} {compact(arguments)}", call(name, arguments))
        for prompt in prompts:
            for arguments in server.get("prompts", {}).get(prompt.name, [{}]):
                await step(f"prompts/get {prompt.name} {compact(arguments)}", get(prompt.name, arguments))
        for uri in [*(str(one.uri) for one in resources), *server.get("reads", [])]:
            await step(f"resources/read {uri}", read(uri))
        for params in server.get("completions", []):
            await step(f"completion/complete {compact(params)}", complete(params))
        if legacy and capabilities.resources is not None and capabilities.resources.subscribe and resources:
            first = str(resources[0].uri)
            await step("resources/subscribe", lambda: client.subscribe_resource(first))
            await step("resources/unsubscribe", lambda: client.unsubscribe_resource(first))

        await step("tools/call of an unknown tool", call("no-such-tool", {}))
        if tools:
            await step("tools/call without arguments", call(tools[0].name, None))
        if capabilities.prompts is not None:
            await step("prompts/get of an unknown prompt", get("no-such-prompt", {}))
        if capabilities.resources is not None:
            await step("resources/read of an unknown resource", read("demo://no/such/resource"))

    return {
        "transport": "http" if "url" in endpoint else "stdio",
        "revision": revision,
        "era": "legacy" if legacy else "modern",
        "hello": hello,
        "steps": steps,
        "asked": recorder.asked,
        "notifications": recorder.notifications,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description="Compares how two endpoints of one MCP server answer the Python SDK.")
    for name in ("server", "left", "right", "dir", "out"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--era", default="auto", choices=("auto", "legacy"))
    parser.add_argument("--page", default="http://127.0.0.1:9")
    parser.add_argument("--node", default="node")
    options = parser.parse_args()

    npm = os.environ.get("PEERS_NPM") or HERE.joinpath("../../../../target/peers/npm").resolve()
    places = {
        "node": options.node,
        "npm": f"{npm}/node_modules",
        "venv": sys.prefix,
        "dir": options.dir,
        "page": options.page,
    }

    def fill(value: Json) -> Json:
        if isinstance(value, str):
            return re.sub(r"\{(\w+)\}", lambda found: places.get(found[1], found[0]), value)
        if isinstance(value, list):
            return [fill(inner) for inner in value]
        if isinstance(value, dict):
            return {key: fill(inner) for key, inner in value.items()}
        return value

    server = fill(json.loads(HERE.joinpath("servers.json").read_text(encoding="utf-8"))[options.server])

    def endpoint(text: str) -> dict[str, Json]:
        if text.startswith("http"):
            return {"url": text}
        words = ["@"] if text == "stdio" else json.loads(text)
        command = [inner for word in words for inner in (server["command"] if word == "@" else [word])]
        return {"command": command, "env": server.get("env", {})}

    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    files = []
    for side in ("left", "right"):
        subprocess.run([sys.executable, HERE / "prepare.py", options.server, options.dir], check=True)
        transcript = anyio.run(drive, endpoint(getattr(options, side)), server, options.era, options.dir)
        files.append(out / f"{side}.json")
        files[-1].write_text(json.dumps(transcript, ensure_ascii=False, indent=1), encoding="utf-8")
    return subprocess.run([sys.executable, HERE / "diff.py", options.server, *files], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

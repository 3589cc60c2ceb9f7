"""Takes the official Python SDK's client through the whole of OAuth against the gateway.

    python3 sdk.py --gateway URL --person URL --life SECONDS

As sdk.mjs does for TypeScript; see there. Run it with the interpreter of the virtual environment that has
requirements.txt. Exit status: 0 all went well, 1 something did not.
"""

import argparse
import json
import logging
import sys
import threading
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import anyio
import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

SCOPES = json.loads(Path(__file__).with_name("scopes.json").read_text(encoding="utf-8"))
READ = [SCOPES["memory:read"]]
BOTH = [SCOPES["memory:read"], SCOPES["memory:write"]]

SCENARIOS = [
    {"name": "py-document", "era": "auto", "documented": True},
    {"name": "py-registered", "era": "auto", "documented": False},
    {"name": "py-legacy", "era": "legacy", "documented": False},
]


class Denied(Exception):
    """The person said no."""


class Application:
    """An application with an HTTP server of its own on loopback; the SDK's store, and its way to the person."""

    def __init__(self, name: str, documented: bool, gateway: str, person: str) -> None:
        self.name = name
        self.documented = documented
        self.gateway = gateway
        self.person = person
        self.answers: list[dict[str, str]] = []
        self.asked: list[dict[str, str]] = []
        self.decision = "deny"
        self.wanted = READ
        self.tokens: OAuthToken | None = None
        application = self

        class Pages(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlparse(self.path)
                kind, body = "text/html; charset=utf-8", b"<!doctype html><title>Done</title><p>You can close this page."
                if url.path == "/client.json":
                    kind, body = "application/json", json.dumps(application.document).encode()
                elif url.path == "/callback":
                    application.answers.append({key: one for key, [one] in parse_qs(url.query).items()})
                else:
                    self.send_error(404)
                    return
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
        origin = f"http://127.0.0.1:{self.server.server_port}"
        self.redirect_uri = f"{origin}/callback"
        client_id = f"{origin}/client.json"
        self.metadata = OAuthClientMetadata(
            client_name=name,
            redirect_uris=[self.redirect_uri],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",
        )
        self.document = {"client_id": client_id, **self.metadata.model_dump(mode="json", exclude_none=True)}
        # The SDK takes the address of a metadata document by https alone, so it is put where it keeps it.
        self.information = (
            OAuthClientInformationFull(client_id=client_id, redirect_uris=[self.redirect_uri]) if documented else None
        )
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.information

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.information = client_info

    async def redirect(self, url: str) -> None:
        query = {key: one for key, [one] in parse_qs(urlparse(url).query).items()}
        self.asked.append(query)
        request = {
            "do": "answer",
            "url": url,
            "decision": self.decision,
            "shot": f"{self.name}-{len(self.asked)}-{self.decision}",
            "expect": {
                "client": self.name,
                "host": "127.0.0.1" if self.documented else None,
                "vouched": "site" if self.documented else "nobody",
                # Without the port, which is another each time.
                "redirect": "http://127.0.0.1",
                "local": True,
                "scopes": self.wanted,
            },
        }
        async with httpx2.AsyncClient(timeout=150) as http:
            outcome = (await http.post(self.person, json=request)).json()
        assert outcome["faults"] == [], f"{outcome['faults']}: {outcome['text']}"

    async def answer(self) -> AuthorizationCodeResult:
        assert len(self.answers) == len(self.asked), "the answer did not come"
        answer = self.answers[-1]
        assert answer["iss"] == self.gateway
        assert answer["state"] == self.asked[-1]["state"]
        if "error" in answer:
            assert answer["error"] == "access_denied" and "code" not in answer, answer
            raise Denied
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])


def holds(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an error is of a kind, or a group with one that is, or was caused by one."""
    if isinstance(error, kind):
        return True
    if isinstance(error, BaseExceptionGroup):
        return any(holds(one, kind) for one in error.exceptions)
    return any(holds(one, kind) for one in (error.__cause__, error.__context__) if one is not None)


async def run(name: str, era: str, documented: bool, gateway: str, person: str, life: float) -> None:
    endpoint = f"{gateway}/servers/memory/mcp"
    application = Application(name, documented, gateway, person)
    seen: list[tuple[str, str, int]] = []
    challenges: list[tuple[int, str]] = []
    revisions: list[str] = []

    async def note(response: httpx2.Response) -> None:
        seen.append((response.request.method, response.request.url.path, response.status_code))
        if "www-authenticate" in response.headers:
            challenges.append((response.status_code, response.headers["www-authenticate"]))
        revisions.extend(response.request.headers.get_list("mcp-protocol-version"))

    def connect() -> tuple[httpx2.AsyncClient, Client]:
        auth = OAuthClientProvider(
            server_url=endpoint,
            client_metadata=application.metadata,
            storage=application,
            redirect_handler=application.redirect,
            callback_handler=application.answer,
        )
        http = httpx2.AsyncClient(auth=NotingAuth(auth, note), timeout=150)
        return http, Client(streamable_http_client(endpoint, http_client=http), mode=era, cache=None)

    # Without a token: the way from the challenge to the authorization endpoint, where the person says no.
    http, client = connect()
    try:
        async with http, client:
            pass
        raise AssertionError("a client without a token was let in")
    except BaseException as error:
        if not holds(error, Denied):
            raise
    print(f"{name}:", ", ".join(f"{method} {path} {status}" for method, path, status in seen), flush=True)
    assert challenges[0][0] == 401 and 'resource_metadata="' in challenges[0][1], challenges
    assert ("GET", "/.well-known/oauth-protected-resource/servers/memory/mcp", 200) in seen
    assert ("GET", "/.well-known/oauth-authorization-server", 200) in seen
    assert (("POST", "/oauth/register", 201) in seen) is not documented
    query = application.asked[0]
    assert query["code_challenge_method"] == "S256"
    assert query["resource"] == endpoint
    assert query["scope"] == "memory:read"
    asked = len(application.asked)

    # The person says yes, and a call.
    application.decision = "allow"
    http, client = connect()
    async with http, client:
        assert len(application.asked) == asked + 1
        assert application.tokens and application.tokens.scope == "memory:read"
        tools = (await client.list_tools()).tools
        assert "create_entities" in {tool.name for tool in tools}

        async def read() -> str:
            result = await client.call_tool("read_graph", {})
            assert not result.is_error, result
            return json.dumps(result.structured_content)

        await read()
        assert (client.protocol_version > "2026") is (era == "auto"), client.protocol_version
        print(f"{name}: calls at {client.protocol_version}", flush=True)

        # A tool that needs more: the same again, with the further scope.
        application.wanted = BOTH
        entity = {"name": name, "entityType": "application", "observations": ["was here"]}
        result = await client.call_tool("create_entities", {"entities": [entity]})
        assert not result.is_error, result
        status, challenge = challenges[-1]
        assert status == 403 and 'error="insufficient_scope"' in challenge, challenges
        assert 'scope="memory:read memory:write"' in challenge, challenge
        assert len(application.asked) == asked + 2
        assert set(application.asked[-1]["scope"].split()) == {"memory:read", "memory:write"}
        assert name in await read()
        print(f"{name}: stepped up", flush=True)

        # After its end: a new token without the person, and a new refresh token with it.
        before = application.tokens
        assert before and before.refresh_token
        await anyio.sleep(life)
        await read()
        assert application.tokens.access_token != before.access_token
        assert application.tokens.refresh_token != before.refresh_token
        assert len(application.asked) == asked + 2, "the person was asked for a refresh"
        print(f"{name}: refreshed", flush=True)

        # Somebody has the old refresh token: whoever uses the new one loses it too.
        assert application.information
        stolen = {
            "grant_type": "refresh_token",
            "refresh_token": before.refresh_token,
            "client_id": application.information.client_id,
            "resource": endpoint,
        }
        async with httpx2.AsyncClient() as plain:
            answer = await plain.post(f"{gateway}/oauth/token", data=stolen)
        assert answer.status_code == 400 and answer.json()["error"] == "invalid_grant", answer.text
        # From the beginning: the SDK asks for what the challenge names, no longer for what it had.
        application.wanted = READ
        await read()
        assert len(application.asked) == asked + 3, "a call was let through after its grant was revoked"
        print(f"{name}: revoked, and allowed again", flush=True)
    application.server.shutdown()


class NotingAuth(httpx2.Auth):
    """The SDK's way of authenticating, with every response noted, also those that only it sees."""

    requires_response_body = True

    def __init__(self, inner: OAuthClientProvider, note: Any) -> None:
        self.inner = inner
        self.note = note

    async def async_auth_flow(self, request: httpx2.Request) -> Any:
        flow = self.inner.async_auth_flow(request)
        try:
            one = await anext(flow)
            while True:
                response = yield one
                await self.note(response)
                one = await flow.asend(response)
        except StopAsyncIteration:
            pass
        finally:
            await flow.aclose()


async def main() -> int:
    parser = argparse.ArgumentParser(description="Takes the Python SDK's client through OAuth.")
    for name in ("gateway", "person", "life"):
        parser.add_argument(f"--{name}", required=True)
    options = parser.parse_args()
    # It logs, with its trace, what it then raises.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    failed: list[str] = []

    async def one(scenario: dict[str, Any]) -> None:
        try:
            await run(**scenario, gateway=options.gateway, person=options.person, life=float(options.life))
        except BaseException:
            failed.append(scenario["name"])
            print(f"FAILED {scenario['name']}: {traceback.format_exc()}", flush=True)

    async with anyio.create_task_group() as group:
        for scenario in SCENARIOS:
            group.start_soon(one, scenario)
    print(f"{len(SCENARIOS) - len(failed)} of {len(SCENARIOS)} applications")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(anyio.run(main))

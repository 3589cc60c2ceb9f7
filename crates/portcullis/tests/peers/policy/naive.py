"""An MCP server that is naive on purpose: it does with its arguments whatever they say.

    python3 naive.py DIRECTORY

What it runs, it runs in DIRECTORY. It is made with the official Python SDK; run it with the interpreter of the virtual
environment that has requirements.txt.
"""

import json
import subprocess
import sys
from email.message import Message
from email.parser import Parser
from email.utils import getaddresses
from typing import Any

from mcp.server.mcpserver import MCPServer

DIRECTORY = sys.argv[1]
SECONDS_MAX = 10

server = MCPServer("naive")


def done(arguments: Any, shell: bool) -> str:
    ended = subprocess.run(
        arguments,
        shell=shell,
        cwd=DIRECTORY,
        env={"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": DIRECTORY, "GIT_PAGER": "cat"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=SECONDS_MAX,
        check=False,
    )
    return ended.stdout.decode(errors="replace")


@server.tool()
def run(command: str) -> str:
    """Runs a command line."""
    return done(command, shell=True)


@server.tool()
def run_words(words: list[str]) -> str:
    """Runs a program with arguments."""
    return done(words, shell=False)


@server.tool()
def history(revision: str) -> str:
    """Shows what led to a revision."""
    return done(["git", "log", "--oneline", revision], shell=False)


@server.tool()
def say(text: str) -> str:
    """Says a text."""
    return f"said: {text}"


@server.tool()
def pay(amount: Any) -> str:
    """Pays an amount."""
    return f"paid: {float(amount) if not isinstance(amount, (list, dict)) else json.dumps(amount)}"


@server.tool()
def mail(to: str) -> str:
    """Sends a greeting to an address, as a mail server would read the message."""
    message: Message = Parser().parsestr(f"To: {to}\nSubject: Hello\n\nHello\n")
    fields = [value for name in ("to", "cc", "bcc") for value in message.get_all(name, [])]
    return json.dumps({"sent to": [address for _, address in getaddresses(fields)]})


@server.tool()
def look_up(name: str) -> str:
    """Looks a name up."""
    return done(f"echo looked up {name}", shell=True)


@server.tool()
def deploy(place: Any) -> str:
    """Puts the program into a place."""
    return f"deployed to {json.dumps(place)}"


if __name__ == "__main__":
    server.run()

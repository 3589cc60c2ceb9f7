"""Judges two transcripts of one server: what came over the wire must be the same.

    python3 diff.py SERVER LEFT.json RIGHT.json

Request ids and progress tokens are never in a transcript. What else may differ is listed, with its
reason, in differences.json; where the two sides negotiated different eras, the members that only the
newer era has are left out, and so are the steps that only the older one has.

Exit status: 0 equal, 1 different.
"""

import base64
import binascii
import json
import re
import sys
from pathlib import Path
from typing import Any

TABLE = json.loads(Path(__file__).with_name("differences.json").read_text(encoding="utf-8"))

# Members of a result that revision 2026-07-28 added.
MODERN_MEMBERS = ("resultType", "ttlMs", "cacheScope")


def for_server(kind: str, server: str) -> list[dict[str, Any]]:
    return [rule for rule in TABLE[kind] if rule["server"] in (server, "*")]


def normalise(value: Any, rules: list[dict[str, Any]]) -> Any:
    if isinstance(value, str):
        for rule in rules:
            value = re.sub(rule["pattern"], rule["with"], value)
        return value
    if isinstance(value, list):
        return [normalise(inner, rules) for inner in value]
    if isinstance(value, dict):
        return {key: normalise(readable(key, inner), rules) for key, inner in value.items()}
    return value


def readable(key: str, value: Any) -> Any:
    """A blob that holds text, as that text, so that the rules see it."""
    if key != "blob" or not isinstance(value, str):
        return value
    try:
        return f"base64 of {base64.b64decode(value, validate=True).decode()}"
    except (binascii.Error, UnicodeDecodeError):
        return value


def common_to_both_eras(transcript: dict[str, Any]) -> None:
    """Leaves out what only one era has, where the two sides speak different ones."""
    transcript["hello"]["capabilities"].pop("tasks", None)
    for step in transcript["steps"]:
        for asked in step.get("asked", []):
            asked["params"].pop("elicitationId", None)
        for answer in step.get("answers", []):
            result = answer.get("result")
            if not isinstance(result, dict):
                continue
            for member in MODERN_MEMBERS:
                result.pop(member, None)
            for tool in result.get("tools", []):
                tool.pop("execution", None)
            meta = result.get("_meta", {})
            meta.pop("io.modelcontextprotocol/serverInfo", None)
            if not meta:
                result.pop("_meta", None)


def notifications(transcript: dict[str, Any], server: str) -> list[str]:
    dropped = for_server("dropped notifications", server)

    def is_kept(one: dict[str, Any]) -> bool:
        text = json.dumps(one, ensure_ascii=False)
        return not any(one["method"] == rule["method"] and re.search(rule["pattern"], text) for rule in dropped)

    return sorted(json.dumps(one, ensure_ascii=False) for one in transcript["notifications"] if is_kept(one))


def differences(path: str, left: Any, right: Any) -> list[tuple[str, Any, Any]]:
    """Every place where the two differ, the order of members included."""
    if isinstance(left, dict) and isinstance(right, dict):
        found = []
        for key in [*left, *(key for key in right if key not in left)]:
            if key not in left or key not in right:
                found.append((f"{path}/{key}", left.get(key, "(absent)"), right.get(key, "(absent)")))
            else:
                found += differences(f"{path}/{key}", left[key], right[key])
        if not found and list(left) != list(right):
            found.append((f"{path} (order of members)", list(left), list(right)))
        return found
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        return [one for index in range(len(left)) for one in differences(f"{path}/{index}", left[index], right[index])]
    # `1` and `1.0` are different bytes, and `True == 1` in Python.
    return [] if json.dumps(left) == json.dumps(right) else [(path, left, right)]


def short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 600 else f"{text[:600]}… ({len(text)} characters)"


def main() -> int:
    server = sys.argv[1]
    rules = for_server("normalise", server)
    left, right = (normalise(json.loads(Path(name).read_text(encoding="utf-8")), rules) for name in sys.argv[2:4])
    mixed = left["era"] != right["era"]
    if mixed:
        common_to_both_eras(left)
        common_to_both_eras(right)

    found = differences("hello", left["hello"], right["hello"])
    left_steps, right_steps = ({step["name"]: [] for step in side["steps"]} for side in (left, right))
    for side, steps in ((left, left_steps), (right, right_steps)):
        for step in side["steps"]:
            steps[step["name"]].append(step)
    names = [*left_steps, *(name for name in right_steps if name not in left_steps)]
    for name in names:
        if mixed and (name not in left_steps or name not in right_steps):
            continue
        found += differences(name, left_steps.get(name, "(absent)"), right_steps.get(name, "(absent)"))
    found += [(name, "", "") for name in names if name.startswith("servers.json has no")]
    if not mixed:
        found += differences("asked outside a step", left["asked"], right["asked"])
        found += differences("notifications", notifications(left, server), notifications(right, server))

    pair = [left["revision"], right["revision"]]
    accepted = [
        rule
        for rule in for_server("accepted", server)
        if rule.get("revisions", pair) == pair and rule.get("server by", left["transport"]) == left["transport"]
    ]
    shown = 0
    for path, one, other in found:
        text = json.dumps(other, ensure_ascii=False)
        rules = (rule for rule in accepted if re.search(rule["at"], path) and re.search(rule.get("right", ""), text))
        rule = next(rules, None)
        if rule is not None:
            print(f"accepted: {path}: {rule['why']}")
            continue
        shown += 1
        print(f"DIFFERENT {path}\n  left:  {short(one)}\n  right: {short(other)}")
    print(
        f"{server}: {len(names)} steps, {left['revision']} and {right['revision']}: "
        f"{'equal' if shown == 0 else f'{shown} differences'}"
    )
    return 0 if shown == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

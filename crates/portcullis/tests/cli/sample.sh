#!/bin/sh
# An MCP server of one tool, which answers with its process id and one variable of its environment.
# Called with `wait`, it says so in the pipe `begun` and answers once the pipe `go` says something.
while IFS= read -r line; do
    id=${line#*\"id\":}
    id=${id%%[,\}]*}
    reply='"error":{"code":-32601,"message":"unknown method"}'
    case $line in
    *'"method":"initialize"'*)
        reply='"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"sample","version":"1"}}'
        ;;
    *'"method":"tools/list"'*)
        reply='"result":{"tools":[{"name":"look","inputSchema":{"type":"object","properties":{"how":{"type":"string"}}}}]}'
        ;;
    *'"method":"tools/call"'*)
        case $line in
        *'"how":"wait"'*)
            echo begun >begun
            read -r _ <go
            ;;
        esac
        reply="\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"pid $$ sees ${SAMPLE-nothing}\"}]}"
        ;;
    esac
    case $line in
    *'"id":'*) printf '{"jsonrpc":"2.0","id":%s,%s}\n' "$id" "$reply" ;;
    esac
done

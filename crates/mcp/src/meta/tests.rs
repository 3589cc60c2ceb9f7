use super::*;

#[test]
fn prefixes_of_the_specification_are_reserved() {
    for key in [
        PROTOCOL_VERSION,
        "io.modelcontextprotocol/x",
        "com.mcp/x",
        "dev.mcp.tools/",
        "a.modelcontextprotocol/",
    ] {
        assert!(is_reserved(key), "{key}");
    }
    for key in [
        "progressToken",
        "com.example/mcp",
        "mcp/x",
        "com.example.mcp/x",
        "com.mcpx/x",
        "",
        "/",
        "com.mcp",
    ] {
        assert!(!is_reserved(key), "{key}");
    }
}

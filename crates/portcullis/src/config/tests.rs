use super::*;

/// The committed schema is the one that the types have. `UPDATE=1` writes it.
#[test]
fn the_schema_is_up_to_date() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/reference/portcullis.schema.json"
    );
    let now = format!("{:#}\n", schema());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        committed, now,
        "run the tests with UPDATE=1 to write `{path}` anew"
    );
}

/// Every default is written as the schema asks, so that editors propose what can be read.
#[test]
fn the_default_round_trips() {
    let text = toml::to_string(&Config::default()).unwrap();
    let again: Config = toml::from_str(&text).unwrap();
    assert_eq!(
        serde_json::to_value(&again).unwrap(),
        serde_json::to_value(Config::default()).unwrap()
    );
}

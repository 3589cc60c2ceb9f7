//! Files of constraints: `[servers.NAME.tools.TOOL]`, as the configuration has them under `policy`.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};

use portcullis_policy::PolicyFile;
use serde::Deserialize;
use toml::Spanned;

use super::Tool;
use crate::config::mistakes::{Mistake, Mistakes};
use crate::permissions::RefusedPolicies;

/// What stands in files of constraints: for each server, its tools by name.
type Found = BTreeMap<String, BTreeMap<String, Tool>>;

/// A file of constraints.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    servers: BTreeMap<Spanned<String>, Server>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    #[serde(default)]
    tools: BTreeMap<Spanned<String>, Tool>,
}

/// Reads all files, which may be about the servers `known`. No two may say something of one argument.
pub(super) fn read(
    files: &[PolicyFile],
    known: &BTreeSet<String>,
) -> Result<Found, RefusedPolicies> {
    let mut found = Found::new();
    let mut refused = Vec::new();
    for file in files {
        let mut list = Vec::new();
        match toml::from_str::<Document>(&file.text) {
            Ok(document) => take(document, known, &mut found, &mut list),
            Err(error) => {
                let span = error.span().unwrap_or(0..0);
                let message = format!("this cannot be read: {}", error.message());
                let hint = "write `[servers.NAME.tools.TOOL.arguments]`, and beneath it such as \
                            `\"/path\" = { kind = \"path\", roots = [\"/srv\"] }`";
                list.push(Mistake::error("constraints", span, message, "here").hint(hint));
            }
        }
        if !list.is_empty() {
            let (name, text) = (file.name.to_string(), file.text.to_string());
            refused.push(Mistakes::new(name, text, list));
        }
    }
    if refused.is_empty() {
        Ok(found)
    } else {
        Err(RefusedPolicies(refused))
    }
}

fn take(document: Document, known: &BTreeSet<String>, found: &mut Found, list: &mut Vec<Mistake>) {
    for (name, server) in document.servers {
        let span = name.span();
        let name = name.into_inner();
        if !known.contains(&name) {
            let names: Vec<String> = known.iter().map(|name| format!("`{name}`")).collect();
            let message = format!("no server `{name}` is configured");
            let hint = if names.is_empty() {
                "add it to the configuration as `[servers.NAME]`".to_owned()
            } else {
                format!("those that are: {}", names.join(", "))
            };
            list.push(Mistake::error("constraints", span, message, "here").hint(hint));
            continue;
        }
        let of_server = found.entry(name).or_default();
        for (tool, rules) in server.tools {
            let span = tool.span();
            let own = of_server.entry(tool.into_inner()).or_default();
            own.classes.extend(rules.classes);
            own.labels.extend(rules.labels);
            for (pointer, rule) in rules.arguments {
                match own.arguments.entry(pointer) {
                    Entry::Vacant(place) => {
                        place.insert(rule);
                    }
                    Entry::Occupied(place) => {
                        let pointer = place.key();
                        let message =
                            format!("another file has a rule for `{pointer}` of this tool");
                        let mistake = Mistake::error("constraints", span.clone(), message, "here");
                        list.push(mistake.hint("keep one of them"));
                    }
                }
            }
        }
    }
}

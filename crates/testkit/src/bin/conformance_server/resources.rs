//! The resources and their template.

use rmcp::{
    ErrorData,
    model::{Resource, ResourceContents, ResourceTemplate},
};
use serde_json::json;

use crate::{plain::IMAGE, skills, watchers::WATCHED};

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";

/// Every resource, those of the skills last.
pub(crate) fn list() -> Vec<Resource> {
    let own = [
        (TEXT, "text/plain"),
        (BINARY, "image/png"),
        (WATCHED, "text/plain"),
    ];
    let own = own.map(|(uri, mime_type)| {
        let name = uri.trim_start_matches("test://");
        Resource::new(uri, name)
            .with_description("A fixture.")
            .with_mime_type(mime_type)
    });
    own.into_iter().chain(skills::resources()).collect()
}

/// The one template.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = ResourceTemplate::new("test://template/{id}/data", "template");
    vec![
        template
            .with_description("Data by its id.")
            .with_mime_type("application/json"),
    ]
}

/// The contents at `uri`.
///
/// # Errors
///
/// There is no such resource.
pub(crate) fn read(uri: &str) -> Result<ResourceContents, ErrorData> {
    if let Some(contents) = skills::read(uri) {
        return Ok(contents);
    }
    let id = uri
        .strip_prefix("test://template/")
        .and_then(|rest| rest.strip_suffix("/data"));
    match (uri, id) {
        (TEXT, _) => {
            Ok(ResourceContents::text("A text that stays as it is.", uri)
                .with_mime_type("text/plain"))
        }
        (BINARY, _) => Ok(ResourceContents::blob(IMAGE, uri).with_mime_type("image/png")),
        (WATCHED, _) => {
            Ok(ResourceContents::text("A text that is watched.", uri).with_mime_type("text/plain"))
        }
        (_, Some(id)) => {
            let data = json!({ "id": id, "templateTest": true, "data": format!("Data of {id}") });
            Ok(ResourceContents::text(data.to_string(), uri).with_mime_type("application/json"))
        }
        _ => Err(ErrorData::resource_not_found(
            "no such resource",
            Some(json!({ "uri": uri })),
        )),
    }
}

//! One skill of two files (SEP-2640).

use rmcp::{
    ErrorData,
    model::{
        DIRECTORY_MIME_TYPE, Resource, ResourceContents, Skill, SkillFrontmatter, SkillResource,
        SkillResources,
    },
};

const NAME: &str = "plain-greeting";
const DESCRIPTION: &str = "Greets people in a plain way.";
const ROOT: &str = "skill://plain-greeting";
const MANUAL: &str = "skill://plain-greeting/SKILL.md";
const REFERENCES: &str = "skill://plain-greeting/references";
const PHRASES: &str = "skill://plain-greeting/references/phrases.md";
const PHRASES_TEXT: &str = "Good day.\nGood evening.\n";

/// The one skill.
pub(crate) fn list() -> Vec<Skill> {
    let files = [(MANUAL, manual()), (PHRASES, PHRASES_TEXT.to_owned())];
    let files = files.map(|(uri, text)| SkillResource::from_bytes(uri, text.as_bytes()));
    let frontmatter = SkillFrontmatter::new(NAME, DESCRIPTION);
    vec![Skill::new(
        MANUAL,
        frontmatter,
        SkillResources::Files(files.to_vec()),
    )]
}

/// The files, as resources.
pub(crate) fn resources() -> Vec<Resource> {
    vec![manual_resource(), phrases_resource()]
}

/// The text of the file at `uri`, if there is one.
pub(crate) fn read(uri: &str) -> Option<ResourceContents> {
    let text = match uri {
        MANUAL => manual(),
        PHRASES => PHRASES_TEXT.to_owned(),
        _ => return None,
    };
    Some(ResourceContents::text(text, uri).with_mime_type("text/markdown"))
}

/// The direct children of the directory at `uri`.
///
/// # Errors
///
/// It is no directory.
pub(crate) fn children(uri: &str) -> Result<Vec<Resource>, ErrorData> {
    match uri {
        ROOT => {
            let directory = Resource::new(REFERENCES, "references");
            Ok(vec![
                manual_resource(),
                directory.with_mime_type(DIRECTORY_MIME_TYPE),
            ])
        }
        REFERENCES => Ok(vec![phrases_resource()]),
        _ => Err(ErrorData::invalid_params("no directory", None)),
    }
}

fn manual() -> String {
    format!("---\nname: {NAME}\ndescription: {DESCRIPTION}\n---\n\nSay one of the phrases.\n")
}

fn manual_resource() -> Resource {
    let resource = Resource::new(MANUAL, NAME).with_description(DESCRIPTION);
    resource.with_mime_type("text/markdown")
}

fn phrases_resource() -> Resource {
    let resource = Resource::new(PHRASES, "phrases").with_description("What to say.");
    resource.with_mime_type("text/markdown")
}

//! Loading skills as SEP-2640 wants a host to: nothing is used before it is verified.

use anyhow::{Context as _, bail, ensure};
use rmcp::model::{
    ReadResourceRequestParams, ResourceContents, Skill, SkillResource, SkillResources,
};
use serde_json::Value;

use crate::scenario::Session;

/// Loads every skill: its `SKILL.md` first, the other files only if that is what it should be.
///
/// # Errors
///
/// A file's size, digest or frontmatter differs from the manifest.
pub(crate) async fn load(session: &Session) -> anyhow::Result<()> {
    for skill in session.list_skills(None).await?.skills {
        let SkillResources::Files(files) = &skill.resources else {
            continue;
        };
        let manual = files.iter().find(|file| file.uri == skill.uri);
        let manual = read(session, manual.context("the manifest lacks its own file")?).await?;
        compare(&skill, &manual)?;
        for file in files.iter().filter(|file| file.uri != skill.uri) {
            read(session, file).await?;
        }
    }
    Ok(())
}

async fn read(session: &Session, file: &SkillResource) -> anyhow::Result<String> {
    let request = ReadResourceRequestParams::new(file.uri.as_str());
    let contents = session.read_resource(request).await?.contents;
    let Some(ResourceContents::TextResourceContents { text, .. }) = contents.into_iter().next()
    else {
        bail!("`{}` is no text", file.uri);
    };
    file.verify(text.as_bytes())?;
    Ok(text)
}

/// The frontmatter's fields are those of the entry, each with the same value.
fn compare(skill: &Skill, manual: &str) -> anyhow::Result<()> {
    let block = manual
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---"));
    let (block, _) = block.context("the file has no frontmatter")?;
    let fields: Vec<(&str, &str)> = block
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim(), value.trim()))
        .collect();
    let entry = serde_json::to_value(&skill.frontmatter)?;
    let entry = entry.as_object().context("the entry has no frontmatter")?;
    ensure!(
        fields.len() == entry.len(),
        "the frontmatter has other fields than the entry"
    );
    for (name, value) in fields {
        let same = entry.get(name).and_then(Value::as_str) == Some(value);
        ensure!(
            same,
            "`{name}` of the frontmatter is not what the entry says"
        );
    }
    Ok(())
}

//! The context of a request: only what its candidate policies read is made.

use cedar_policy::{Context, RestrictedExpression};
use serde_json::Map;
use time::format_description::FormatItem;
use time::macros::format_description;
use time::{Duration, OffsetDateTime};

use crate::arguments::{Arguments, Wanted};
use crate::query::{ActionRef, Query};
use crate::uses::Uses;

/// As the constructor `datetime` of Cedar reads it.
const DATETIME: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A value that cannot be made: the decision is undecided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value of the request cannot be given to its policies")]
pub(crate) struct NoContext;

/// The attributes that are the same whether or not there is an approval.
pub(crate) fn attributes(
    query: &Query<'_>,
    uses: &Uses,
    arguments: Option<&Arguments>,
) -> Result<Vec<(String, RestrictedExpression)>, NoContext> {
    let mut pairs: Vec<(String, RestrictedExpression)> = Vec::new();
    let mut add = |name: &str, value: RestrictedExpression| pairs.push((name.to_owned(), value));
    if uses.reads("scopes") {
        add("scopes", texts(query.who.scopes));
    }
    if uses.reads("client") {
        add("client", text(query.who.client));
    }
    if uses.reads("labels") {
        add("labels", texts(query.labels));
    }
    if uses.reads("kind") {
        add("kind", text(query.who.kind));
    }
    if uses.reads("history") {
        add("history", history(query)?);
    }
    if uses.reads("now") {
        add("now", now(query.now_ms)?);
    }
    if let (true, Some(what)) = (uses.reads("what"), what(query.action)) {
        add("what", text(what));
    }
    if let (true, Some(argument)) = (uses.reads("argument"), completed(query.action)) {
        add("argument", text(argument));
    }
    if let (true, Some(types)) = (uses.arguments != Wanted::Nothing, arguments) {
        let empty = Map::new();
        let values = match query.arguments {
            None => &empty,
            Some(value) => value.as_object().ok_or(NoContext)?,
        };
        let record = types.fields.convert(values, &uses.arguments);
        add("arguments", record.map_err(|_unfit| NoContext)?);
    }
    Ok(pairs)
}

/// The whole context.
pub(crate) fn context(
    attributes: &[(String, RestrictedExpression)],
    uses: &Uses,
    approved: bool,
) -> Result<Context, NoContext> {
    if uses.reads_no_context() {
        return Ok(Context::empty());
    }
    let approval = uses.reads("approved").then(|| {
        let value = RestrictedExpression::new_bool(approved);
        ("approved".to_owned(), value)
    });
    let pairs = attributes.iter().cloned().chain(approval);
    Context::from_pairs(pairs).map_err(|_refused| NoContext)
}

fn history(query: &Query<'_>) -> Result<RestrictedExpression, NoContext> {
    let count = |name: &str, count: u32| {
        let value = RestrictedExpression::new_long(i64::from(count));
        (name.to_owned(), value)
    };
    RestrictedExpression::new_record([
        count("calls", query.history.calls),
        count("calls_of_tool", query.history.calls_of_tool),
        count("denials", query.history.denials),
    ])
    .map_err(|_repeated| NoContext)
}

fn now(now_ms: u64) -> Result<RestrictedExpression, NoContext> {
    let since = Duration::milliseconds(i64::try_from(now_ms).map_err(|_beyond| NoContext)?);
    let now = OffsetDateTime::UNIX_EPOCH.checked_add(since);
    let text = now.ok_or(NoContext)?.format(DATETIME);
    Ok(RestrictedExpression::new_datetime(
        text.map_err(|_beyond| NoContext)?,
    ))
}

fn what(action: ActionRef<'_>) -> Option<&str> {
    match action {
        ActionRef::List(what) | ActionRef::Task(what) | ActionRef::Other(what) => Some(what),
        ActionRef::CallTool(_)
        | ActionRef::ReadResource(_)
        | ActionRef::Subscribe(_)
        | ActionRef::GetPrompt(_)
        | ActionRef::CompletePrompt { .. }
        | ActionRef::CompleteResource { .. }
        | ActionRef::Sample
        | ActionRef::Elicit => None,
    }
}

fn completed(action: ActionRef<'_>) -> Option<&str> {
    match action {
        ActionRef::CompletePrompt { argument, .. }
        | ActionRef::CompleteResource { argument, .. } => Some(argument),
        ActionRef::CallTool(_)
        | ActionRef::ReadResource(_)
        | ActionRef::Subscribe(_)
        | ActionRef::GetPrompt(_)
        | ActionRef::List(_)
        | ActionRef::Task(_)
        | ActionRef::Sample
        | ActionRef::Elicit
        | ActionRef::Other(_) => None,
    }
}

fn text(text: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(text.to_owned())
}

fn texts(all: &[&str]) -> RestrictedExpression {
    RestrictedExpression::new_set(all.iter().map(|one| text(one)))
}

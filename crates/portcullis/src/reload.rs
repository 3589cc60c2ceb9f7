//! Notices that the configuration should be read again: its file, or one that it names, changed, or SIGHUP came.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tracing::warn;

/// How long the file must have been left alone before it is read: an editor writes in steps.
const QUIET: Duration = Duration::from_millis(200);

/// Why the configuration should be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The file, or a link on the way to it, changed.
    File,
    /// Somebody asked.
    Hangup,
}

/// Watches a configuration file and what it names.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The watch ends with it. `None` when the system allows no watch.
    watcher: Option<RecommendedWatcher>,
    paths: Vec<PathBuf>,
    changed: Arc<Notify>,
    hangup: Signal,
}

impl Watch {
    /// Watches the directories of the files in `paths` and, where they are links, of what they lead to: an editor
    /// replaces a file, and an orchestrator the link. A directory in `paths` is watched itself.
    pub(crate) fn start(paths: &[PathBuf]) -> io::Result<Self> {
        let changed = Arc::new(Notify::new());
        Ok(Self {
            watcher: try_to_watch(paths, &changed),
            paths: paths.to_vec(),
            changed,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Watches these paths from now on.
    pub(crate) fn look_at(&mut self, paths: &[PathBuf]) {
        if self.paths != paths {
            self.watcher = try_to_watch(paths, &self.changed);
            self.paths = paths.to_vec();
        }
    }

    /// Waits for the next cause. Many changes at a time are one.
    pub(crate) async fn next(&mut self) -> Cause {
        tokio::select! {
            () = self.changed.notified() => {}
            _ = self.hangup.recv() => return Cause::Hangup,
        }
        while tokio::time::timeout(QUIET, self.changed.notified())
            .await
            .is_ok()
        {}
        Cause::File
    }
}

fn try_to_watch(paths: &[PathBuf], changed: &Arc<Notify>) -> Option<RecommendedWatcher> {
    match watch(paths, changed) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            warn!(%error, "the configuration file cannot be watched; send SIGHUP after a change");
            None
        }
    }
}

fn watch(paths: &[PathBuf], changed: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let mut directories = BTreeSet::new();
    let mut names: Vec<OsString> = Vec::new();
    for path in paths {
        let path = std::path::absolute(path)?;
        for path in [path.canonicalize()?, path] {
            names.extend(path.file_name().map(OsString::from));
            directories.extend(path.parent().map(Path::to_owned));
            if path.is_dir() {
                directories.insert(path);
            }
        }
    }
    let changed = Arc::clone(changed);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        // What could not be told may have been a change.
        if event.map_or(true, |event| concerns(&event, &names)) {
            changed.notify_one();
        }
    })?;
    for directory in &directories {
        watcher.watch(directory, RecursiveMode::NonRecursive)?;
    }
    Ok(watcher)
}

/// Whether the event may change what one of the files called `names` says. Others live in the same
/// directory, and reading a file is an event too.
fn concerns(event: &Event, names: &[OsString]) -> bool {
    let changes = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Any
        | EventKind::Other => true,
        EventKind::Access(_) => false,
    };
    // Mounted configuration maps change by a link whose name starts with two dots.
    let ours = |path: &PathBuf| {
        path.file_name().is_none_or(|name| {
            names.iter().any(|ours| ours == name)
                || name.to_string_lossy().starts_with("..")
                || Path::new(name).extension().is_some_and(|it| it == "cedar")
        })
    };
    changes && (event.paths.is_empty() || event.paths.iter().any(ours))
}

#[cfg(test)]
mod tests;

//! Notices that the configuration should be read again: its file changed, or SIGHUP came.

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

/// Watches one configuration file.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Held, never read: the watch ends with it. `None` when the system allows no watch.
    _watcher: Option<RecommendedWatcher>,
    changed: Arc<Notify>,
    hangup: Signal,
}

impl Watch {
    /// Watches the directory of `path` and, if that is a link, of what it leads to: an editor
    /// replaces the file, and an orchestrator the link.
    pub(crate) fn start(path: &Path) -> io::Result<Self> {
        let changed = Arc::new(Notify::new());
        let watcher = match watch(path, &changed) {
            Ok(watcher) => Some(watcher),
            Err(error) => {
                warn!(%error, "the configuration file cannot be watched; send SIGHUP after a change");
                None
            }
        };
        Ok(Self {
            _watcher: watcher,
            changed,
            hangup: signal(SignalKind::hangup())?,
        })
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

fn watch(path: &Path, changed: &Arc<Notify>) -> notify::Result<RecommendedWatcher> {
    let path = std::path::absolute(path)?;
    let target = path.canonicalize()?;
    let mut directories: Vec<PathBuf> = [&path, &target]
        .into_iter()
        .filter_map(|file| file.parent())
        .map(Path::to_owned)
        .collect();
    directories.dedup();
    let names: Vec<OsString> = [&path, &target]
        .iter()
        .filter_map(|file| file.file_name())
        .map(OsString::from)
        .collect();
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
            names.iter().any(|ours| ours == name) || name.to_string_lossy().starts_with("..")
        })
    };
    changes && (event.paths.is_empty() || event.paths.iter().any(ours))
}

#[cfg(test)]
mod tests;

//! The terminal of whoever sits at this machine: one question at a time, and only what is typed after it counts.
//!
//! Nothing is asked there while another program has it: the gateway would take what is typed for that program, or be stopped.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, QueueSelector, tcflush, tcgetattr, tcgetpgrp};
use tokio::sync::Mutex;

/// How soon it is noticed that nobody waits for the answer any more: 200 ms.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};
/// The longest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 256;

/// A terminal. A clone is the same one.
#[derive(Clone, Debug)]
pub struct Terminal {
    path: PathBuf,
    turn: Arc<Mutex<()>>,
}

/// Tells the thread that reads when nobody waits for the answer any more.
struct GiveUp(Arc<AtomicBool>);

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Terminal {
    /// The terminal at `path`, such as `/dev/tty`, if this process has one there.
    pub fn at(path: &Path) -> Option<Self> {
        open(path).ok()?;
        Some(Self {
            path: path.to_owned(),
            turn: Arc::default(),
        })
    }

    /// Asks whether a call may be made; `None` when nobody could be asked. Dropping the future takes the question back. `text` is
    /// written as it is: nothing in it may move the cursor.
    pub(crate) async fn ask(&self, text: &str) -> Option<bool> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let given_up = GiveUp(Arc::default());
        let seen = Arc::clone(&given_up.0);
        let (path, text) = (self.path.clone(), text.to_owned());
        let asking = tokio::task::spawn_blocking(move || {
            let answer = put(&path, &text, &seen);
            // The next question comes when this one has its last line.
            drop(turn);
            answer
        });
        match asking.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                tracing::warn!(%error, "nobody could be asked at the terminal");
                None
            }
            Err(error) => {
                tracing::error!(%error, "asking at the terminal failed");
                None
            }
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Whether we may read here: we are in the foreground, and no program has put the terminal into a mode of its own.
fn is_free(terminal: &File) -> Result<bool, Errno> {
    let modes = tcgetattr(terminal)?.local_modes;
    Ok(tcgetpgrp(terminal)? == getpgrp() && modes.contains(LocalModes::ICANON))
}

fn put(path: &Path, text: &str, given_up: &AtomicBool) -> io::Result<Option<bool>> {
    let mut terminal = open(path)?;
    if !is_free(&terminal)? {
        tracing::info!("another program has the terminal; nobody is asked there");
        return Ok(None);
    }
    // What was typed before was no answer to this.
    tcflush(&terminal, QueueSelector::IFlush)?;
    write!(
        terminal,
        "\nportcullis: {text}\n\nMay this very call be made, once? [y/N] "
    )?;
    let mut answer = Vec::new();
    loop {
        if given_up.load(Ordering::Acquire) {
            writeln!(terminal, "\nportcullis: no answer is needed any more.")?;
            return Ok(None);
        }
        let mut fds = [PollFd::new(&terminal, PollFlags::IN)];
        match poll(&mut fds, Some(&LOOK)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        if !is_free(&terminal)? {
            return Ok(None);
        }
        let mut bytes = [0; ANSWER_BYTES_MAX];
        let length = terminal.read(&mut bytes)?;
        answer.extend_from_slice(bytes.get(..length).unwrap_or_default());
        // The end of the input, by Ctrl-D, is an answer without a word.
        if length == 0 || answer.contains(&b'\n') || answer.len() >= ANSWER_BYTES_MAX {
            break;
        }
    }
    let is_yes = is_yes(&answer);
    let said = if is_yes { "allowed, once" } else { "refused" };
    writeln!(terminal, "portcullis: {said}.")?;
    Ok(Some(is_yes))
}

/// Whether somebody typed `y` or `yes`, and nothing else.
fn is_yes(answer: &[u8]) -> bool {
    let word = answer.trim_ascii();
    word.eq_ignore_ascii_case(b"y") || word.eq_ignore_ascii_case(b"yes")
}

#[cfg(test)]
mod tests;

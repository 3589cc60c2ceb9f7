//! A program that runs beside a step and is ended with it: the gateway, the fixture server, a page.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Signal, kill_process};

use crate::command::{Command, Log, child_pid, wait};

/// Time for a service to say that it is ready.
const READY_MAX: Duration = Duration::from_mins(1);
/// Time for a service to end after it was told to.
const END_MAX: Duration = Duration::from_secs(15);

/// A running service; ended when dropped.
pub(crate) struct Service {
    child: Option<Child>,
    /// Where it can be reached.
    pub(crate) url: String,
}

impl Service {
    /// Starts `command` and reads its standard output until `url_of` finds a URL in a line.
    pub(crate) fn start(
        command: Command,
        log: &mut Log,
        url_of: impl Fn(&str) -> Option<String> + Send + 'static,
    ) -> Result<Self> {
        let mut child = command.spawn(log)?;
        let output = child
            .stdout
            .take()
            .context("a service has no standard output")?;
        // From here on, an early return ends the child.
        let mut service = Self {
            child: Some(child),
            url: String::new(),
        };
        let mut copy = log.share()?;
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // A log that can't be written must not stop the service.
                writeln!(copy, "{line}").ok();
                if let Some(url) = url_of(&line) {
                    // Only the first is waited for.
                    sender.send(url).ok();
                }
            }
        });
        service.url = receiver
            .recv_timeout(READY_MAX)
            .context("the service ended, or stayed silent, before it was ready")?;
        Ok(service)
    }

    /// Waits for a service that ends by itself.
    pub(crate) fn wait(mut self, time_max: Duration) -> Result<ExitStatus> {
        let child = self
            .child
            .take()
            .context("a service was waited for before")?;
        wait(child, time_max)
    }

    /// Tells the service to end, waits, and says whether it ended by itself and well.
    pub(crate) fn stop(mut self) -> Result<()> {
        let Some(child) = self.child.take() else {
            return Ok(());
        };
        end(child)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(child) = self.child.take()
            && let Err(error) = end(child)
        {
            eprintln!("xtask: {error:#}");
        }
    }
}

fn end(mut child: Child) -> Result<()> {
    let pid = child_pid(&child)?;
    // It may have ended already; the wait below tells how.
    kill_process(pid, Signal::TERM).ok();
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(child.wait()));
    if let Ok(status) = receiver.recv_timeout(END_MAX) {
        status.context("a service's end was missed")?;
        return Ok(());
    }
    kill_process(pid, Signal::KILL).ok();
    anyhow::bail!(
        "a service had not ended {} s after SIGTERM, and was killed",
        END_MAX.as_secs()
    )
}

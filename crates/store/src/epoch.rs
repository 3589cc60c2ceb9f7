//! The revocation epoch: a number beside the database that changes whenever a verdict on a credential may have changed.
//!
//! Whoever keeps verdicts compares the number with the one they were made under, at the cost of one read of eight bytes. So a
//! revocation by another process, such as an administrator's command, is in force on the next request.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::writer::RecordError;

/// The number, in a file of its own.
#[derive(Debug)]
pub(crate) struct Epoch {
    file: File,
    /// Tells apart two changes within one process.
    count: AtomicU64,
}

impl Epoch {
    pub(crate) fn open(database: &Path) -> io::Result<Self> {
        let mut path = database.as_os_str().to_owned();
        path.push("-epoch");
        let file = super::make_private(Path::new(&path))?;
        Ok(Self {
            file,
            count: AtomicU64::new(0),
        })
    }

    /// The number now. What cannot be read is never the same twice, so that nothing kept is believed.
    pub(crate) fn now(&self) -> u64 {
        let mut bytes = [0; 8];
        match read_at(&self.file, &mut bytes) {
            Ok(_) => u64::from_le_bytes(bytes),
            Err(_unreadable) => u64::MAX - self.count.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Changes the number. Called after the commit that it announces.
    pub(crate) fn announce(&self) -> Result<(), RecordError> {
        self.advance()
            .map_err(|error| RecordError::Epoch(Arc::new(error)))
    }

    fn advance(&self) -> io::Result<()> {
        // Processes may advance at once: each makes the number different from what it was, and no two alike.
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let next = self
            .now()
            .wrapping_add(1)
            .wrapping_add(u64::from(std::process::id()) << 32)
            .wrapping_add(count);
        write_at(&self.file, &next.to_le_bytes())
    }
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, bytes, 0)
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, bytes: &mut [u8]) -> io::Result<usize> {
    use std::io::{Read as _, Seek as _};
    file.rewind()?;
    file.read(bytes)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.rewind()?;
    file.write_all(bytes)
}

//! Lines of a byte stream, each of bounded length.

use std::io::{self, BufRead};

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes asked of the stream at a time.
const CHUNK: usize = 16 * 1024;

/// One line of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line, without its end.
    Whole(Bytes),
    /// A line longer than allowed; its bytes are gone.
    Oversize,
}

/// Cuts a stream into lines of at most `bytes_max` bytes.
#[derive(Debug)]
pub(super) struct Lines<R> {
    reader: R,
    buffer: BytesMut,
    /// Bytes at the front of the buffer that hold no line end.
    scanned: usize,
    bytes_max: usize,
    skipping: bool,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(super) fn new(reader: R, bytes_max: usize) -> Self {
        Self {
            reader,
            buffer: BytesMut::new(),
            scanned: 0,
            bytes_max,
            skipping: false,
        }
    }

    /// The next line that is not empty; `None` at the end of the stream. What stands behind the
    /// last line end is not a line. Cancel-safe.
    pub(super) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            if let Some(line) = self.cut() {
                return Ok(Some(line));
            }
            self.buffer.reserve(CHUNK);
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    fn cut(&mut self) -> Option<Line> {
        loop {
            let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
            let Some(length) = line_length(fresh) else {
                self.scanned = self.buffer.len();
                if self.scanned > self.bytes_max.saturating_add(1) {
                    self.skipping = true;
                    self.buffer.clear();
                    self.scanned = 0;
                }
                return None;
            };
            let mut line = self.buffer.split_to(self.scanned + length);
            self.scanned = 0;
            line.truncate(line.len() - 1);
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            if std::mem::take(&mut self.skipping) || line.len() > self.bytes_max {
                return Some(Line::Oversize);
            }
            if !line.trim_ascii().is_empty() {
                return Some(Line::Whole(line.freeze()));
            }
        }
    }
}

/// The length of the first line of `bytes`, its LF included.
fn line_length(mut bytes: &[u8]) -> Option<usize> {
    let all = bytes;
    // Reading from memory cannot fail. This is the standard library's only public `memchr`.
    let length = bytes.skip_until(b'\n').ok()?;
    let last = all.get(length.checked_sub(1)?)?;
    (*last == b'\n').then_some(length)
}

#[cfg(test)]
mod tests;

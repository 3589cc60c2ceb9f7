//! Server-sent events, both ways (WHATWG HTML §9.2.5 and §9.2.6).

use bytes::Bytes;

/// Decodes an event stream that arrives in chunks of any size.
///
/// Memory is bounded: the lines of one event with their ends, and a line of any kind, take at most
/// the given number of bytes.
#[derive(Debug)]
pub struct SseDecoder {
    event_bytes_max: usize,
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    /// Whether the last byte was a CR that ended a line, so that an LF belongs to it.
    after_cr: bool,
    is_first_line: bool,
    has_overflown: bool,
    pending: Pending,
}

/// The event whose closing blank line has not arrived.
#[derive(Debug, Default)]
struct Pending {
    /// Bytes of its lines so far.
    bytes: usize,
    event: Option<String>,
    data: Vec<u8>,
    has_data: bool,
    id: Option<String>,
    retry_ms: Option<u64>,
}

/// One event. Fields are those of this event's own lines; nothing is carried over from earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// Its name; absent means `message`.
    pub event: Option<String>,
    /// Its data lines joined by a newline; empty when there were none, as in an event that only sets
    /// the id or the delay.
    pub data: Bytes,
    /// Its id; empty means that the last id is to be forgotten.
    pub id: Option<String>,
    /// How long to wait before reconnecting, in milliseconds.
    pub retry_ms: Option<u64>,
}

/// An event or a line is longer than allowed. The decoder takes nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event is longer than {event_bytes_max} bytes")]
pub struct SseOverflow {
    /// What was allowed.
    pub event_bytes_max: usize,
}

impl SseDecoder {
    /// A decoder at the start of a stream, whose events hold at most `event_bytes_max` bytes.
    pub fn new(event_bytes_max: usize) -> Self {
        Self {
            event_bytes_max,
            line: Vec::new(),
            after_cr: false,
            is_first_line: true,
            has_overflown: false,
            pending: Pending::default(),
        }
    }

    /// Takes the next bytes of the stream and calls `out` with each event that they complete. An
    /// event that the stream's end cuts off is never given out, as the standard says.
    pub fn push(
        &mut self,
        chunk: &[u8],
        out: &mut impl FnMut(SseEvent),
    ) -> Result<(), SseOverflow> {
        if self.has_overflown {
            return self.overflow();
        }
        let mut rest = chunk;
        loop {
            if self.after_cr
                && let Some((first, behind)) = rest.split_first()
            {
                self.after_cr = false;
                if *first == b'\n' {
                    rest = behind;
                }
            }
            let end = memchr::memchr2(b'\r', b'\n', rest);
            let (part, behind) = rest.split_at(end.unwrap_or(rest.len()));
            let line_bytes = self.line.len().saturating_add(part.len());
            if line_bytes.saturating_add(self.pending.bytes) > self.event_bytes_max {
                return self.overflow();
            }
            let Some((terminator, behind)) = behind.split_first() else {
                self.line.extend_from_slice(part);
                return Ok(());
            };
            self.after_cr = *terminator == b'\r';
            rest = behind;
            if self.line.is_empty() {
                self.take_line(part, out);
            } else {
                let mut line = std::mem::take(&mut self.line);
                line.extend_from_slice(part);
                self.take_line(&line, out);
                line.clear();
                self.line = line;
            }
        }
    }

    fn overflow(&mut self) -> Result<(), SseOverflow> {
        self.has_overflown = true;
        self.line = Vec::new();
        self.pending = Pending::default();
        Err(SseOverflow {
            event_bytes_max: self.event_bytes_max,
        })
    }

    fn take_line(&mut self, line: &[u8], out: &mut impl FnMut(SseEvent)) {
        let line = match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(behind) if self.is_first_line => behind,
            _ => line,
        };
        self.is_first_line = false;
        if line.is_empty() {
            let pending = std::mem::take(&mut self.pending);
            if pending.has_data || pending.id.is_some() || pending.retry_ms.is_some() {
                out(pending.finish());
            }
            return;
        }
        let colon = memchr::memchr(b':', line);
        let (field, value) = line.split_at(colon.unwrap_or(line.len()));
        if field.is_empty() {
            return; // a comment
        }
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        self.pending.take_field(field, value, line.len());
    }
}

impl Pending {
    fn take_field(&mut self, field: &[u8], value: &[u8], line_bytes: usize) {
        let text = || String::from_utf8_lossy(value).into_owned();
        match field {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.event = Some(text()).filter(|name| !name.is_empty()),
            b"id" if !value.contains(&0) => self.id = Some(text()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry_ms = text().parse().ok();
            }
            _ => return,
        }
        // The newline that ends the line counts: many empty data lines take memory, too.
        self.bytes = self.bytes.saturating_add(line_bytes).saturating_add(1);
    }

    fn finish(self) -> SseEvent {
        SseEvent {
            event: self.event,
            data: Bytes::from(self.data),
            id: self.id,
            retry_ms: self.retry_ms,
        }
    }
}

/// Writes one event. Data with line breaks becomes several data lines, which a decoder joins by LF;
/// line breaks and NUL are left out of the id, where they can't be written.
pub fn encode_event(id: Option<&str>, retry_ms: Option<u64>, data: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(data.len().saturating_add(64));
    if let Some(id) = id {
        out.extend_from_slice(b"id: ");
        let is_allowed = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0);
        out.extend(id.bytes().filter(is_allowed));
        out.push(b'\n');
    }
    if let Some(retry_ms) = retry_ms {
        out.extend_from_slice(format!("retry: {retry_ms}\n").as_bytes());
    }
    let mut rest = data;
    loop {
        let end = memchr::memchr2(b'\r', b'\n', rest);
        let (line, behind) = rest.split_at(end.unwrap_or(rest.len()));
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
        rest = match behind {
            [] => break,
            [b'\r', b'\n', behind @ ..] | [_, behind @ ..] => behind,
        };
    }
    out.push(b'\n');
    Bytes::from(out)
}

#[cfg(test)]
mod tests;

//! The lifeline between the gateway and a guard: what is said on it, in both directions.
//!
//! A Unix stream socket. The gateway first sends the three standard streams of the payload and the
//! plan, then orders of one byte. The guard sends answers. The end of the gateway's
//! side is itself the order to kill everything.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::child::Exit;
use crate::plan::Plan;
use crate::report::Refusal;

/// The longest plan a guard reads: far above what the kernel accepts as argv and environment.
const PLAN_BYTES_MAX: u32 = 64 << 20;

/// The length of an [`Answer`]'s head on the lifeline.
pub(crate) const HEAD_BYTES: usize = 5;

/// The longest text of an [`Answer`].
const TEXT_BYTES_MAX: i32 = 1 << 16;

/// The most descriptors that come with an [`Answer`].
const FDS_MAX: usize = 8;

/// The payload's ends of its standard streams.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

impl Streams {
    /// Makes them the user's, who could else not open them by the names that `/dev/stdout` and
    /// the like are.
    #[cfg(target_os = "linux")]
    pub(crate) fn give_to(&self, user: u32) -> io::Result<()> {
        for stream in [&self.stdin, &self.stdout, &self.stderr] {
            std::os::unix::fs::fchown(stream, Some(user), Some(user))?;
        }
        Ok(())
    }
}

/// What the gateway tells a guard after the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGTERM to the payload's process group.
    Terminate,
    /// SIGKILL to everything the payload started.
    Kill,
}

/// What a guard tells the gateway, and the first process of a jail its guard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The descriptors of the doors, which come with it.
    Doors,
    /// What of the confinement is in force, in the form of [`crate::Report::encode`].
    Report(String),
    /// A part of the confinement could not be had, so nothing was started.
    Refused(Refusal),
    /// The payload runs, with this process id.
    Started(i32),
    /// The payload could not be executed, for this `errno`.
    Failed(i32),
    /// The payload and all that it started are gone.
    Ended(Exit),
}

impl Order {
    pub(crate) fn encode(self) -> u8 {
        match self {
            Self::Terminate => b'T',
            Self::Kill => b'K',
        }
    }

    /// What is not understood kills: a guard never outlives the gateway's control of it.
    pub(crate) fn decode(byte: u8) -> Self {
        match byte {
            b'T' => Self::Terminate,
            _ => Self::Kill,
        }
    }
}

impl Answer {
    fn encode(&self) -> Vec<u8> {
        let mut text = String::new();
        let (kind, value) = match self {
            Self::Doors => (b'D', 0),
            Self::Started(pid) => (b'S', *pid),
            Self::Failed(errno) => (b'F', *errno),
            Self::Ended(Exit::Code(code)) => (b'C', *code),
            Self::Ended(Exit::Signal(signal)) => (b'G', *signal),
            Self::Ended(Exit::Lost) => (b'L', 0),
            Self::Report(report) => {
                text.clone_from(report);
                (b'R', 0)
            }
            Self::Refused(refusal) => {
                text = refusal.encode();
                (b'X', 0)
            }
        };
        let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
        let value = if text.is_empty() { value } else { length };
        let mut bytes = vec![kind];
        bytes.extend_from_slice(&value.to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes
    }

    /// How long the text after `head` is.
    fn text_bytes([kind, a, b, c, d]: [u8; HEAD_BYTES]) -> Option<usize> {
        match kind {
            b'R' | b'X' => Some(i32::from_le_bytes([a, b, c, d]))
                .filter(|length| *length <= TEXT_BYTES_MAX)
                .and_then(|length| usize::try_from(length).ok()),
            _ => Some(0),
        }
    }

    /// The reverse of its encoding, of the first five bytes and the text after them.
    pub(crate) fn decode([kind, a, b, c, d]: [u8; HEAD_BYTES], text: &str) -> Option<Self> {
        let value = i32::from_le_bytes([a, b, c, d]);
        match kind {
            b'D' => Some(Self::Doors),
            b'S' => Some(Self::Started(value)),
            b'F' => Some(Self::Failed(value)),
            b'C' => Some(Self::Ended(Exit::Code(value))),
            b'G' => Some(Self::Ended(Exit::Signal(value))),
            b'L' => Some(Self::Ended(Exit::Lost)),
            b'R' => Some(Self::Report(text.to_owned())),
            b'X' => Some(Self::Refused(Refusal::decode(text)?)),
            _ => None,
        }
    }
}

/// Sends `answer`, and `fds` with it.
pub(crate) fn send_answer(
    mut control: &UnixStream,
    answer: &Answer,
    fds: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = answer.encode();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let sent = sendmsg(
        control,
        &[IoSlice::new(&bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    control.write_all(bytes.get(sent..).unwrap_or_default())
}

/// Receives what [`send_answer`] sent.
pub(crate) fn receive_answer(mut control: &UnixStream) -> io::Result<(Answer, Vec<OwnedFd>)> {
    let mut head = [0; HEAD_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = receive(control, &mut head, &mut ancillary)?;
    let fds = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    if received != head.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let length = Answer::text_bytes(head).ok_or(io::ErrorKind::InvalidData)?;
    let mut text = vec![0; length];
    control.read_exact(&mut text)?;
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    let answer = Answer::decode(head, &text).ok_or(io::ErrorKind::InvalidData)?;
    Ok((answer, fds))
}

/// Fills `bytes`, but for the end of the stream, from one message.
fn receive(
    control: &UnixStream,
    bytes: &mut [u8],
    ancillary: &mut RecvAncillaryBuffer<'_>,
) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::WAITALL;
    #[cfg(not(target_os = "linux"))]
    let flags = RecvFlags::WAITALL;
    loop {
        match recvmsg(control, &mut [IoSliceMut::new(bytes)], ancillary, flags) {
            Err(Errno::INTR) => {}
            other => return Ok(other?.bytes),
        }
    }
}

/// Sends the streams and the plan: the gateway's half of the start.
pub(crate) fn send_plan(
    mut control: &UnixStream,
    plan: &Plan,
    streams: &Streams,
) -> io::Result<()> {
    let plan = plan.encode();
    let length = u32::try_from(plan.len())
        .ok()
        .filter(|length| *length <= PLAN_BYTES_MAX)
        .ok_or(io::ErrorKind::ArgumentListTooLong)?;
    let fds = [
        streams.stdin.as_fd(),
        streams.stdout.as_fd(),
        streams.stderr.as_fd(),
    ];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !ancillary.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let header = length.to_le_bytes();
    // Four bytes into the empty buffer of a new socket: never a part of them.
    sendmsg(
        control,
        &[IoSlice::new(&header)],
        &mut ancillary,
        SendFlags::empty(),
    )?;
    control.write_all(&plan)
}

/// Receives what [`send_plan`] sent: the guard's half of the start.
pub(crate) fn receive_plan(control: &UnixStream) -> io::Result<(Plan, Streams)> {
    let mut header = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    if receive(control, &mut header, &mut ancillary)? != header.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut fds = ancillary
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten();
    let (Some(stdin), Some(stdout), Some(stderr)) = (fds.next(), fds.next(), fds.next()) else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    drop(fds);
    let length = u32::from_le_bytes(header);
    if length > PLAN_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    control.take(u64::from(length)).read_to_end(&mut bytes)?;
    let plan = Plan::decode(&bytes).ok_or(io::ErrorKind::InvalidData)?;
    Ok((
        plan,
        Streams {
            stdin,
            stdout,
            stderr,
        },
    ))
}

#[cfg(test)]
mod tests;

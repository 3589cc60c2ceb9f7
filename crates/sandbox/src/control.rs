//! The lifeline between the gateway and a guard: what is said on it, in both directions.
//!
//! A Unix stream socket. The gateway first sends the three standard streams of the payload and the
//! plan, then orders of one byte. The guard sends reports of five bytes. The end of the gateway's
//! side is itself the order to kill everything.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::child::Exit;
use crate::plan::Plan;

/// The longest plan a guard reads: far above what the kernel accepts as argv and environment.
const PLAN_BYTES_MAX: u32 = 64 << 20;

/// The length of a [`Report`] on the lifeline.
pub(crate) const REPORT_BYTES: usize = 5;

/// The payload's ends of its standard streams.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// What the gateway tells a guard after the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGTERM to the payload's process group.
    Terminate,
    /// SIGKILL to everything the payload started.
    Kill,
}

/// What a guard tells the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Report {
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

impl Report {
    pub(crate) fn encode(self) -> [u8; REPORT_BYTES] {
        let (kind, value) = match self {
            Self::Started(pid) => (b'S', pid),
            Self::Failed(errno) => (b'F', errno),
            Self::Ended(Exit::Code(code)) => (b'C', code),
            Self::Ended(Exit::Signal(signal)) => (b'G', signal),
            Self::Ended(Exit::Lost) => (b'L', 0),
        };
        let [a, b, c, d] = value.to_le_bytes();
        [kind, a, b, c, d]
    }

    pub(crate) fn decode([kind, a, b, c, d]: [u8; REPORT_BYTES]) -> Option<Self> {
        let value = i32::from_le_bytes([a, b, c, d]);
        match kind {
            b'S' => Some(Self::Started(value)),
            b'F' => Some(Self::Failed(value)),
            b'C' => Some(Self::Ended(Exit::Code(value))),
            b'G' => Some(Self::Ended(Exit::Signal(value))),
            b'L' => Some(Self::Ended(Exit::Lost)),
            _ => None,
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
    #[cfg(target_os = "linux")]
    let flags = RecvFlags::CMSG_CLOEXEC;
    #[cfg(not(target_os = "linux"))]
    let flags = RecvFlags::empty();
    let received = recvmsg(
        control,
        &mut [IoSliceMut::new(&mut header)],
        &mut ancillary,
        flags,
    )?;
    if received.bytes != header.len() {
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

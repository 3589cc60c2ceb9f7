//! Ways to others: over the network, and between processes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as LocalAddress, UnixStream};
use std::time::Duration;

use crate::raw::call;
use crate::{Attempt, Outcome, Stage};

const SOON: Duration = Duration::from_millis(500);

macro_rules! sockets {
    ($($name:literal: $family:expr, $kind:expr, $protocol:expr;)*) => {
        &[
            $(Attempt { name: $name, run: |_| socket($family, $kind, $protocol) },)*
            Attempt { name: "host-loopback", run: |stage| connect(stage.get("tcp")) },
            Attempt { name: "host-loopback-udp", run: |stage| exchange(stage.get("udp")) },
            Attempt { name: "host-network-address", run: |stage| connect(stage.get("lan")) },
            Attempt { name: "metadata-address", run: |_| connect("169.254.169.254:80") },
            Attempt { name: "public-address", run: |_| connect("1.1.1.1:443") },
            Attempt { name: "public-resolver", run: |_| exchange("1.1.1.1:53") },
            Attempt { name: "loopback-ipv6", run: |_| connect("[::1]:22") },
            Attempt { name: "daemon-socket", run: daemon },
            Attempt { name: "daemon-socket-in-grant", run: daemon_in_grant },
            Attempt { name: "abstract-socket", run: abstract_socket },
            Attempt { name: "shared-memory", run: shared_memory },
        ]
    };
}

pub(crate) const ATTEMPTS: &[Attempt] = sockets! {
    "socket-local": 1, 1, 0;
    "socket-local-high-bits": 0x1_0000_0001, 1, 0;
    "socket-netlink": 16, 3, 0;
    "socket-packet": 17, 3, 0;
    "socket-raw": 2, 3, 1;
    "socket-ping": 2, 2, 1;
    "socket-vsock": 40, 1, 0;
    "socket-alg": 38, 5, 0;
    "socket-bluetooth": 31, 3, 1;
    "socket-mptcp": 2, 1, 262;
    "socket-sctp": 2, 5, 132;
    "socket-sctp-plain": 2, 5, 0;
    "socket-kcm": 41, 2, 0;
    "socket-rds": 21, 5, 0;
    "socket-tipc": 30, 4, 0;
    "socket-can": 29, 3, 1;
    "socket-xdp": 44, 3, 0;
};

fn socket(family: usize, kind: usize, protocol: usize) -> Outcome {
    match call(libc::SYS_socket, &[family, kind, protocol]) {
        Ok(fd) => Ok(format!("descriptor {fd}")),
        Err(errno) => Err(format!("errno {errno}")),
    }
}

fn connect(address: &str) -> Outcome {
    let address: SocketAddr = address.parse().map_err(|error| format!("{error}"))?;
    match TcpStream::connect_timeout(&address, SOON) {
        Ok(_) => Ok(format!("connected to {address}")),
        Err(error) => Err(error.to_string()),
    }
}

fn exchange(address: &str) -> Outcome {
    let answer = || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(SOON))?;
        socket.send_to(b"hello", address)?;
        socket.recv_from(&mut [0; 512])
    };
    match answer() {
        Ok((bytes, _)) => Ok(format!("{bytes} bytes")),
        Err(error) => Err(error.to_string()),
    }
}

fn daemon(stage: &Stage) -> Outcome {
    greet(UnixStream::connect(stage.get("socket")))
}

fn daemon_in_grant(stage: &Stage) -> Outcome {
    greet(UnixStream::connect(format!(
        "{}/daemon.sock",
        stage.get("granted")
    )))
}

fn abstract_socket(stage: &Stage) -> Outcome {
    let address = LocalAddress::from_abstract_name(stage.get("abstract"));
    greet(address.and_then(|address| UnixStream::connect_addr(&address)))
}

fn greet(stream: std::io::Result<UnixStream>) -> Outcome {
    let answer = stream.and_then(|mut stream| {
        stream.set_read_timeout(Some(SOON))?;
        stream.write_all(b"hello")?;
        stream.read(&mut [0; 16])
    });
    match answer {
        Ok(bytes) => Ok(format!("{bytes} bytes")),
        Err(error) => Err(error.to_string()),
    }
}

/// System V memory of the host, by its number.
fn shared_memory(stage: &Stage) -> Outcome {
    let id = stage.number("shm");
    match call(
        libc::SYS_shmat,
        &[id, 0, libc::SHM_RDONLY.unsigned_abs() as usize],
    ) {
        Ok(_) => Ok(format!("segment {id}")),
        Err(errno) => Err(format!("errno {errno}")),
    }
}

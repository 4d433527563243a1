//! A port of the loopback interface that nobody else gets, for as long as the value lives.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, socket_with};

/// At first nothing listens there. A server that is told of it may, for servers reuse addresses; whoever asks for any
/// port gets another.
pub struct Port {
    number: u16,
    _socket: OwnedFd,
}

impl Port {
    pub fn new() -> Self {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        set_socket_reuseaddr(&socket, true).unwrap();
        bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address: SocketAddrV4 = getsockname(&socket).unwrap().try_into().unwrap();
        Port { number: address.port(), _socket: socket }
    }

    pub fn number(&self) -> u16 {
        self.number
    }
}

/// `host:port`.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "127.0.0.1:{}", self.number)
    }
}

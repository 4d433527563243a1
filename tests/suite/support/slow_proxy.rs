//! A way to a server on which bytes take their time.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::server::Server;

/// What passes at once, in bytes; then it is waited.
const PIECE: usize = 8 << 10;

pub struct SlowProxy(Server);

impl SlowProxy {
    /// Hands on what comes to `address`, on each connection and in each direction so many bytes in a second.
    pub fn to(address: &str, per_second: usize) -> Self {
        let address: SocketAddr = address.parse().unwrap();
        let wait = Duration::from_secs_f64(PIECE as f64 / per_second as f64);
        SlowProxy(Server::new(move |near| {
            let far = TcpStream::connect(address).unwrap();
            let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
            let sending = thread::spawn(move || pass(near, far, wait));
            let _ = pass(back.0, back.1, wait);
            let _ = sending.join();
        }))
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.0.address().to_string()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, wait: Duration) -> io::Result<()> {
    let mut piece = [0; PIECE];
    loop {
        let count = from.read(&mut piece)?;
        if count == 0 {
            return to.shutdown(Shutdown::Write);
        }
        to.write_all(&piece[..count])?;
        thread::sleep(wait.mul_f64(count as f64 / PIECE as f64));
    }
}

//! Network namespaces of their own for machines that a test plays: through a door they reach one server of this machine, at its own
//! address, and nothing else.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use tempfile::TempDir;

use super::tool::require_root;

/// Brings up the loopback device, listens on the port there, and hands each connection to the socket outside, as long as the
/// command runs.
const FORWARD: &str = r#"
import fcntl, socket, struct, subprocess, sys, threading

fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 0x41))
listener = socket.create_server(("127.0.0.1", int(sys.argv[2])), backlog=128)

def pump(source, sink):
    while data := source.recv(1 << 16):
        sink.sendall(data)
    sink.shutdown(socket.SHUT_WR)

def serve():
    while True:
        near = listener.accept()[0]
        far = socket.socket(socket.AF_UNIX)
        far.connect(sys.argv[1])
        for ends in (near, far), (far, near):
            threading.Thread(target=pump, args=ends, daemon=True).start()

threading.Thread(target=serve, daemon=True).start()
sys.exit(subprocess.call(sys.argv[3:]))
"#;

/// The way to a server, for what has a network namespace of its own.
pub struct NetworkDoor {
    place: TempDir,
    port: String,
}

impl NetworkDoor {
    /// Opens the way to the server at `address`, `127.0.0.1:PORT`; none where namespaces cannot be had.
    pub fn to(address: &str) -> Option<Self> {
        if !require_root() {
            return None;
        }
        let place = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(place.path().join("door")).unwrap();
        let (server, port) = (address.to_owned(), address.rsplit_once(':').unwrap().1.to_owned());
        thread::spawn(move || {
            while let Ok((near, _)) = listener.accept() {
                let far = TcpStream::connect(&server).unwrap();
                join(near, far);
            }
        });
        Some(NetworkDoor { place, port })
    }

    /// Returns the words that start a command in a network namespace of its own.
    pub fn starter(&self) -> Vec<String> {
        let socket = self.place.path().join("door").display().to_string();
        let words = ["unshare", "--net", "python3", "-c", FORWARD, &socket, &self.port];
        words.map(str::to_owned).to_vec()
    }
}

/// Hands on what comes at either end to the other.
fn join(near: UnixStream, far: TcpStream) {
    let (mut near_in, mut far_in) = (near.try_clone().unwrap(), far.try_clone().unwrap());
    let (mut near_out, mut far_out) = (near, far);
    thread::spawn(move || {
        let _ = io::copy(&mut near_in, &mut far_out);
        let _ = far_out.shutdown(Shutdown::Write);
    });
    thread::spawn(move || {
        let _ = io::copy(&mut far_in, &mut near_out);
        let _ = near_out.shutdown(Shutdown::Write);
    });
}

//! A proxy of the tests' own: it tunnels (CONNECT) and forwards, counts, wants to know who asks, and refuses.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};

use super::server::Server;

pub struct Proxy {
    server: Server,
    state: Arc<State>,
}

struct State {
    /// What `Proxy-Authorization` is to be, if anything.
    authorization: Option<String>,
    /// The status with which everything is refused.
    refusal: Option<u16>,
    requests: Mutex<Vec<String>>,
}

impl Proxy {
    pub fn open() -> Self {
        Self::start(None, None)
    }

    /// One that wants this value of `Proxy-Authorization`.
    pub fn with_authorization(authorization: &str) -> Self {
        Self::start(Some(authorization.to_owned()), None)
    }

    pub fn refusing(status: u16) -> Self {
        Self::start(None, Some(status))
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// `METHOD target` of each request.
    pub fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    fn start(authorization: Option<String>, refusal: Option<u16>) -> Self {
        let state = Arc::new(State { authorization, refusal, requests: Mutex::default() });
        let shared = state.clone();
        // Either side may end the connection at any time.
        let server = Server::new(move |stream| shared.serve(stream).unwrap_or(()));
        Proxy { server, state }
    }
}

impl State {
    /// One request, and then what it leads to until either side ends.
    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let words: Vec<&str> = first.split_whitespace().collect();
        let [method, target, _] = words[..] else { return Ok(()) };
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            headers.push(line);
        }
        self.requests.lock().unwrap().push(format!("{method} {target}"));
        let is_shown = |header: &String| {
            header.split_once(':').is_some_and(|(name, value)| {
                name.eq_ignore_ascii_case("proxy-authorization") && Some(value.trim()) == self.authorization.as_deref()
            })
        };
        if let Some(status) = self.refusal {
            return refuse(&mut client, status);
        }
        if self.authorization.is_some() && !headers.iter().any(is_shown) {
            return refuse(&mut client, 407);
        }
        if method == "CONNECT" {
            let server = TcpStream::connect(target)?;
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            let mut answer = server.try_clone()?;
            pass_on(reader, server);
            let _ = io::copy(&mut answer, &mut client);
            return client.shutdown(Shutdown::Both);
        }
        let rest = target.strip_prefix("http://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let mut server = TcpStream::connect(host)?;
        headers.retain(|header| !header.to_ascii_lowercase().starts_with("proxy-"));
        write!(server, "{method} /{path} HTTP/1.1\r\n{}\r\n", headers.concat())?;
        // The connection is for one request, so that the next one is seen, too.
        let mut answer = BufReader::new(server.try_clone()?);
        pass_on(reader, server);
        let mut first = String::new();
        answer.read_line(&mut first)?;
        write!(client, "{first}Connection: close\r\n")?;
        io::copy(&mut answer, &mut client)?;
        client.shutdown(Shutdown::Both)
    }
}

fn refuse(client: &mut TcpStream, status: u16) -> io::Result<()> {
    let body = "<html>not through here</html>";
    write!(client, "HTTP/1.1 {status} -\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// Sends what comes from the client to the server, in a thread of its own.
fn pass_on(mut client: impl Read + Send + 'static, mut server: TcpStream) {
    std::thread::spawn(move || {
        let _ = io::copy(&mut client, &mut server);
        let _ = server.shutdown(Shutdown::Write);
    });
}

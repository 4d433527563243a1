//! `ocibake serve` on a free port, for as long as the value lives, and requests as they stand on the wire.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::NamedTempFile;

use super::program::Program;

pub struct Served {
    process: Child,
    url: String,
    log: NamedTempFile,
}

/// What came back on a connection that was then closed.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Served {
    pub fn start(program: &Program, arguments: &[&str]) -> Self {
        let log = NamedTempFile::new().unwrap();
        let mut command = program.command([&["serve", "--addr", "127.0.0.1:0"], arguments].concat());
        command.stdout(Stdio::piped()).stderr(File::create(log.path()).unwrap());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim_end().to_owned();
        let served = Served { process, url, log };
        assert!(served.url.starts_with("http"), "it does not start: {}", served.log());
        served
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it has said until now.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    /// Waits until it has said that.
    #[track_caller]
    pub fn says(&self, part: &str) {
        let deadline = Instant::now() + Duration::from_secs(300);
        while !self.log().contains(part) {
            assert!(Instant::now() < deadline, "{part:?} is not in {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path, &[])
    }

    pub fn request(&self, method: &str, path: &str, headers: &[&str]) -> Reply {
        request(self.address(), method, path, headers)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits until it has ended by itself, and returns its exit code.
    pub fn code(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    /// In KiB, as the kernel counts them.
    pub fn largest_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends one request without TLS, and returns what comes back.
pub fn request(address: &str, method: &str, path: &str, headers: &[&str]) -> Reply {
    let lines: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{lines}\r\n");
    exchange(address, head.as_bytes()).expect("it is answered")
}

/// Sends these bytes, and returns what comes back; none if nothing does.
pub fn exchange(address: &str, bytes: &[u8]) -> Option<Reply> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(300))).unwrap();
    let _ = stream.write_all(bytes); // it may refuse what it has seen of it
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all); // nor need it be closed politely then
    Reply::of(&all)
}

impl Reply {
    fn of(all: &[u8]) -> Option<Reply> {
        let end = all.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(all[..end].to_vec()).unwrap();
        let (line, lines) = head.split_once("\r\n").unwrap_or((&head, ""));
        let header =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())).unwrap();
        Some(Reply {
            status: line.split(' ').nth(1).unwrap().parse().unwrap(),
            headers: lines.split("\r\n").filter(|line| !line.is_empty()).map(header).collect(),
            body: all[end + 4..].to_vec(),
        })
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// It has this status and this code of the specification.
    #[track_caller]
    pub fn refuses(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        let document = self.json();
        assert_eq!(document["errors"][0]["code"], code, "{document}");
        assert!(document["errors"][0]["message"].as_str().is_some_and(|message| message.len() > 5), "{document}");
    }

    /// As many bytes came as were promised.
    pub fn is_whole(&self) -> bool {
        self.header("content-length").is_some_and(|length| length == self.body.len().to_string())
    }
}

//! nginx on a free port of the loopback interface before another server, for as long as the value lives.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub struct Nginx {
    process: Child,
    port: u16,
    _directory: TempDir,
}

impl Nginx {
    /// Passes all on to `server`, a `host:port`; bodies over `limit` (`client_max_body_size`) are refused.
    pub fn before(server: &str, limit: &str) -> Self {
        // Another program may take the port between the choice and its use; then the next try has another.
        for _ in 0..5 {
            let directory = tempfile::tempdir().unwrap();
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let place = directory.path().display();
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|kind| format!("{kind}_temp_path {place}/{kind}; "))
                .collect();
            let configuration = format!(
                "daemon off; master_process off; pid {place}/pid; error_log {place}/errors;\n\
                 events {{}}\n\
                 http {{ access_log off; {temporary}\n\
                 server {{ listen 127.0.0.1:{port}; client_max_body_size {limit};\n\
                 location / {{ proxy_pass http://{server}; proxy_set_header Host $http_host; }} }} }}\n"
            );
            let path = directory.path().join("nginx.conf");
            fs::write(&path, configuration).unwrap();
            let process = Command::new("nginx")
                .arg("-c")
                .arg(&path)
                .arg("-e")
                .arg(directory.path().join("errors"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let mut nginx = Nginx { process, port, _directory: directory };
            if nginx.wait() {
                return nginx;
            }
        }
        panic!("nginx does not start");
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn wait(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline && self.process.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

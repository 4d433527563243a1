//! nginx on a free port of the loopback interface before another server, for as long as the value lives.

use std::fs;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::port::Port;

pub struct Nginx {
    process: Child,
    port: Port,
    directory: TempDir,
}

impl Nginx {
    /// Passes all on to `server`, a `host:port`; bodies over `limit` (`client_max_body_size`) are refused.
    pub fn before(server: &str, limit: &str) -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), Port::new());
        let place = directory.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {place}/{kind}; "))
            .collect();
        let configuration = format!(
            "daemon off; master_process off; pid {place}/pid; error_log {place}/errors;\n\
             events {{}}\n\
             http {{ access_log off; {temporary}\n\
             server {{ listen {port}; client_max_body_size {limit};\n\
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
        let mut nginx = Nginx { process, port, directory };
        nginx.wait();
        nginx
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.port.to_string()
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(300);
        while TcpStream::connect(self.address()).is_err() {
            let gone = self.process.try_wait().unwrap();
            if gone.is_some() || Instant::now() > deadline {
                let errors = fs::read_to_string(self.directory.path().join("errors"));
                panic!("nginx does not start: {gone:?} {errors:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

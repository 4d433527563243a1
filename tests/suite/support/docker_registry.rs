//! Debian's `docker-registry` on a free port of the loopback interface, for as long as the value lives.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::authority::Issued;
use super::port::Port;
use super::tool;

pub struct DockerRegistry {
    process: Child,
    port: Port,
    directory: TempDir,
}

impl DockerRegistry {
    pub fn open() -> Self {
        Self::start("", "", |_| {})
    }

    /// One that keeps its content in memory: no disk slows it down.
    pub fn in_memory() -> Self {
        Self::start_on("{inmemory: {}}", "", "", |_| {})
    }

    /// One that keeps its content in the directory `data`.
    pub fn keeping(data: &Path) -> Self {
        Self::start("", "", |directory| symlink(data, directory.path().join("data")).unwrap())
    }

    /// One that speaks TLS alone, with a certificate that nobody vouches for. `http` and `rest` go into the section
    /// of that name and to the end of its configuration; PORT and DIRECTORY (with `certificate`) are filled in.
    pub fn with_tls(http: &str, rest: &str) -> Self {
        let tls = ", tls: {certificate: DIRECTORY/certificate, key: DIRECTORY/key}";
        Self::start(&format!("{tls}{http}"), rest, |directory| {
            let output = Command::new("openssl")
                .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2"])
                .args(["-addext", "subjectAltName=IP:127.0.0.1,IP:0.0.0.0"])
                .args(["-keyout", "key", "-out", "certificate"])
                .current_dir(directory)
                .output()
                .unwrap();
            assert!(output.status.success(), "openssl: {output:?}");
        })
    }

    /// One that speaks TLS alone, with this certificate; `tls` goes into the section of that name, `rest` to the end.
    pub fn with_certificate(certificate: &Issued, tls: &str, rest: &str) -> Self {
        let (path, key) = (certificate.path.display(), certificate.key.display());
        Self::start(&format!(", tls: {{certificate: {path}, key: {key}{tls}}}"), rest, |_| {})
    }

    /// A cache of another registry, which it asks in its turn (`proxy.remoteurl`).
    pub fn mirror_of(remote: &str) -> Self {
        Self::start("", &format!("proxy: {{remoteurl: '{remote}'}}\n"), |_| {})
    }

    /// One that lets in nobody but `user` with `password` (basic authentication).
    pub fn with_user(user: &str, password: &str) -> Self {
        let auth = "auth: {htpasswd: {realm: test, path: DIRECTORY/htpasswd}}\n";
        Self::start("", auth, |directory| {
            let output = Command::new("htpasswd").args(["-Bbn", user, password]).output().unwrap();
            assert!(output.status.success(), "htpasswd: {output:?}");
            fs::write(directory.path().join("htpasswd"), output.stdout).unwrap();
        })
    }

    /// Whether it keeps something of a repository.
    pub fn has_seen(&self, repository: &str) -> bool {
        self.directory.path().join("data/docker/registry/v2/repositories").join(repository).exists()
    }

    /// All requests until now, as its access log has them: `METHOD path?query STATUS`. Where it speaks no TLS.
    pub fn requests(&self) -> Vec<String> {
        let log = || fs::read_to_string(self.directory.path().join("access")).unwrap();
        let knocks = || log().lines().filter(|line| is_knock(line)).count();
        // A request is written down once it is answered.
        let before = knocks();
        assert!(self.answers());
        let deadline = Instant::now() + Duration::from_secs(300);
        while knocks() == before {
            assert!(Instant::now() < deadline, "docker-registry writes no access log");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(50));
        let line = |line: &str| {
            let (_, rest) = line.split_once('"')?;
            let (request, rest) = rest.split_once(" HTTP/1.1\" ")?;
            Some(format!("{request} {}", rest.split(' ').next()?))
        };
        log().lines().filter(|line| !is_knock(line)).filter_map(line).collect()
    }

    /// What all tags stand for, `REPOSITORY:TAG` to digest, as its files say.
    pub fn standing(&self) -> BTreeMap<String, String> {
        let repositories = self.directory.path().join("data/docker/registry/v2/repositories");
        let root = repositories.to_str().unwrap();
        let links = tool::run("find", [root, "-path", "*/_manifests/tags/*/current/link"]);
        let name = |path: &str| {
            let (repository, rest) = path.strip_prefix(root)?.split_once("/_manifests/tags/")?;
            Some(format!("{}:{}", repository.trim_start_matches('/'), rest.strip_suffix("/current/link")?))
        };
        links.lines().map(|path| (name(path).unwrap(), fs::read_to_string(path).unwrap())).collect()
    }

    /// Takes away all that it has.
    pub fn empty(&self) {
        fs::remove_dir_all(self.directory.path().join("data")).unwrap();
    }

    /// The certificate of one that was started [with TLS](Self::with_tls).
    pub fn certificate(&self) -> PathBuf {
        self.directory.path().join("certificate")
    }

    /// One with `rest` at the end of its configuration.
    pub fn with_configuration(rest: &str) -> Self {
        Self::start("", rest, |_| {})
    }

    /// One that lets manifests be deleted.
    pub fn that_deletes() -> Self {
        Self::start_on("{filesystem: {rootdirectory: DIRECTORY/data}, delete: {enabled: true}}", "", "", |_| {})
    }

    /// Calls the tags of a repository that begin with `prefix` what `renamed` says, without a request for each.
    pub fn rename_tags(&self, repository: &str, prefix: &str, renamed: impl Fn(&str) -> String) {
        let tags = format!("data/docker/registry/v2/repositories/{repository}/_manifests/tags");
        let tags = self.directory.path().join(tags);
        for tag in fs::read_dir(&tags).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
            if tag.starts_with(prefix) {
                fs::rename(tags.join(&tag), tags.join(renamed(&tag))).unwrap();
            }
        }
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.port.to_string()
    }

    /// The same registry by an address that is not taken for loopback.
    pub fn other_address(&self) -> String {
        format!("0.0.0.0:{}", self.port.number())
    }

    /// Lets each of `names` stand for what `tag` does, without a request for each.
    pub fn copy_tag(&self, repository: &str, tag: &str, names: &[String]) {
        let tags = format!("data/docker/registry/v2/repositories/{repository}/_manifests/tags");
        let tags = self.directory.path().join(tags);
        for name in names {
            fs::create_dir_all(tags.join(name).join("current")).unwrap();
            fs::copy(tags.join(tag).join("current/link"), tags.join(name).join("current/link")).unwrap();
        }
    }

    fn start(http: &str, rest: &str, prepare: impl Fn(&TempDir)) -> Self {
        Self::start_on("{filesystem: {rootdirectory: DIRECTORY/data}}", http, rest, prepare)
    }

    fn start_on(storage: &str, http: &str, rest: &str, prepare: impl Fn(&TempDir)) -> Self {
        let (directory, port) = (tempfile::tempdir().unwrap(), Port::new());
        prepare(&directory);
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {storage}\n\
             http: {{addr: '{port}'{http}}}\n{rest}"
        );
        let config = config.replace("DIRECTORY", directory.path().to_str().unwrap());
        let path = directory.path().join("config.yml");
        fs::write(&path, config.replace("PORT", &port.number().to_string())).unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let access = File::create(directory.path().join("access")).unwrap();
        let process = Command::new("docker-registry").arg("serve").arg(&path).stdout(access).stderr(log).spawn();
        let mut registry = DockerRegistry { process: process.unwrap(), port, directory };
        registry.wait();
        registry
    }

    fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(300);
        while !self.answers() {
            let gone = self.process.try_wait().unwrap();
            if gone.is_some() || Instant::now() > deadline {
                let log = fs::read_to_string(self.directory.path().join("log"));
                panic!("docker-registry does not start: {gone:?} {log:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(self.address()) else { return false };
        let request = b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        // With TLS it answers this in HTTP/1.0, to complain.
        let mut start = [0; 7];
        stream.write_all(request).is_ok() && stream.read_exact(&mut start).is_ok() && start == *b"HTTP/1."
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Whether a line of the access log is of a request that only asks whether somebody is there: it does not say who asks.
fn is_knock(line: &str) -> bool {
    line.contains("\"GET /v2/ HTTP/1.1\"") && line.ends_with("\"\" \"\"")
}

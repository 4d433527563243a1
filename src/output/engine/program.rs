//! The programs of engines: they are given an archive on a pipe, and asked.

use std::collections::VecDeque;
use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use super::super::sink::{Sink, is_unread};
use super::kind::{EngineKind, EngineProgram};
use crate::error::{Error, ErrorKind, Result};
use crate::net::program;

/// Of what a program says so much is kept, in bytes: of an answer the beginning, of a complaint the end.
const LONGEST_ANSWER: usize = 16 << 20;
const LONGEST_COMPLAINT: usize = 8 << 10;

/// An error repeats so many of a program's last lines.
const LAST_LINES: usize = 6;

/// A program that has ended.
struct EndedProgram {
    status: ExitStatus,
    answer: Vec<u8>,
    complaint: Vec<u8>,
}

impl EngineProgram {
    /// Returns what the program answers to these arguments; none where it ends otherwise than with 0.
    pub(super) fn ask(&self, arguments: &[&str]) -> Result<Option<String>> {
        let mut child = self.start(arguments, Stdio::null())?;
        let ended = self.wait(&mut child, || Ok(()))?.0;
        Ok(ended.status.success().then(|| String::from_utf8_lossy(&ended.answer).into_owned()))
    }

    /// Has the program of `kind` do what these arguments say.
    pub(super) fn tell(&self, kind: EngineKind, arguments: &[&str]) -> Result<()> {
        let mut child = self.start(arguments, Stdio::null())?;
        let ended = self.wait(&mut child, || Ok(()))?.0;
        self.succeed(kind, arguments, &ended)
    }

    /// Does the same, with what `write` writes on its standard input.
    pub(super) fn feed(
        &self,
        kind: EngineKind,
        arguments: &[&str],
        write: impl FnOnce(Sink) -> Result<()>,
    ) -> Result<()> {
        let mut child = self.start(arguments, Stdio::piped())?;
        let stdin = child.stdin.take();
        let (ended, written) = self.wait(&mut child, || match stdin {
            Some(stdin) => write(Sink::Engine(Box::new(stdin))),
            None => Ok(()),
        })?;
        // Who stops reading says why.
        match (ended.status.success(), written) {
            (_, Err(error)) if !is_unread(&error) => Err(error),
            (false, _) => self.succeed(kind, arguments, &ended),
            (true, _) => Ok(()),
        }
    }

    fn start(&self, arguments: &[&str], input: Stdio) -> Result<Child> {
        let mut command: Command = program(&self.path);
        command.args(&self.arguments).args(arguments);
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|source| Error::io("start", &self.path, source))
    }

    /// Does `work` while what the program says is read, and waits for its end.
    fn wait(&self, child: &mut Child, work: impl FnOnce() -> Result<()>) -> Result<(EndedProgram, Result<()>)> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (answer, complaint, worked) = thread::scope(|scope| {
            let read = |pipe: Option<Box<dyn Read + Send>>, most: usize, keeps_end: bool| {
                let pipe = pipe.unwrap_or_else(|| Box::new(io::empty()));
                thread::Builder::new().spawn_scoped(scope, move || kept(pipe, most, keeps_end))
            };
            let answer = read(stdout.map(|pipe| Box::new(pipe) as _), LONGEST_ANSWER, false);
            let complaint = read(stderr.map(|pipe| Box::new(pipe) as _), LONGEST_COMPLAINT, true);
            let worked = work();
            let of = |thread: io::Result<thread::ScopedJoinHandle<'_, Vec<u8>>>| {
                thread.map(|thread| thread.join().unwrap_or_default())
            };
            (of(answer), of(complaint), worked)
        });
        let failed = |source| Error::io("run", &self.path, source);
        let status = child.wait().map_err(failed)?;
        Ok((EndedProgram { status, answer: answer.map_err(failed)?, complaint: complaint.map_err(failed)? }, worked))
    }

    fn succeed(&self, kind: EngineKind, arguments: &[&str], ended: &EndedProgram) -> Result<()> {
        if ended.status.success() {
            return Ok(());
        }
        // Some complain where they answer.
        let said = if ended.complaint.trim_ascii().is_empty() { &ended.answer } else { &ended.complaint };
        let said = String::from_utf8_lossy(said);
        let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|line| (*line).to_owned()).collect();
        let command = [self.path.to_string_lossy().as_ref(), &arguments.join(" ")].join(" ");
        let error = Error::new(ErrorKind::Io, format!("{kind} did not take the image: {command}: {}", ended.status));
        Err(error.with_details(last).with_hint(hint(kind, &said)))
    }
}

/// Returns what to do about an engine that has said this.
fn hint(kind: EngineKind, said: &str) -> String {
    let says = |words: &str| said.to_lowercase().contains(words);
    if says("no space left") {
        return format!("{kind} has no space left for the image: remove some that are not needed");
    }
    if says("permission denied") {
        return match kind {
            EngineKind::Containerd => "containerd's socket is root's: run this as root, or load into podman".to_owned(),
            _ => format!("this user may not use {kind}: run this as one who may, or load into podman"),
        };
    }
    format!("{kind} says why; `-o FILE` writes an archive to try it by hand")
}

/// Reads all that comes, and returns the beginning or the end of it.
fn kept(mut pipe: Box<dyn Read + Send>, most: usize, keeps_end: bool) -> Vec<u8> {
    let mut kept = VecDeque::new();
    let mut buffer = [0; 8 << 10];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) if keeps_end => {
                kept.extend(&buffer[..count]);
                let surplus = kept.len().saturating_sub(most);
                kept.drain(..surplus);
            }
            Ok(count) => kept.extend(&buffer[..count.min(most - kept.len())]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    kept.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> EngineProgram {
        let arguments = vec!["-c".to_owned(), script.to_owned()];
        EngineProgram { path: "/bin/sh".into(), arguments, cluster: None }
    }

    #[test]
    fn what_a_program_says_last_is_told() {
        let failed = shell("for n in 1 2 3 4 5 6 7 8; do echo line $n >&2; done; exit 3");
        let error = failed.tell(EngineKind::Podman, &[]).unwrap_err();
        assert!(error.message.contains("podman did not take the image") && error.message.contains("exit status: 3"));
        assert_eq!(error.details.first().unwrap(), "line 3");
        assert_eq!(error.details.last().unwrap(), "line 8");
        assert_eq!(failed.ask(&[]).unwrap(), None);
        assert_eq!(shell("echo $0").ask(&["answer"]).unwrap().unwrap(), "answer\n");
    }

    #[test]
    fn a_program_that_stops_reading_says_why() {
        use std::io::Write;
        let write = |mut sink: Sink| -> Result<()> {
            let written = (0..1000).try_for_each(|_| sink.write_all(&[0; 4096]));
            written.map_err(|source| Error::io("write", "the archive", source))
        };
        let error = shell("echo enough >&2; exit 1").feed(EngineKind::Podman, &[], write).unwrap_err();
        assert_eq!(error.details, ["enough"]);
        // One that has what it wants need not read the rest.
        shell("exit 0").feed(EngineKind::Podman, &[], write).unwrap();
        shell("cat >/dev/null").feed(EngineKind::Podman, &[], write).unwrap();
        let failing = |_: Sink| Err(Error::integrity("the layer is damaged"));
        let error = shell("cat >/dev/null").feed(EngineKind::Podman, &[], failing).unwrap_err();
        assert_eq!(error.message, "the layer is damaged");
    }

    #[test]
    fn of_much_that_is_said_a_part_is_kept() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
        let read = |keeps_end| kept(Box::new(io::Cursor::new(bytes.clone())), 1000, keeps_end);
        assert_eq!(read(false), bytes[..1000]);
        assert_eq!(read(true), bytes[99_000..]);
    }
}

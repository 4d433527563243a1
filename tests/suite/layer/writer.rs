//! Several layers written at once: one that ends does so alone, and all end with their writer.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use ocibake::layer::{Compression, Job, Writer};
use ocibake::progress::silent;

use crate::support::entry::{file, write, write_all};
use crate::support::noise::noise;

/// A sink that takes so many bytes and then fails.
struct Full(usize, Vec<u8>);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.1.len() + bytes.len() > self.0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink that says when it is written to, and takes nothing until it may.
struct Waiting {
    reached: Sender<()>,
    may_go_on: Receiver<()>,
}

impl Write for Waiting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Who waits for the first time is enough.
        let _ = self.reached.send(());
        let _ = self.may_go_on.recv();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_layer_that_fails_leaves_the_others_alone() {
    let large = [file("large", noise(1, 12 << 20))];
    let other = [file("other", noise(2, 12 << 20))];
    let compression = Compression::Gzip(1);
    for threads in [1, 2, 8] {
        let layers = vec![(Full(5 << 20, Vec::new()), &large[..]), (Full(usize::MAX, Vec::new()), &other[..])];
        let written = write_all(layers, compression, threads);
        let error = written[0].as_ref().map(drop).unwrap_err();
        assert!(error.message.contains("the sink"), "{error:?}");
        let whole = written[1].as_ref().unwrap();
        let alone = write(&other, compression, 1);
        assert!(whole.sink.1 == alone.sink, "{threads} threads");
        assert_eq!((whole.digest, whole.diff_id, whole.size), (alone.digest, alone.diff_id, alone.size));
    }
}

#[test]
fn what_is_not_written_fails_with_its_writer() {
    let writer = Writer::new(Compression::None, 1, &silent);
    let (reached, is_reached) = channel();
    let (go_on, may_go_on) = channel();
    let job = |number, sink| Job {
        number,
        title: "test",
        entries: Arc::new(vec![file("a", noise(1, 1 << 20))]),
        sink,
        destination: Path::new("the sink"),
        earlier: None,
    };
    let first = job(0, Waiting { reached, may_go_on });
    thread::scope(|scope| {
        scope.spawn(|| writer.serve());
        let writing = scope.spawn(|| writer.write(first));
        is_reached.recv().unwrap();
        writer.close();
        // The thread that serves is still in the sink.
        let error = writing.join().unwrap().map(drop).unwrap_err();
        assert!(error.message.contains("given up"), "{error:?}");
        let (reached, _) = channel();
        let (_, may_go_on) = channel();
        assert!(writer.write(job(1, Waiting { reached, may_go_on })).is_err(), "it takes no more");
        drop(go_on);
    });
}

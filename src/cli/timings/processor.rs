//! How much of the processors this program and its commands use, as time goes by.

use std::fs;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use rustix::param::clock_ticks_per_second;

use crate::sync::locked;

/// How often it is looked at first. Where there are too many samples, each second one goes, and it is looked half as often.
const INTERVAL: Duration = Duration::from_millis(100);
const MOST_SAMPLES: usize = 1200;

/// So many processes are looked at each time.
const MOST_PROCESSES: usize = 4096;

/// So deep processes are looked for below others.
const DEEPEST: usize = 64;

/// Looks again and again at what is used, until it goes.
pub struct ProcessorSampler {
    samples: Arc<Mutex<Vec<ProcessorSample>>>,
    began: Instant,
    /// The thread ends with it.
    _sampling: Option<Sender<()>>,
}

/// The time of all processors that was used up to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessorSample {
    /// Since the beginning.
    pub at: Duration,
    pub used: Duration,
}

impl ProcessorSampler {
    /// Begins to look. Without a thread for that there are fewer samples, that is all.
    pub fn start(began: Instant) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let mut sampler = ProcessorSampler { samples, began, _sampling: None };
        sampler.look();
        let (sender, over) = channel::<()>();
        let (samples, mut interval) = (sampler.samples.clone(), INTERVAL);
        let sample = move || {
            while let Err(RecvTimeoutError::Timeout) = over.recv_timeout(interval) {
                let samples = &mut *locked(&samples);
                add(samples, began);
                if samples.len() >= MOST_SAMPLES {
                    thin_out(samples);
                    interval *= 2;
                }
            }
        };
        let started = Builder::new().name("processors".to_owned()).spawn(sample);
        sampler._sampling = started.ok().map(|_| sender);
        sampler
    }

    /// Returns what there is up to now: less what had been used when it began, in the order of time, and never less than
    /// before. None where the system does not say.
    pub fn look(&self) -> Vec<ProcessorSample> {
        let mut samples = locked(&self.samples);
        add(&mut samples, self.began);
        let first = samples.first().map_or(Duration::ZERO, |first| first.used);
        samples.iter().map(|sample| ProcessorSample { used: sample.used.saturating_sub(first), ..*sample }).collect()
    }

    /// Returns the number of processors that this program may use.
    pub fn processors() -> usize {
        thread::available_parallelism().map_or(1, usize::from)
    }
}

fn add(samples: &mut Vec<ProcessorSample>, began: Instant) {
    let least = samples.last().map_or(Duration::ZERO, |last| last.used);
    if let Some(used) = used() {
        samples.push(ProcessorSample { at: began.elapsed(), used: used.max(least) });
    }
}

fn thin_out(samples: &mut Vec<ProcessorSample>) {
    let mut number = 0;
    samples.retain(|_| {
        number += 1;
        number % 2 == 1
    });
}

/// Returns the time that this process and all below it have used, those that have ended among them.
fn used() -> Option<Duration> {
    let mut ticks = ticks(&fs::read_to_string("/proc/self/stat").ok()?)?;
    let mut left: Vec<(String, usize)> = vec![("self".to_owned(), 0)];
    let mut seen = 0;
    while let Some((process, depth)) = left.pop() {
        for child in children(&process) {
            seen += 1;
            if seen > MOST_PROCESSES || depth >= DEEPEST {
                break;
            }
            let stat = fs::read_to_string(format!("/proc/{child}/stat"));
            ticks += stat.ok().and_then(|stat| self::ticks(&stat)).unwrap_or_default();
            left.push((child, depth + 1));
        }
    }
    Some(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second().max(1) as f64))
}

/// The processes that the threads of `process` have started and that are there.
fn children(process: &str) -> Vec<String> {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return Vec::new() };
    let children = threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    children.flat_map(|children| children.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

/// The ticks of a process and of those that it has waited for: `utime`, `stime`, `cutime` and `cstime` of proc_pid_stat(5).
fn ticks(stat: &str) -> Option<u64> {
    // The name of the program may hold anything, but for what follows the last parenthesis.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    fields.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn ticks_are_read_whatever_a_program_is_called() {
        let stat = "42 (a) R 9 (b) S 1 2 3 4 5 6 7 8 9 10 100 20 3000 400 20 0 1 0\n";
        assert_eq!(ticks(stat), Some(3520));
        assert_eq!(ticks("42 (a) S 1"), None);
        assert_eq!(ticks("42 (a) S 1 2 3 4 5 6 7 8 9 10 100 -20 3000 400"), None);
    }

    #[test]
    fn what_a_child_uses_counts_while_it_runs_and_afterwards() {
        let sampler = ProcessorSampler::start(Instant::now());
        let mut child = Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("there is a shell");
        let since = |used: Duration| sampler.look().last().is_some_and(|last| last.used >= used);
        let (wanted, patience) = (Duration::from_millis(200), Instant::now());
        while !since(wanted) {
            assert!(patience.elapsed() < Duration::from_secs(60), "{:?}", sampler.look());
            thread::sleep(Duration::from_millis(20));
        }
        child.kill().and_then(|()| child.wait()).expect("it runs");
        let samples = sampler.look();
        assert!(samples.is_sorted_by_key(|sample| sample.used), "{samples:?}");
        assert!(samples[samples.len() - 1].used >= wanted);
    }

    #[test]
    fn samples_are_thinned_out_evenly() {
        let sample = |seconds| ProcessorSample { at: Duration::from_secs(seconds), used: Duration::ZERO };
        let mut samples: Vec<ProcessorSample> = (0..5).map(sample).collect();
        thin_out(&mut samples);
        assert_eq!(samples, [sample(0), sample(2), sample(4)]);
    }
}

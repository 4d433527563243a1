//! The steps that a build has waited for, one after the other: had one of them been quicker, the whole would have been.

use std::time::Duration;

use super::recording::{Recording, TimedPart};

/// What ends so shortly before or behind something may have let it begin.
const MOMENT: Duration = Duration::from_millis(2);

/// A stretch of time in which nothing else was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CriticalStretch {
    pub work: CriticalWork,
    pub began: Duration,
    pub ended: Duration,
    /// The time of it for which nothing but a thread was missing.
    pub waited: Duration,
}

/// What is done in a critical stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CriticalWork {
    /// What was to be done before any step.
    Before,
    /// The step at this place among all.
    Step(usize),
    /// What was done behind the last step.
    After,
}

/// Returns what was waited for until the `end`, in the order of time: without gaps, from the beginning on.
pub fn critical_path(recording: &Recording, end: Duration) -> Vec<CriticalStretch> {
    let mut path: Vec<CriticalStretch> = Vec::new();
    let ends = ends(recording);
    let mut until = end;
    let mut next = last(recording, end);
    while let Some((number, part)) = next {
        let ended = part.ended.unwrap_or(end).min(until);
        if path.is_empty() && ended < until {
            path.push(CriticalStretch {
                work: CriticalWork::After,
                began: ended,
                ended: until,
                waited: Duration::ZERO,
            });
        }
        let began = part.ready.min(until);
        let before = before(recording, &ends, number, part);
        // What lies between is put down to the later one: nobody else is known to have been waited for.
        let from = before.map_or(began, |(_, before)| before.ended.unwrap_or(began).min(began)).min(ended);
        let waited = part.began.saturating_sub(part.ready);
        match path.last_mut() {
            Some(last) if last.work == CriticalWork::Step(number) => {
                (last.began, last.waited) = (from, last.waited + waited);
            }
            _ => path.push(CriticalStretch {
                work: CriticalWork::Step(number),
                began: from,
                ended: until.min(ended),
                waited,
            }),
        }
        until = from;
        next = before;
    }
    if until > Duration::ZERO {
        path.push(CriticalStretch {
            work: CriticalWork::Before,
            began: Duration::ZERO,
            ended: until,
            waited: Duration::ZERO,
        });
    }
    path.reverse();
    path
}

/// The part that ended last, or that has ended it all.
fn last(recording: &Recording, end: Duration) -> Option<(usize, TimedPart)> {
    let of_step = |number: usize| recording.steps[number].parts.iter().map(move |part| (number, *part));
    let ended = |(_, part): &(usize, TimedPart)| part.ended.unwrap_or(end);
    match recording.failed() {
        Some(failed) => of_step(failed).max_by_key(ended),
        None => (0..recording.steps.len()).flat_map(of_step).max_by_key(ended),
    }
}

/// All parts that have ended, in the order of their ends.
fn ends(recording: &Recording) -> Vec<(usize, TimedPart)> {
    let steps = recording.steps.iter().enumerate();
    let parts = steps.flat_map(|(number, step)| step.parts.iter().map(move |part| (number, *part)));
    let mut ends: Vec<(usize, TimedPart)> = parts.filter(|(_, part)| part.ended.is_some()).collect();
    ends.sort_by_key(|(_, part)| part.ended);
    ends
}

/// The part whose end has let `part`, of the step `number`, begin.
fn before(
    recording: &Recording,
    ends: &[(usize, TimedPart)],
    number: usize,
    part: TimedPart,
) -> Option<(usize, TimedPart)> {
    let step = &recording.steps[number];
    let parts = |number: usize| recording.steps[number].parts.iter().map(move |part| (number, *part));
    let has_let = |(_, other): &(usize, TimedPart)| {
        // Each began before, so that the way leads back.
        other.began < part.began && other.ended.is_some_and(|ended| ended <= part.ready + MOMENT && ended <= part.began)
    };
    let is_now = |other: &TimedPart| other.ended.is_some_and(|ended| ended + MOMENT >= part.ready);
    let near = step.stands_on.iter().copied().chain([number]).filter(|near| *near < recording.steps.len());
    let near = near.flat_map(parts).filter(has_let).max_by_key(|(_, part)| part.ended);
    if near.is_some_and(|(_, near)| is_now(&near)) {
        return near;
    }
    // A step that stands on it may have asked for it late; and a second build begins when the first one is over.
    let behind = ends.partition_point(|(_, other)| other.ended <= Some(part.ready + MOMENT));
    let mut others = ends[..behind].iter().rev().copied().take_while(|(_, other)| step.plan > 1 || is_now(other));
    let is_at_hand = |(other, known): &(usize, TimedPart)| is_now(known) || recording.steps[*other].plan < step.plan;
    others.find(|other| has_let(other) && is_at_hand(other)).or(near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::timings::recording::TimedStep;
    use crate::progress::StepPart;

    const fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn part(part: StepPart, ready: u64, began: u64, ended: u64) -> TimedPart {
        TimedPart { part, worker: 0, ready: at(ready), began: at(began), ended: Some(at(ended)), is_broken: false }
    }

    fn step(stands_on: &[usize], parts: &[TimedPart]) -> TimedStep {
        TimedStep { stands_on: stands_on.to_vec(), parts: parts.to_vec(), plan: 1, ..TimedStep::default() }
    }

    fn recorded(steps: Vec<TimedStep>) -> Recording {
        let mut recording = Recording::default();
        recording.steps.extend(steps);
        recording
    }

    fn told(recording: &Recording, end: u64) -> Vec<(CriticalWork, u64, u64, u64)> {
        let path = critical_path(recording, at(end));
        let milliseconds = |time: Duration| time.as_millis() as u64;
        path.iter()
            .map(|one| (one.work, milliseconds(one.began), milliseconds(one.ended), milliseconds(one.waited)))
            .collect()
    }

    use CriticalWork::{After, Before, Step};
    use StepPart::{Change, Files, Layer, Mark};

    /// 0 is the base; 1 and 2 stand on it, 3 takes from both, and 2 takes longer.
    fn diamond() -> Recording {
        let steps = vec![
            step(&[], &[part(Mark, 100, 100, 100), part(Files, 105, 105, 400)]),
            step(&[0], &[part(Mark, 100, 100, 101), part(Change, 400, 400, 600), part(Files, 600, 600, 601)]),
            step(&[0], &[part(Mark, 100, 100, 102), part(Change, 400, 450, 2000), part(Files, 2000, 2000, 2010)]),
            step(&[1, 2], &[part(Mark, 102, 102, 105), part(Change, 2010, 2010, 2500), part(Layer, 2500, 2600, 3000)]),
        ];
        recorded(steps)
    }

    #[test]
    fn the_way_leads_over_what_ended_last() {
        let expected = [
            (Before, 0, 100, 0),
            (Step(2), 100, 102, 0),
            (Step(3), 102, 105, 0),
            // The base was asked for once it was known that the last step is to be done.
            (Step(0), 105, 400, 0),
            (Step(2), 400, 2010, 50),
            (Step(3), 2010, 3000, 100),
            (After, 3000, 3400, 0),
        ];
        assert_eq!(told(&diamond(), 3400), expected);
    }

    #[test]
    fn what_failed_is_the_end_of_the_way() {
        let mut recording = diamond();
        recording.steps[1].parts[1].is_broken = true;
        let told = told(&recording, 3000);
        assert_eq!(told[told.len() - 1].0, After);
        assert_eq!(told[told.len() - 2].0, Step(1), "{told:?}");
        let mut none = Recording::default();
        assert_eq!(self::told(&none, 7), [(Before, 0, 7, 0)]);
        none.steps.push(TimedStep::default());
        assert_eq!(self::told(&none, 7), [(Before, 0, 7, 0)]);
        assert_eq!(self::told(&none, 0), []);
    }

    #[test]
    fn a_way_has_no_gap_and_comes_to_an_end_whatever_was_recorded() {
        // Times of a clock that nobody has looked after, and steps that stand on each other.
        let mut state = 9_u64;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        for _ in 0..300 {
            let count = next(8);
            let steps = (0..count).map(|_| {
                let mut times = || {
                    let mut times = [next(50), next(50), next(50)];
                    times.sort_unstable();
                    part(Change, times[0], times[1], times[2])
                };
                let parts: Vec<TimedPart> = [times(), times(), times()].into();
                let on: Vec<usize> = (0..next(4)).map(|_| next(9) as usize).collect();
                step(&on, &parts)
            });
            let recording = recorded(steps.collect());
            let path = critical_path(&recording, at(50));
            assert_eq!(path.first().map(|one| one.began), Some(at(0)), "{path:?}");
            assert_eq!(path.last().map(|one| one.ended), Some(at(50)), "{path:?}");
            assert!(path.iter().all(|one| one.began <= one.ended), "{path:?}");
            assert!(path.windows(2).all(|two| two[0].ended == two[1].began), "{path:?}");
        }
    }
}

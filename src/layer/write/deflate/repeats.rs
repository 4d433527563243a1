//! Finds bytes that have been there before.
//!
//! Positions are entered group by group, before any of the group is asked for: without a branch that could be foreseen
//! wrongly, which is what makes it fast. What is entered leads from each position to the last before it that has the same
//! hash, and on from there.

use super::plain::{Plain, Surrounded};
use super::symbols::WINDOW;

/// Where what stands at a position may have been before. Positions are kept modulo 2^16; whatever they lead to is
/// compared before it counts, so what is left of those that are out of reach does no harm.
pub struct Repeats {
    /// By a hash of four bytes, and of eight, the last position of such.
    last_four: Box<[u16; 1 << 16]>,
    last_eight: Box<[u16; 1 << 16]>,
    /// By position.
    previous: Box<[Previous; WINDOW]>,
    /// All before this position are entered.
    entered: usize,
    /// The marks of the group before it, a bit for each position at which a repeat has been found on entering.
    found: u64,
    /// Repeats of less than eight bytes are left out from here on.
    pub long_alone: bool,
}

/// The last position before one that has the same hash of four bytes, and of eight.
#[derive(Clone, Copy, Default)]
struct Previous {
    four: u16,
    eight: u16,
}

/// A length and a distance; there is none if the distance is 0.
#[derive(Debug, Clone, Copy)]
pub struct Repeat {
    pub length: usize,
    pub distance: usize,
}

/// How hard to look.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Places to look at that have the same hash of eight bytes; at least 1.
    pub eights: u32,
    /// And of four, if there are none of eight; at least 1.
    pub fours: u32,
    /// A length that is good enough to look no further.
    pub enough: usize,
    /// A length that is good enough not to look for a longer one at the next position.
    pub patience: usize,
}

/// Positions that are entered in one go.
const GROUP: usize = 64;

impl Repeats {
    pub fn new() -> Self {
        Repeats {
            last_four: filled(0),
            last_eight: filled(0),
            previous: filled(Previous::default()),
            entered: 0,
            found: 0,
            long_alone: false,
        }
    }

    /// Forgets all, for another piece.
    pub fn clear(&mut self) {
        // The rest is not looked at before it is entered.
        self.last_four.fill(0);
        self.last_eight.fill(0);
        self.entered = 0;
        self.long_alone = false;
    }

    /// Returns the first position from `from` on at which a repeat begins, or `end`.
    #[inline(always)]
    pub fn next(&mut self, plain: &Surrounded, from: usize, end: usize) -> usize {
        let mut at = from;
        while at < end {
            self.enter_up_to(plain, at);
            let found = self.found >> (at % GROUP);
            if found != 0 {
                return end.min(at + found.trailing_zeros() as usize);
            }
            at = (at / GROUP + 1) * GROUP;
        }
        end
    }

    /// Returns whether a repeat begins at `at`.
    #[inline(always)]
    pub fn is_at(&mut self, plain: &Surrounded, at: usize) -> bool {
        self.enter_up_to(plain, at);
        self.found >> (at % GROUP) & 1 != 0
    }

    /// Returns the longest repeat that is found at `at`, an entered position with eight bytes from there on, if it is longer than
    /// `floor`, which is 3 or more; at most `limit` bytes.
    #[inline(always)]
    pub fn longest(&self, plain: &Surrounded, at: usize, floor: usize, limit: usize, effort: Effort) -> Repeat {
        let mut repeat = Repeat { length: floor, distance: 0 };
        if floor >= limit {
            return repeat;
        }
        let reach = at.min(WINDOW);
        let word = eight_bytes(plain, at);
        let previous = self.previous[at % WINDOW];
        let mut distance = distance_to(at, previous.eight);
        if eight_bytes(plain, at - distance) == word {
            let length = common(plain, at - distance, at, 8, limit);
            if length > floor {
                repeat = Repeat { length, distance };
            }
            let enough = effort.enough.min(limit);
            let mut tries = effort.eights;
            while repeat.length < enough && tries > 1 {
                tries -= 1;
                let farther = distance + distance_to(at - distance, self.previous[(at - distance) % WINDOW].eight);
                distance = if farther > reach { distance } else { farther };
                let tail = repeat.length - 3;
                if four_bytes(plain, at - distance + tail) == four_bytes(plain, at + tail) {
                    let length = common(plain, at - distance, at, 0, limit);
                    if length > repeat.length {
                        repeat = Repeat { length, distance };
                    }
                }
            }
        } else if floor < 7 {
            let mut distance = distance_to(at, previous.four);
            let mut tries = effort.fours;
            while tries > 0 && distance <= reach {
                let difference = eight_bytes(plain, at - distance) ^ word;
                let length = match difference {
                    0 => common(plain, at - distance, at, 8, limit),
                    _ => (difference.trailing_zeros() / 8) as usize,
                };
                let is_longer = length > repeat.length;
                // Chosen, not branched to: nobody can foresee it.
                repeat.length = if is_longer { length } else { repeat.length };
                repeat.distance = if is_longer { distance } else { repeat.distance };
                tries -= 1;
                distance += distance_to(at - distance, self.previous[(at - distance) % WINDOW].four);
            }
        }
        repeat
    }

    #[inline(always)]
    fn enter_up_to(&mut self, plain: &Surrounded, at: usize) {
        while at >= self.entered {
            // A group that a long repeat has passed over is not asked for.
            let is_asked_for = at < self.entered + GROUP;
            match (self.long_alone, is_asked_for) {
                (false, true) => self.enter::<true, true>(plain),
                (false, false) => self.enter::<true, false>(plain),
                (true, true) => self.enter::<false, true>(plain),
                (true, false) => self.enter::<false, false>(plain),
            }
        }
    }

    /// Enters the next group, by the hash of four bytes too if `FOURS`. If `FINDS`, it looks for repeats of four bytes, or
    /// else of eight: those of the last position with the same hash.
    #[inline(never)]
    fn enter<const FOURS: bool, const FINDS: bool>(&mut self, plain: &Surrounded) {
        let start = self.entered;
        // As arrays, so that no index needs to be checked.
        let near: &[u8; WINDOW + GROUP + 8] = part(plain, start);
        let (groups, _) = self.previous.as_chunks_mut::<GROUP>();
        let previous = &mut groups[start % WINDOW / GROUP];
        let mut same = [0; GROUP];
        for nth in 0..GROUP {
            let here = WINDOW + nth;
            let word: &[u8; 8] = part(near, here);
            let bytes = u64::from_le_bytes(*word);
            let at = (start + nth) as u16;
            let four = if FOURS { std::mem::replace(&mut self.last_four[hash(bytes << 32)], at) } else { at };
            let eight = std::mem::replace(&mut self.last_eight[hash(bytes)], at);
            previous[nth] = Previous { four, eight };
            if FINDS {
                let there = here - distance_to(usize::from(at), if FOURS { four } else { eight });
                let length = if FOURS { 4 } else { 8 };
                same[nth] = u8::from(near[there..there + length] == word[..length]);
            }
        }
        let mut found = 0;
        for (nth, eight) in same.as_chunks().0.iter().enumerate() {
            // The multiplication brings the lowest bits of eight bytes together in the highest byte.
            found |= (u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * nth);
        }
        // Before the first byte there is nothing.
        self.found = if start == 0 { found & !1 } else { found };
        self.entered += GROUP;
    }
}

/// Returns four bytes of the piece in `plain`.
#[inline(always)]
pub fn four_bytes(plain: &Surrounded, at: usize) -> u32 {
    u32::from_le_bytes(*part(plain, WINDOW + at % Plain::LONGEST))
}

/// Returns eight bytes of the piece in `plain`.
#[inline(always)]
pub fn eight_bytes(plain: &Surrounded, at: usize) -> u64 {
    u64::from_le_bytes(*part(plain, WINDOW + at % Plain::LONGEST))
}

/// How many bytes are the same from `a` and from `b` on, of which `known` are known to be; at most `limit`.
#[inline(always)]
fn common(plain: &Surrounded, a: usize, b: usize, known: usize, limit: usize) -> usize {
    let mut length = known;
    while length < limit {
        let difference = eight_bytes(plain, a + length) ^ eight_bytes(plain, b + length);
        if difference != 0 {
            return limit.min(length + (difference.trailing_zeros() / 8) as usize);
        }
        length += 8;
    }
    limit
}

/// From `at` back to the nearest position that is `previous` modulo the window: 1 to [`WINDOW`], and never beyond the
/// first byte if `previous` was entered before `at`, which is not 0.
#[inline(always)]
fn distance_to(at: usize, previous: u16) -> usize {
    usize::from((at as u16).wrapping_sub(previous).wrapping_sub(1)) % WINDOW + 1
}

#[inline(always)]
fn hash(word: u64) -> usize {
    (word.wrapping_mul(0x9e37_79b1_85eb_ca87) >> 48) as usize
}

#[inline(always)]
fn part<const N: usize>(bytes: &[u8], at: usize) -> &[u8; N] {
    bytes[at..at + N].try_into().expect("so many bytes are asked for")
}

fn filled<T: Clone, const N: usize>(value: T) -> Box<[T; N]> {
    let values = vec![value; N].into_boxed_slice();
    values.try_into().unwrap_or_else(|_| unreachable!("it has this length"))
}

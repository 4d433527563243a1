//! The encoder: it finds repeats and cuts what it finds into blocks.

use super::bits::BitWriter;
use super::block::{BlockContent, Sequence, write_block};
use super::cost::{Worth, are_better_apart};
use super::plain::{Plain, Surrounded};
use super::repeats::{Effort, Repeat, Repeats, eight_bytes};
use super::symbols::{Counts, LONGEST, SHORTEST, WINDOW, distance_symbol};

/// Writes deflate streams: repeats are taken where no better one begins a byte later, and blocks end where the symbols
/// change.
///
/// The bytes depend on the piece and the effort alone.
pub struct Encoder {
    effort: Effort,
    repeats: Repeats,
    /// By a hash of three bytes, the last position of such, modulo 2^16.
    last_three: Box<[u16; 1 << 13]>,
    /// The sequences of the blocks that are not written.
    sequences: Vec<Sequence>,
}

/// The symbols of a part of the piece that become a block.
struct Block {
    start: usize,
    end: usize,
    counts: Counts,
    sequences: usize,
}

/// So many bytes are looked at together when it is decided where a block ends.
const PART: usize = 8 << 10;

/// About the longest a block gets, in bytes.
const LONGEST_BLOCK: usize = 300_000;

/// The last bytes are literals, so that eight of them can be read from all other positions, and the next one.
const TAIL: usize = 12;

impl Encoder {
    pub fn new(effort: Effort) -> Self {
        Encoder { effort, repeats: Repeats::new(), last_three: Box::new([0; 1 << 13]), sequences: Vec::new() }
    }

    /// Writes the blocks of `piece`; the last of them is the stream's if `is_whole`.
    pub fn encode(&mut self, piece: &Plain, out: &mut BitWriter<'_>, is_whole: bool) {
        self.repeats.clear();
        self.last_three.fill(0);
        let plain = piece.surrounded();
        let mut block = Block { start: 0, end: 0, counts: Counts::NONE, sequences: 0 };
        let mut worth = Worth::USUAL;
        let mut start = 0;
        while start < piece.len() {
            let mut counts = Counts::NONE;
            let end = self.part(plain, start, piece.len(), &worth, &mut counts);
            if block.end > 0 && (block.end - block.start >= LONGEST_BLOCK || are_better_apart(&block.counts, &counts)) {
                self.write(plain, &block, out, false);
                block = Block { start, end, counts, sequences: self.sequences.len() };
            } else {
                block.end = end;
                block.counts.add(&counts);
                block.sequences = self.sequences.len();
            }
            worth = Worth::of(&block.counts);
            self.repeats.long_alone = worth.long_alone;
            start = end;
        }
        self.write(plain, &block, out, is_whole);
    }

    /// Writes `block`, whose sequences are the first.
    fn write(&mut self, plain: &Surrounded, block: &Block, out: &mut BitWriter<'_>, is_final: bool) {
        let Block { start, end, counts, sequences } = block;
        let sequences = self.sequences.drain(..*sequences);
        let content = BlockContent { counts, sequences: sequences.as_slice(), plain, start: *start, end: *end };
        write_block(out, &content, is_final);
    }

    /// Makes sequences of about [`PART`] bytes from `start` on and counts their symbols. Returns where they end.
    fn part(&mut self, plain: &Surrounded, start: usize, length: usize, worth: &Worth, counts: &mut Counts) -> usize {
        let effort = self.effort;
        let end = length.saturating_sub(TAIL);
        let stop = end.min(start + PART);
        // Up to here everything is in sequences.
        let mut done = start;
        let mut at = start;
        while at < stop {
            at = self.repeats.next(plain, at, stop);
            if at >= stop {
                break;
            }
            let mut repeat = self.repeats.longest(plain, at, SHORTEST, LONGEST.min(length - at), effort);
            if repeat.distance == 0 || repeat.length < usize::from(worth.least[distance_symbol(repeat.distance)]) {
                at += 1;
                continue;
            }
            while repeat.length < effort.patience && at + 1 < end && self.repeats.is_at(plain, at + 1) {
                let floor = repeat.length.max(4) - 1;
                let next = self.repeats.longest(plain, at + 1, floor, LONGEST.min(length - at - 1), effort);
                if next.distance == 0 || !is_better(next, repeat) {
                    break;
                }
                at += 1;
                repeat = next;
            }
            while at > done && repeat.length < LONGEST && begins_earlier(plain, at, repeat.distance) {
                at -= 1;
                repeat.length += 1;
            }
            done = self.literals(plain, done, at, worth.farthest_of_three, counts);
            counts.count_repeat(repeat.length, repeat.distance);
            self.push(at - done, repeat);
            for near in at..at + SHORTEST {
                self.last_three[hash(eight_bytes(plain, near))] = near as u16;
            }
            at += repeat.length;
            done = at;
        }
        let end = if stop == end { length } else { at.max(stop) };
        done = self.literals(plain, done, end, worth.farthest_of_three, counts);
        if done < end {
            self.push(end - done, Repeat { length: 0, distance: 0 });
        }
        end
    }

    /// Counts the bytes between two repeats, which are literals but where three are worth repeating; those become
    /// sequences. Returns where the last of these ends.
    #[inline(always)]
    fn literals(&mut self, plain: &Surrounded, from: usize, to: usize, farthest: usize, counts: &mut Counts) -> usize {
        if farthest == 0 {
            plain[WINDOW + from..WINDOW + to].iter().for_each(|literal| counts.count_literal(*literal));
            return from;
        }
        let (mut done, mut at) = (from, from);
        while at + SHORTEST <= to {
            let word = eight_bytes(plain, at);
            let last = std::mem::replace(&mut self.last_three[hash(word)], at as u16);
            let distance = usize::from((at as u16).wrapping_sub(last));
            // Of a distance of 0 this makes the greatest number.
            if distance.wrapping_sub(1) < farthest && (eight_bytes(plain, at - distance) ^ word) << 40 == 0 {
                counts.count_repeat(SHORTEST, distance);
                self.push(at - done, Repeat { length: SHORTEST, distance });
                at += SHORTEST;
                done = at;
            } else {
                counts.count_literal(word as u8);
                at += 1;
            }
        }
        for at in at..to {
            let word = eight_bytes(plain, at);
            self.last_three[hash(word)] = at as u16;
            counts.count_literal(word as u8);
        }
        done
    }

    #[inline(always)]
    fn push(&mut self, literals: usize, Repeat { length, distance }: Repeat) {
        let (length, distance) = (length as u16, distance as u16);
        self.sequences.push(Sequence { literals: literals as u32, length, distance });
    }
}

/// Returns whether `next`, a byte later, is worth the literal.
#[inline(always)]
fn is_better(next: Repeat, repeat: Repeat) -> bool {
    let longer = next.length as i32 - repeat.length as i32;
    let nearer = repeat.distance.ilog2() as i32 - next.distance.ilog2() as i32;
    longer >= 0 && 4 * longer + nearer > 2
}

/// Returns whether the byte before `at` is repeated as well.
#[inline(always)]
fn begins_earlier(plain: &Surrounded, at: usize, distance: usize) -> bool {
    let byte = |at: usize| plain[WINDOW + at % Plain::LONGEST];
    at > distance && byte(at - 1) == byte(at - 1 - distance)
}

/// Returns the hash of the first three bytes of `word`.
#[inline(always)]
fn hash(word: u64) -> usize {
    ((word as u32) << 8).wrapping_mul(0x9e37_79b1) as usize >> 19
}

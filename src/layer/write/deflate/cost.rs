//! What symbols cost, in sixteenths of a bit: it decides where a block ends and which repeats are worth their bits.
//! Integers alone, so that every machine decides the same.

use super::symbols::{Counts, END_OF_BLOCK, SHORTEST, WINDOW, distance_base, distance_extra};

/// Returns whether symbols that occur as in `block`, and behind it as in `next`, are shorter in two blocks than in one.
pub fn are_better_apart(block: &Counts, next: &Counts) -> bool {
    let mut joined = block.clone();
    joined.add(next);
    cost(block) + cost(next) + HEADER < cost(&joined)
}

/// Which repeats are shorter than the literals that they stand for.
pub struct Worth {
    /// The least length, by the symbol of the distance.
    pub least: [u8; 32],
    /// The greatest distance at which three bytes are worth it.
    pub farthest_of_three: usize,
    /// Repeats of four bytes hardly ever are shorter: literals are cheap, as in digits.
    pub long_alone: bool,
}

impl Worth {
    /// In data of which nothing is known.
    pub const USUAL: Worth = Worth {
        least: [3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4],
        farthest_of_three: 4096,
        long_alone: false,
    };

    /// Returns what symbols cost where they occur as in `counts`.
    pub fn of(counts: &Counts) -> Self {
        let (literals, lengths) = counts.literals.split_at(END_OF_BLOCK);
        let (literal_count, length_count) = (sum(literals), sum(lengths));
        let all = logarithm(literal_count + length_count + 1);
        let average = |counts: &[u32], count: u32, unknown: u64| match count {
            0 => unknown,
            _ => all.saturating_sub(products(counts) / u64::from(count)),
        };
        let literal = average(literals, literal_count, RARE).max(1);
        let length = average(lengths, length_count, COMMON);
        let least = std::array::from_fn(|symbol| {
            let code = match counts.distances[symbol] {
                0 => RARE,
                count => logarithm(length_count).saturating_sub(logarithm(count)),
            };
            let distance = code + 16 * u64::from(distance_extra(symbol));
            // A tenth more than that: literals make those of their kind cheaper.
            ((length + distance) * 11).div_ceil(literal * 10).clamp(SHORTEST as u64, LEAST_AT_MOST) as u8
        });
        let of_three = least.iter().take_while(|least| usize::from(**least) <= SHORTEST).count();
        let weighted: u32 = least.iter().zip(&counts.distances).map(|(least, count)| u32::from(*least) * count).sum();
        Worth {
            least,
            farthest_of_three: (distance_base(of_three) - 1).min(WINDOW - 1),
            long_alone: weighted >= 5 * length_count.max(1),
        }
    }
}

/// The cost of a block's codes before its symbols, about.
const HEADER: u64 = 700 * 16;

/// The cost of symbols that have not been seen: where they are likely to be rare, and where not.
const RARE: u64 = 10 * 16;
const COMMON: u64 = 4 * 16;

/// However cheap literals are.
const LEAST_AT_MOST: u64 = 10;

/// Returns the cost of all symbols, each with the best code for it.
fn cost(counts: &Counts) -> u64 {
    let part = |counts: &[u32]| product(sum(counts)).saturating_sub(products(counts));
    part(&counts.literals) + part(&counts.distances)
}

fn sum(counts: &[u32]) -> u32 {
    counts.iter().sum()
}

fn products(counts: &[u32]) -> u64 {
    counts.iter().map(|count| product(*count)).sum()
}

fn logarithm(number: u32) -> u64 {
    product(number) / u64::from(number.max(1))
}

/// Returns the product of a number and its logarithm to base 2.
fn product(number: u32) -> u64 {
    match PRODUCTS.get(number as usize) {
        Some(product) => u64::from(*product),
        None => {
            let shift = number.ilog2() + 1 - PRODUCTS.len().ilog2();
            (u64::from(PRODUCTS[(number >> shift) as usize]) << shift) + u64::from(number) * u64::from(shift) * 16
        }
    }
}

static PRODUCTS: [u32; 1 << 12] = {
    let mut products = [0; 1 << 12];
    let mut number = 1;
    while number < products.len() as u64 {
        // A number from 1 to 2, with 32 bits behind the point. Each squaring doubles its logarithm, whose next bit is 1
        // if that is 2 or more.
        let whole = number.ilog2();
        let mut rest = number << (32 - whole);
        let mut logarithm = whole as u64;
        let mut bit = 0;
        while bit < 16 {
            rest = ((rest as u128 * rest as u128) >> 32) as u64;
            let next = rest >> 33;
            logarithm = logarithm << 1 | next;
            rest >>= next;
            bit += 1;
        }
        products[number as usize] = ((number * logarithm + (1 << 11)) >> 12) as u32;
        number += 1;
    }
    products
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_logarithms() {
        for number in (1..10_000).chain([65_535, 65_536, 123_456, 1 << 20]) {
            let exact = f64::from(number) * f64::from(number).log2() * 16.0;
            let found = product(number) as f64;
            // The logarithm has 16 bits behind the point; a large number is looked up by its first 12.
            let tolerance = if number < 1 << 12 { 1.5 } else { exact / 1000.0 };
            assert!((found - exact).abs() <= tolerance, "{number}: {found}, {exact}");
        }
    }

    #[test]
    fn different_data_are_better_apart() {
        let of = |bytes: &[u8]| {
            let mut counts = Counts::NONE;
            (0..1000).for_each(|_| bytes.iter().for_each(|byte| counts.count_literal(*byte)));
            counts
        };
        let (letters, digits) = (of(b"abcdefgh"), of(b"01234567"));
        assert!(are_better_apart(&letters, &digits));
        assert!(!are_better_apart(&letters, &letters));
    }

    #[test]
    fn a_repeat_is_worth_more_where_literals_cost_more() {
        let of = |different: u8| {
            let mut counts = Counts::NONE;
            (0..20_000u32).for_each(|nth| counts.count_literal((nth % u32::from(different)) as u8));
            (0..100).for_each(|_| (0..15).for_each(|magnitude| counts.count_repeat(5, 1 << magnitude)));
            Worth::of(&counts)
        };
        let (bytes, digits) = (of(255), of(4));
        assert!(bytes.least.iter().zip(&digits.least).all(|(bytes, digits)| bytes <= digits));
        assert!(bytes.farthest_of_three > digits.farthest_of_three);
        assert!(!bytes.long_alone && digits.long_alone);
    }
}

//! Huffman codes of limited length (RFC 1951, 3.2.2).

/// A code for each symbol of an alphabet of `N`.
pub struct Codes<const N: usize> {
    /// In bits; 0 for a symbol without a code.
    pub lengths: [u8; N],
    /// The code, its first bit lowest, above its length in the lowest 8 bits.
    pub codes: [u32; N],
}

impl<const N: usize> Codes<N> {
    /// Returns the shortest codes for symbols that occur so often, none longer than `longest` bits. At least two symbols get one: not
    /// every reader takes a code of one symbol, which leaves codes unused.
    pub fn new(counts: &[u32; N], longest: usize) -> Self {
        let mut sorted: Vec<(u32, usize)> = counts
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .map(|(symbol, count)| (*count, symbol))
            .collect();
        let missing = 2_usize.saturating_sub(sorted.len());
        sorted.extend((0..N).filter(|symbol| counts[*symbol] == 0).take(missing).map(|symbol| (1, symbol)));
        sorted.sort_unstable();
        let mut lengths = [0; N];
        let mut symbols = sorted.iter().map(|(_, symbol)| *symbol);
        for (length, count) in limited(numbers_of_lengths(&sorted), longest).into_iter().enumerate().rev() {
            symbols.by_ref().take(count).for_each(|symbol| lengths[symbol] = length as u8);
        }
        Self::of_lengths(lengths)
    }

    /// Codes of the same length follow one another in the order of their symbols.
    pub fn of_lengths(lengths: [u8; N]) -> Self {
        let mut numbers = [0; 16];
        lengths.iter().filter(|length| **length > 0).for_each(|length| numbers[usize::from(*length)] += 1);
        let mut next = [0u32; 17];
        for length in 1..16 {
            next[length + 1] = (next[length] + numbers[length]) << 1;
        }
        let mut codes = [0; N];
        for (code, length) in codes.iter_mut().zip(lengths).filter(|(_, length)| *length > 0) {
            let bits = &mut next[usize::from(length)];
            *code = (*bits << (32 - u32::from(length))).reverse_bits() << 8 | u32::from(length);
            *bits += 1;
        }
        Codes { lengths, codes }
    }
}

/// How many codes there are of each length, for two symbols or more with their counts, the rarest first.
fn numbers_of_lengths(sorted: &[(u32, usize)]) -> Vec<usize> {
    // Two queues, each in the order of weight: the symbols, and the nodes that join two (van Leeuwen, 1976).
    let inner = sorted.len() - 1;
    let mut weights: Vec<u32> = Vec::with_capacity(inner);
    let mut parents = vec![0; inner];
    let (mut symbol, mut node) = (0, 0);
    for next in 0..inner {
        let mut weight = 0;
        for _ in 0..2 {
            if symbol < sorted.len() && (node == next || sorted[symbol].0 <= weights[node]) {
                weight += sorted[symbol].0;
                symbol += 1;
            } else {
                weight += weights[node];
                parents[node] = next;
                node += 1;
            }
        }
        weights.push(weight);
    }
    // The root is the last node, and none is deeper than the first.
    let mut depths = vec![0; inner];
    for node in (0..inner - 1).rev() {
        depths[node] = depths[parents[node]] + 1;
    }
    let mut nodes = vec![0; depths[0] + 2];
    depths.iter().for_each(|depth| nodes[*depth] += 1);
    // Of the two below each node, those that are not nodes are symbols.
    let mut numbers = vec![0; depths[0] + 2];
    for depth in 0..=depths[0] {
        numbers[depth + 1] = 2 * nodes[depth] - nodes[depth + 1];
    }
    numbers
}

/// The same, where no code is longer than `longest`.
fn limited(mut numbers: Vec<usize>, longest: usize) -> Vec<usize> {
    if numbers.len() <= longest + 1 {
        return numbers;
    }
    let beyond: usize = numbers.drain(longest + 1..).sum();
    numbers[longest] += beyond;
    // What codes take of all bits strings of the greatest length: too much by now.
    let whole = 1 << longest;
    let mut taken: usize = numbers.iter().enumerate().map(|(length, number)| number << (longest - length)).sum();
    while taken > whole {
        // The longest that can grow gives up half of what it has.
        let length = (1..longest).rev().find(|length| numbers[*length] > 0).expect("there are shorter ones");
        numbers[length] -= 1;
        numbers[length + 1] += 1;
        taken -= 1 << (longest - length - 1);
    }
    while taken < whole {
        // And what is left over goes to the shortest that it is enough for.
        let is_fitting = |length: &usize| numbers[*length] > 0 && 1 << (longest - length) <= whole - taken;
        let length = (2..=longest).find(is_fitting).expect("one of the greatest length takes the least");
        numbers[length] -= 1;
        numbers[length - 1] += 1;
        taken += 1 << (longest - length);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use proptest::array::uniform32;
    use proptest::prelude::*;

    use super::*;

    /// Returns what a text takes whose symbols occur so often: the sum of all nodes of Huffman's tree.
    fn shortest(counts: &[u32]) -> u64 {
        let mut heap: BinaryHeap<_> =
            counts.iter().filter(|count| **count > 0).map(|n| Reverse(u64::from(*n))).collect();
        let mut bits = 0;
        while let (Some(Reverse(a)), Some(Reverse(b))) = (heap.pop(), heap.pop()) {
            bits += a + b;
            heap.push(Reverse(a + b));
        }
        bits
    }

    /// Some occur much more often than others, so that codes get long.
    fn counts() -> impl Strategy<Value = [u32; 32]> {
        uniform32((0..24u32, any::<u32>()).prop_map(|(bits, count)| count % (1 << bits)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn codes_are_complete_and_not_too_long(counts in counts(), longest in 5..=15usize) {
            let Codes { lengths, .. } = Codes::new(&counts, longest);
            prop_assert!(lengths.iter().all(|length| usize::from(*length) <= longest));
            let taken: usize = lengths.iter().filter(|length| **length > 0).map(|length| 1 << (15 - length)).sum();
            prop_assert_eq!(taken, 1 << 15);
            let used = counts.iter().filter(|count| **count > 0).count();
            prop_assert_eq!(lengths.iter().filter(|length| **length > 0).count(), used.max(2));
            prop_assert!(counts.iter().zip(&lengths).all(|(count, length)| *count == 0 || *length > 0));
        }

        #[test]
        fn codes_are_the_shortest(counts in counts()) {
            prop_assume!(counts.iter().filter(|count| **count > 0).count() >= 2);
            // 32 symbols are at most 31 deep, and these numbers are too small for half of that.
            let small = counts.map(|count| count % 200);
            prop_assume!(small.iter().filter(|count| **count > 0).count() >= 2);
            let Codes { lengths, .. } = Codes::new(&small, 15);
            let bits: u64 = small.iter().zip(&lengths).map(|(count, length)| u64::from(*count) * u64::from(*length)).sum();
            prop_assert_eq!(bits, shortest(&small));
        }

        #[test]
        fn no_code_begins_another(counts in counts(), longest in 5..=15usize) {
            let Codes { codes, .. } = Codes::new(&counts, longest);
            let codes: Vec<(u32, u32)> = codes.iter().filter(|code| **code > 0).map(|code| (code >> 8, code & 0xff)).collect();
            for (at, (a, a_length)) in codes.iter().enumerate() {
                for (b, b_length) in &codes[at + 1..] {
                    let both = (1 << a_length.min(b_length)) - 1;
                    prop_assert_ne!(a & both, b & both);
                }
            }
        }
    }

    /// RFC 1951, 3.2.2: the lengths (3, 3, 3, 3, 3, 2, 4, 4), and the codes that follow.
    #[test]
    fn codes_are_those_of_the_specifications_example() {
        let Codes { codes, .. } = Codes::of_lengths([3, 3, 3, 3, 3, 2, 4, 4]);
        let told = codes.map(|code| {
            let length = (code & 0xff) as usize;
            (0..length).map(|bit| if code >> (8 + bit) & 1 == 1 { '1' } else { '0' }).collect::<String>()
        });
        assert_eq!(told, ["010", "011", "100", "101", "110", "00", "1110", "1111"]);
    }
}

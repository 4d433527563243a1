//! What tells the header of a tar from anything else.

use tar::Header;

use super::field::number;
use crate::layer::tar::RECORD;

/// Returns whether a record has the checksum of a header: nothing else tells a tar, for the oldest have no magic number.
pub fn is_header(record: &[u8; RECORD as usize]) -> bool {
    let mut header = Header::new_old();
    header.as_mut_bytes().copy_from_slice(record);
    // Some old writers summed signed bytes.
    let blank = 8 * i64::from(b' ');
    let field = &header.as_old().cksum;
    let sum = |value: fn(u8) -> i64| {
        let of = |bytes: &[u8]| bytes.iter().map(|byte| value(*byte)).sum::<i64>();
        i128::from(of(record) - of(field) + blank)
    };
    let is_empty = record.iter().all(|byte| *byte == 0);
    let noted = number(field).filter(|_| !is_empty);
    noted.is_some_and(|noted| noted == sum(i64::from) || noted == sum(|byte| i64::from(byte.cast_signed())))
}

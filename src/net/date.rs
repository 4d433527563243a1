//! Dates in the forms that registries and token servers write them in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that may be sent today (RFC 9110, section 5.6.7).
pub(crate) fn http_date(text: &str) -> Option<SystemTime> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64 + 1;
    let year = words.next()?.parse().ok()?;
    let clock = words.next()?;
    (words.next() == Some("GMT")).then_some(())?;
    moment([year, month, day], clock)
}

/// Reads `1994-11-06T08:49:37.5Z` or with an offset, in full seconds (RFC 3339).
pub(crate) fn rfc3339(text: &str) -> Option<SystemTime> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let mut numbers = date.splitn(3, '-').map(|number| number.parse().ok());
    let date = [numbers.next()??, numbers.next()??, numbers.next()??];
    let local = moment(date, time.get(..8)?)?;
    let offset = time.get(8..)?.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    if offset.eq_ignore_ascii_case("z") {
        return Some(local);
    }
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let offset_by = Duration::from_secs(u64::from(hours) * 3_600 + u64::from(minutes) * 60);
    match offset.get(..1)? {
        "+" => local.checked_sub(offset_by),
        "-" => local.checked_add(offset_by),
        _ => None,
    }
}

/// Returns the time that `text` says (RFC 3339), in seconds since 1970; none if it says none, or one before.
pub(crate) fn seconds(text: &str) -> Option<i64> {
    let since = rfc3339(text)?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

/// Returns the time in seconds since 1970.
pub(crate) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

/// Returns the moment of year, month and day, and `HH:MM:SS`, all in UTC.
fn moment([year, month, day]: [u64; 3], clock: &str) -> Option<SystemTime> {
    let mut clock = clock.split(':').map(|number| number.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let is_valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (hour <= 23 && minute <= 59 && second <= 60);
    if !is_valid {
        return None;
    }
    // Counting years from March puts the leap day at a year's end, and 30.6 days to a month come out right.
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (months * 153 + 2) / 5 + day - 1;
    const DAYS_TO_1970: u64 = 719_468;
    let seconds = (days - DAYS_TO_1970) * 86_400 + hour * 3_600 + minute * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(moment: Option<SystemTime>) -> Option<u64> {
        moment.map(|moment| moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs())
    }

    /// The times are those of `date -u -d '…' +%s`.
    #[test]
    fn http_dates_are_read() {
        let seconds = |text| seconds(http_date(text));
        assert_eq!(seconds("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199));
        assert_eq!(seconds("Fri, 01 Mar 2024 00:00:00 GMT"), Some(1_709_251_200));
        assert_eq!(seconds("Sunday, 06-Nov-94 08:49:37 GMT"), None);
        assert_eq!(seconds("soon"), None);
    }

    #[test]
    fn rfc3339_dates_are_read() {
        let seconds = |text| seconds(rfc3339(text));
        assert_eq!(seconds("1994-11-06T08:49:37Z"), Some(784_111_777));
        assert_eq!(seconds("1994-11-06t09:49:37.123456789+01:00"), Some(784_111_777));
        assert_eq!(seconds("1994-11-06 03:19:37-05:30"), Some(784_111_777));
        let absurd = format!("1994-11-06T08:49:37-{}:{0}", u64::MAX);
        for text in ["", "1994-11-06", "1994-13-06T08:49:37Z", "1994-11-06T8:49Z", "1994-11-06T08:49:37é", "T", &absurd]
        {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}

//! Moments in the calendar.

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const DAY: i64 = 86_400;

/// Days from the first of March of the year 0 to 1970.
const DAYS_TO_1970: i64 = 719_468;

/// Nanoseconds of a second.
const SECOND: i128 = 1_000_000_000;

/// A moment, and the clock that it is told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Since 1970, in UTC.
    pub seconds: i64,
    /// Of the second.
    nanoseconds: i64,
    /// What the clock is ahead of UTC, in seconds.
    pub offset: i64,
}

/// What the calendar and the clock show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DateAndTime {
    pub year: i64,
    /// From 1 to 12.
    pub month: i64,
    /// From 1 to 31.
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
}

impl Moment {
    /// Returns the moment of UTC; none if it is outside the years 0 to 9999.
    pub fn of_seconds(seconds: i64) -> Option<Moment> {
        let moment = Moment { seconds, nanoseconds: 0, offset: 0 };
        // 0000-01-01 and 10000-01-01.
        (-62_167_219_200..253_402_300_800).contains(&seconds).then_some(moment)
    }

    /// Reads a time as RFC 3339 has it, `1994-11-06T08:49:37.5+01:00`. Fails with what is wrong.
    pub fn read(text: &str) -> Result<Moment, String> {
        read(text).ok_or_else(|| format!("\"{text}\" is not a time like 2006-01-02T15:04:05Z (RFC 3339)"))
    }

    /// Returns the moment so many nanoseconds later, told by the same clock; none if it is outside the years 0 to 9999.
    pub fn after(&self, nanoseconds: i128) -> Option<Moment> {
        let sum = i128::from(self.seconds) * SECOND + i128::from(self.nanoseconds) + nanoseconds;
        let seconds = i64::try_from(sum.div_euclid(SECOND)).ok()?;
        let nanoseconds = i64::try_from(sum.rem_euclid(SECOND)).ok()?;
        Moment::of_seconds(seconds.checked_add(self.offset)?)?;
        Some(Moment { seconds, nanoseconds, offset: self.offset })
    }

    /// Returns what its calendar and its clock show.
    pub fn date(&self) -> DateAndTime {
        let local = self.seconds + self.offset;
        let (days, second) = (local.div_euclid(DAY) + DAYS_TO_1970, local.rem_euclid(DAY));
        // Years are counted from March, so that the leap day comes last: 146097 days are 400 years.
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, is_next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = era * 400 + year + is_next;
        DateAndTime { year, month, day, hour: second / 3_600, minute: second / 60 % 60, second: second % 60 }
    }

    /// Returns the day of the year, counted from 1.
    pub fn year_day(&self) -> i64 {
        let date = self.date();
        days(date.year, date.month, date.day) - days(date.year, 1, 1) + 1
    }

    /// Returns the day of the week, counted from Sunday, which is 0.
    pub fn weekday(&self) -> i64 {
        ((self.seconds + self.offset).div_euclid(DAY) + 4).rem_euclid(7)
    }

    /// Returns the year and the week as ISO 8601 counts them.
    pub fn iso_week(&self) -> (i64, i64) {
        // A week is of the year that its Thursday is of.
        let to_thursday = 3 - (self.weekday() + 6) % 7;
        let thursday = Moment { seconds: self.seconds + to_thursday * DAY, ..*self };
        (thursday.date().year, (thursday.year_day() - 1) / 7 + 1)
    }

    /// Returns the name of the month.
    pub fn month_name(&self) -> &'static str {
        name(&MONTHS, self.date().month - 1)
    }

    /// Returns the name of the day of the week.
    pub fn weekday_name(&self) -> &'static str {
        name(&WEEKDAYS, self.weekday())
    }

    /// Returns it as RFC 3339 has it, in full seconds.
    pub fn rfc3339(&self) -> String {
        let DateAndTime { year, month, day, hour, minute, second } = self.date();
        let offset = self.offset_text(true, true);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{offset}")
    }

    /// Returns what the clock is ahead of UTC, with a colon or without; `Z` for UTC itself if wanted.
    pub fn offset_text(&self, with_z: bool, with_colon: bool) -> String {
        if self.offset == 0 && with_z {
            return "Z".to_owned();
        }
        let (sign, minutes) = (if self.offset < 0 { '-' } else { '+' }, self.offset.abs() / 60);
        let colon = if with_colon { ":" } else { "" };
        format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
    }
}

/// Reads a span of time as Go has it, `1h30m`, in nanoseconds. Fails with what is wrong.
pub fn duration(text: &str) -> Result<i128, String> {
    let refused = || format!("\"{text}\" is not a span of time like 1h30m");
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    let mut sum: i128 = 0;
    let mut is_empty = true;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refused)?;
        let (whole, fraction) = rest[..end].split_once('.').unwrap_or((&rest[..end], ""));
        let after = rest[end..].find(|c: char| c.is_ascii_digit() || c == '.').map_or(rest.len(), |at| end + at);
        let unit: i128 = match &rest[end..after] {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => SECOND,
            "m" => 60 * SECOND,
            "h" => 3_600 * SECOND,
            _ => return Err(refused()),
        };
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || fraction.contains('.') || digits.len() > 18 {
            return Err(refused());
        }
        let number: i128 = digits.parse().map_err(|_| refused())?;
        sum += number * unit / 10i128.pow(fraction.len() as u32);
        (rest, is_empty) = (&rest[after..], false);
    }
    if is_empty || sum > i128::from(i64::MAX) {
        return Err(refused());
    }
    Ok(sign * sum)
}

fn read(text: &str) -> Option<Moment> {
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse::<i64>().ok()
    };
    let is_at = |at: usize, c: char| text.get(at..)?.starts_with(c).then_some(());
    [(4, '-'), (7, '-'), (10, 'T'), (13, ':'), (16, ':')].into_iter().try_for_each(|(at, c)| is_at(at, c))?;
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_real = (1..=12).contains(&month) && day >= 1 && day <= month_length(year, month);
    if !is_real || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut nanoseconds = 0;
    if let Some(fraction) = rest.strip_prefix(['.', ',']) {
        let end = fraction.find(|c: char| !c.is_ascii_digit()).unwrap_or(fraction.len());
        nanoseconds =
            format!("{:0<9}", fraction.get(..end.min(9)).filter(|digits| !digits.is_empty())?).parse().ok()?;
        rest = &fraction[end..];
    }
    let offset = match rest {
        "Z" => 0,
        _ => {
            let sign = if rest.starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = rest.strip_prefix(['+', '-'])?.split_once(':')?;
            let is_number = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            let (hours, minutes) = (is_number(hours).then_some(hours)?, is_number(minutes).then_some(minutes)?);
            let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
            (hours <= 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))?
        }
    };
    let local = days(year, month, day) * DAY + hour * 3_600 + minute * 60 + second;
    Some(Moment { seconds: local - offset, nanoseconds, offset })
}

/// Days from 1970 to a day.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (month * 153 + 2) / 5 + day - 1 - DAYS_TO_1970
}

fn month_length(year: i64, month: i64) -> i64 {
    let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days(next_year, next, 1) - days(year, month, 1)
}

fn name(names: &[&'static str], place: i64) -> &'static str {
    usize::try_from(place).ok().and_then(|place| names.get(place)).copied().unwrap_or_default()
}

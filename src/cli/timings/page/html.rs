//! Text within a page.

use std::fmt;

/// Text that stands in an element or in an attribute in double quotes, and is nothing but text there.
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(at) = rest.find(['&', '<', '>', '"', '\'']) {
            f.write_str(&rest[..at])?;
            f.write_str(match rest.as_bytes()[at] {
                b'&' => "&amp;",
                b'<' => "&lt;",
                b'>' => "&gt;",
                b'"' => "&quot;",
                _ => "&#39;",
            })?;
            rest = &rest[at + 1..];
        }
        f.write_str(rest)
    }
}

/// Returns a time in words, as short as it is of use: `45 ms`, `3.2 s`, `2m 05s`.
pub fn time(seconds: f64) -> String {
    match seconds {
        _ if seconds < 0.0005 => "0 ms".to_owned(),
        _ if seconds < 0.9995 => format!("{:.0} ms", seconds * 1000.0),
        _ if seconds < 99.95 => format!("{seconds:.1} s"),
        _ => {
            let whole = seconds.round() as u64;
            format!("{}m {:02}s", whole / 60, whole % 60)
        }
    }
}

/// Returns a part of a whole in percent, for a style.
pub fn percent(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole * 100.0).clamp(0.0, 100.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_place() {
        let text = "</script><script>a && '\"b\"'";
        let expected = "&lt;/script&gt;&lt;script&gt;a &amp;&amp; &#39;&quot;b&quot;&#39;";
        assert_eq!(Escaped(text).to_string(), expected);
        assert_eq!(Escaped("漢 é").to_string(), "漢 é");
    }

    #[test]
    fn times_are_short() {
        let told = [0.0, 0.0004, 0.0449, 0.9994, 0.9996, 3.25, 99.94, 99.96, 3605.4].map(time);
        assert_eq!(told, ["0 ms", "0 ms", "45 ms", "999 ms", "1.0 s", "3.2 s", "99.9 s", "1m 40s", "60m 05s"]);
    }
}

//! Versions and what is asked of them.

use semver::{BuildMetadata, Prerelease, Version};

use super::function::{Function, FunctionFailure, string};
use crate::plan::hcl::value::Value;

pub const FUNCTIONS: &[Function] = &[Function::new("semvercmp", &[string("version"), string("constraint")], |given| {
    let version = Partial::read(given.text(0))
        .filter(|version| !version.is_wild)
        .ok_or_else(|| FunctionFailure::of(0, format!("\"{}\" is not a version like 1.2.3", given.text(0))))?;
    let any = constraints(given.text(1)).ok_or_else(|| {
        FunctionFailure::of(1, format!("\"{}\" is not a version constraint like >= 1.2", given.text(1)))
    })?;
    Ok(Value::Bool(any.iter().any(|all| all.iter().all(|one| one.is_met_by(&version.version)))))
})];

/// A version of which the last parts may be left out.
#[derive(Debug, Clone)]
struct Partial {
    version: Version,
    /// How many of the three numbers are there.
    parts: usize,
    /// Whether a part is `x` or `*`.
    is_wild: bool,
}

/// One thing that is asked.
#[derive(Debug, Clone)]
struct Constraint {
    operator: &'static str,
    than: Partial,
}

impl Partial {
    fn read(text: &str) -> Option<Partial> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, build) = text.split_once('+').map_or((text, ""), |(text, build)| (text, build));
        let (numbers, prerelease) = text.split_once('-').map_or((text, ""), |(numbers, rest)| (numbers, rest));
        let mut read = [0; 3];
        let (mut parts, mut is_wild) = (0, false);
        for (place, part) in numbers.split('.').enumerate() {
            if matches!(part, "x" | "X" | "*") {
                is_wild = true;
                continue;
            }
            let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            *read.get_mut(place)? = part.parse().ok().filter(|_| is_number && !is_wild)?;
            parts = place + 1;
        }
        let mut version = Version::new(read[0], read[1], read[2]);
        version.pre = Prerelease::new(prerelease).ok()?;
        version.build = BuildMetadata::new(build).ok()?;
        Some(Partial { version, parts, is_wild })
    }

    /// The first version that does not begin with the numbers that are there, of which `count` count.
    fn next(&self, count: usize) -> Version {
        match count.min(self.parts) {
            0 => Version::new(u64::MAX, 0, 0),
            1 => Version::new(self.version.major.saturating_add(1), 0, 0),
            2 => Version::new(self.version.major, self.version.minor.saturating_add(1), 0),
            _ => Version::new(self.version.major, self.version.minor, self.version.patch.saturating_add(1)),
        }
    }

    fn is_partial(&self) -> bool {
        self.parts < 3
    }
}

/// What is asked: of each list all, of the lists any. None if it is not understood.
fn constraints(text: &str) -> Option<Vec<Vec<Constraint>>> {
    text.split("||").map(all_of).collect()
}

fn all_of(text: &str) -> Option<Vec<Constraint>> {
    let mut all = Vec::new();
    if let Some((from, to)) = text.split_once(" - ") {
        for (operator, version) in [(">=", from), ("<=", to)] {
            all.push(Constraint { operator, than: Partial::read(version.trim())? });
        }
        return Some(all);
    }
    let mut rest = text.trim();
    while !rest.is_empty() {
        const OPERATORS: [&str; 12] = ["!=", ">=", "=>", "<=", "=<", "~>", "=", ">", "<", "~", "^", ""];
        let operator = OPERATORS.into_iter().find(|operator| rest.starts_with(operator))?;
        rest = rest[operator.len()..].trim_start();
        let end = rest.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(rest.len());
        all.push(Constraint { operator, than: Partial::read(&rest[..end])? });
        rest = rest[end..].trim_start_matches(|c: char| c == ',' || c.is_whitespace());
    }
    (!all.is_empty()).then_some(all)
}

impl Constraint {
    fn is_met_by(&self, version: &Version) -> bool {
        let (than, exact) = (&self.than, &self.than.version);
        // What comes before a release is taken only where it is asked for.
        if !version.pre.is_empty() && exact.pre.is_empty() && self.operator != "!=" {
            return false;
        }
        let is_within = |next: Version| version.cmp_precedence(exact).is_ge() && *version < next;
        match self.operator {
            "!=" if than.is_partial() => !is_within(than.next(3)),
            "!=" => version.cmp_precedence(exact).is_ne(),
            ">" if than.is_partial() => *version >= than.next(3),
            ">" => version.cmp_precedence(exact).is_gt(),
            ">=" | "=>" => version.cmp_precedence(exact).is_ge(),
            "<" => version.cmp_precedence(exact).is_lt(),
            "<=" | "=<" if than.is_partial() => *version < than.next(3),
            "<=" | "=<" => version.cmp_precedence(exact).is_le(),
            "~" | "~>" => is_within(than.next(2)),
            "^" => is_within(match (exact.major, exact.minor) {
                (0, 0) => than.next(3),
                (0, _) => than.next(2),
                _ => than.next(1),
            }),
            _ if than.is_partial() => is_within(than.next(3)),
            _ => version.cmp_precedence(exact).is_eq(),
        }
    }
}

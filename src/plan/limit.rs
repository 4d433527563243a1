//! `--ulimit`: what each process may have of a resource.

use std::str::FromStr;

use crate::error::{Error, Result, suggestion};
use crate::oci::Encode;

/// The resources that a limit can be set for, by docker's names.
const RESOURCES: &[&str] = &[
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// The limit of a resource for each process, as setrlimit(2) has it. None means that there is no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceLimit {
    /// The resource in lower case, without `RLIMIT_`.
    pub resource: &'static str,
    /// The limit that counts, and that a process may change.
    pub soft: Option<u64>,
    /// The most that it may change it to.
    pub hard: Option<u64>,
}

impl Encode for ResourceLimit {
    fn encode(&self, to: &mut Vec<u8>) {
        let ResourceLimit { resource, soft, hard } = self;
        (resource, soft, hard).encode(to);
    }
}

impl FromStr for ResourceLimit {
    type Err = Error;

    /// Reads `TYPE=SOFT[:HARD]`; `infinity` and -1 are no limit.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = |what: String| Error::usage(what).with_hint("write TYPE=SOFT[:HARD], as in nofile=1024:4096");
        let (resource, limits) =
            text.split_once('=').ok_or_else(|| refuse(format!("`{text}` is not a limit of a resource")))?;
        let Some(resource) = RESOURCES.iter().find(|known| **known == resource) else {
            let error = Error::usage(format!("there is no limit of `{resource}`"));
            return Err(match suggestion(resource, RESOURCES.iter().copied()) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint(format!("known limits are {}", RESOURCES.join(", "))),
            });
        };
        let limit = |text: &str| match text {
            "infinity" | "-1" => Ok(None),
            // The largest number means that there is none.
            digits => match digits.parse::<i64>().ok().and_then(|number| u64::try_from(number).ok()) {
                Some(number) => Ok(Some(number)),
                None => Err(refuse(format!("`{digits}` is not a limit"))),
            },
        };
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let (soft, hard) = (limit(soft)?, limit(hard)?);
        if soft.is_none() && hard.is_some() || soft.zip(hard).is_some_and(|(soft, hard)| soft > hard) {
            return Err(refuse(format!("the soft limit of {resource} is above the hard one")));
        }
        Ok(ResourceLimit { resource, soft, hard })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As docker/go-units' `ParseUlimit` reads them.
    #[test]
    fn limits_are_soft_and_hard() {
        for (text, resource, soft, hard) in [
            ("nofile=1024", "nofile", Some(1024), Some(1024)),
            ("nofile=1024:4096", "nofile", Some(1024), Some(4096)),
            ("core=0", "core", Some(0), Some(0)),
            ("memlock=-1", "memlock", None, None),
            ("memlock=1:infinity", "memlock", Some(1), None),
        ] {
            assert_eq!(text.parse::<ResourceLimit>().unwrap(), ResourceLimit { resource, soft, hard }, "{text}");
        }
        for text in
            ["", "nofile", "nofile=", "as=1", "NOFILE=1", "nofile=2:1", "nofile=-1:5", "nofile=1:2:3", "nofile=-5"]
        {
            assert!(text.parse::<ResourceLimit>().is_err(), "{text}");
        }
    }
}

//! What a Dockerfile may come to: lines that are short may stand for much.

use super::StageState;
use crate::error::{Error, Result};

/// The most that all stages come to, for all platforms together: bytes of what words expand to, of titles, paths and
/// settings, of lines that warnings show; and what finding them takes, by the character. A hundred stages for ten
/// platforms, each with 100 KiB of settings, have a third of it; more would be kept in memory.
const MOST: usize = 256 << 20;

/// The bytes that an entry takes beside its text.
const ENTRY: usize = 64;

/// The rest of that.
pub struct LoweringBudget {
    left: usize,
}

impl LoweringBudget {
    /// Returns the whole of it.
    pub fn new() -> Self {
        LoweringBudget { left: MOST }
    }

    /// Takes `amount` off. Fails if so much is not left.
    pub fn spend(&mut self, amount: usize) -> Result<()> {
        self.left = self.left.checked_sub(amount).ok_or_else(|| {
            Error::input(format!("the Dockerfile's words, paths and settings expand to more than {MOST} bytes"))
                .with_hint("hardly any image needs so much: look for variables, settings or paths that add up")
        })?;
        Ok(())
    }
}

/// Returns about what `state` keeps in memory beside its steps, in bytes.
pub fn size(state: &StageState) -> usize {
    let settings = &state.settings;
    let of = |text: &str| text.len() + ENTRY;
    let list = |texts: &Option<Vec<String>>| texts.iter().flatten().map(|text| of(text)).sum::<usize>();
    let map = |texts: &crate::oci::Map<String>| texts.iter().map(|(key, text)| of(key) + text.len()).sum::<usize>();
    let keys = |texts: &Option<crate::oci::Map<serde_json::Value>>| {
        texts.iter().flatten().map(|(key, _)| of(key)).sum::<usize>()
    };
    let lists = [&settings.env, &settings.cmd, &settings.entrypoint, &settings.shell, &settings.on_build];
    let maps = [&state.labels, &state.inherited_labels, &state.annotations];
    lists.into_iter().map(list).sum::<usize>()
        + maps.into_iter().map(map).sum::<usize>()
        + [&settings.volumes, &settings.exposed_ports].into_iter().map(keys).sum::<usize>()
        + [&state.title, &settings.working_dir, &settings.user].into_iter().map(|text| of(text)).sum::<usize>()
        + state.scope.names().map(|name| of(name) + state.scope.get(name).map_or(0, str::len)).sum::<usize>()
        + state.scope.arguments.iter().map(|name| of(name)).sum::<usize>()
        + state.declared.iter().map(|name| of(name)).sum::<usize>()
}

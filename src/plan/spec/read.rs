//! Reads `ocibake.toml` into a spec; errors show the line that is wrong.

use toml::de::DeTable;

use super::{AddOrigin, AddSpec, LayerSpec, Libc, Spec};
use crate::error::{Error, Result};
use crate::oci::{Healthcheck, Map, Platform, Reference, Settings};
use crate::plan::annotation::PlacedAnnotations;
use crate::plan::table::{TomlDocument, TomlValue};
use crate::plan::{About, Owner, setting};
use crate::tree::Mode;

impl Spec {
    /// Reads `ocibake.toml`; `file` is its name in errors. Everything is checked that does not depend on a platform.
    pub fn parse(file: &str, text: &str) -> Result<Spec> {
        let document = TomlDocument { file, text };
        let entries = DeTable::parse(text).map_err(|cause| document.malformed(&cause))?;
        let root = document.root(entries.get_ref());
        if let Some(images) = root.take("image") {
            let error = Error::input(format!("{file} has a table for each of several images"));
            return Err(images.blame_key(error.with_hint(format!("build them with `ocibake bake -f {file}`"))));
        }
        let spec = Spec {
            name: root.take("name").map(|value| value.parse(name)).transpose()?,
            base: root.take("base").map(|value| value.parse(super::base)).transpose()?.unwrap_or_default(),
            platforms: root.take("platforms").map(platforms).transpose()?.unwrap_or_default(),
            index: root.take("index").map(|value| value.boolean()).transpose()?,
            libc: root.take("libc").map(|value| value.parse(str::parse)).transpose()?.unwrap_or_default(),
            about: about(&|key| root.take(key))?,
            layers: root.take("layer").map(layers).transpose()?.unwrap_or_default(),
            config: root.take("config").map(config).transpose()?.unwrap_or_default(),
            labels: root.take("labels").map(pairs).transpose()?.unwrap_or_default(),
            placed_annotations: PlacedAnnotations::default(),
            annotations: root.take("annotations").map(pairs).transpose()?.unwrap_or_default(),
        };
        root.finish()?;
        Ok(spec)
    }
}

pub(super) fn name(text: &str) -> Result<Reference> {
    let reference: Reference = text.parse()?;
    if reference.tag().is_some() || reference.digest().is_some() {
        return Err(Error::input(format!("the name `{text}` has a tag or a digest"))
            .with_hint(format!("leave it at `{}`: the tag is given with each build", reference.name())));
    }
    Ok(reference)
}

pub(super) fn platforms(value: TomlValue) -> Result<Vec<Platform>> {
    let mut platforms = Vec::new();
    for element in value.list()? {
        element.parse(|text| setting::add_platform(&mut platforms, text))?;
    }
    if platforms.is_empty() {
        return Err(value.blame(Error::input("`platforms` is empty").with_hint("leave the key out for this machine's")));
    }
    Ok(platforms)
}

/// Reads what an image is about; `take` returns the value of a key.
pub(super) fn about<'a>(take: &dyn Fn(&'static str) -> Option<TomlValue<'a>>) -> Result<About> {
    let text = |key| take(key).map(|value| value.text()).transpose();
    Ok(About {
        title: text("title")?,
        description: text("description")?,
        vendor: text("vendor")?,
        url: text("url")?,
        source: text("source")?,
        licenses: text("licenses")?,
        version: text("version")?,
        documentation: text("documentation")?,
        authors: text("authors")?,
    })
}

pub(super) fn layers(value: TomlValue) -> Result<Vec<LayerSpec>> {
    let list = value.list()?;
    if list.is_empty() {
        return Err(value.blame(Error::input("`layer` is empty").with_hint("leave the key out instead")));
    }
    list.into_iter().map(layer).collect()
}

fn layer(value: TomlValue) -> Result<LayerSpec> {
    let table = value.table()?;
    let name = table.take("name").map(|value| value.text()).transpose()?;
    let add = table.take("add");
    table.finish()?;
    let add = add.ok_or_else(|| {
        table.blame(Error::input("a layer has no `add`").with_hint(r#"add = [{ from = "target/app", to = "/bin/" }]"#))
    })?;
    let adds: Vec<AddSpec> = add.list()?.into_iter().map(self::add).collect::<Result<_>>()?;
    if adds.is_empty() {
        return Err(add.blame(Error::input("a layer adds nothing").with_hint("leave the layer out instead")));
    }
    Ok(LayerSpec { name, adds })
}

fn add(value: TomlValue) -> Result<AddSpec> {
    let table = value.table()?;
    let (from, to) = (table.take("from"), table.take("to"));
    let mode = table.take("mode").map(mode).transpose()?;
    let owner = table.take("owner").map(|value| value.parse(str::parse)).transpose()?.unwrap_or(Owner::ROOT);
    let exclude = table.take("exclude").map(exclude).transpose()?.unwrap_or_default();
    table.finish()?;
    let missing = |key| table.blame(Error::input(format!("an add has no `{key}`")));
    let from = from.ok_or_else(|| missing("from"))?;
    let to = to.ok_or_else(|| missing("to"))?;
    to.parse(super::check_destination)?;
    Ok(AddSpec {
        from: from.parse(|text| super::check_pattern(text).map(|()| AddOrigin::Context(text.to_owned())))?,
        to: to.string()?.to_owned(),
        mode,
        owner,
        exclude,
        place: Some(from.place()),
    })
}

/// A string, or an integer that is written in octal.
fn mode(value: TomlValue) -> Result<Mode> {
    match value.integer() {
        Some((digits, 8)) => Mode::parse(digits).map_err(|error| value.blame(error)),
        Some((digits, _)) => {
            let octal = if Mode::parse(digits).is_ok() { digits } else { "755" };
            let hint = format!("write it as a string, mode = \"0{octal}\", or as 0o{octal}");
            Err(value.blame(Error::input("`mode` is not octal").with_hint(hint)))
        }
        None => value.parse(Mode::parse),
    }
}

fn exclude(value: TomlValue) -> Result<Vec<String>> {
    let patterns = value.list()?;
    patterns.iter().map(|pattern| pattern.parse(|text| super::check_exclude(text).map(|()| text.to_owned()))).collect()
}

pub(super) fn config(value: TomlValue) -> Result<Settings> {
    let table = value.table()?;
    let mut settings = Settings::default();
    let command = |key| table.take(key).map(|value| value.strings()).transpose();
    settings.entrypoint = command("entrypoint")?;
    settings.cmd = command("cmd")?;
    settings.shell = command("shell")?;
    settings.on_build = command("on-build")?;
    if let Some(value) = table.take("env") {
        environment(&mut settings, &value)?;
    }
    if let Some(value) = table.take("user") {
        settings.user = value.parse(setting::user)?;
    }
    if let Some(value) = table.take("workdir") {
        settings.working_dir = value.parse(setting::absolute)?;
    }
    if let Some(value) = table.take("stop-signal") {
        settings.stop_signal = value.parse(setting::stop_signal)?;
    }
    if let Some(value) = table.take("ports") {
        for port in value.list()? {
            match port.integer() {
                Some((digits, _)) => setting::expose(&mut settings, digits).map_err(|error| port.blame(error))?,
                None => port.parse(|text| setting::expose(&mut settings, text))?,
            }
        }
    }
    if let Some(value) = table.take("volumes") {
        for volume in value.list()? {
            volume.parse(|text| setting::add_volume(&mut settings, text))?;
        }
    }
    settings.healthcheck = table.take("healthcheck").map(healthcheck).transpose()?;
    table.finish()?;
    Ok(settings)
}

/// A table, or a list of `NAME=value`; either keeps its order.
fn environment(settings: &mut Settings, value: &TomlValue) -> Result<()> {
    if value.is_array() {
        for variable in value.list()? {
            let before = settings.env.as_ref().map_or(0, Vec::len);
            variable.parse(|text| setting::set_variable(settings, text))?;
            if settings.env.as_ref().map_or(0, Vec::len) == before {
                return Err(variable.blame(Error::input("this variable is set twice")));
            }
        }
        return Ok(());
    }
    for variable in value.table()?.entries() {
        if variable.key.contains('=') {
            return Err(variable.blame_key(Error::input(format!("the variable's name `{}` has a `=`", variable.key))));
        }
        let text = format!("{}={}", variable.key, variable.string()?);
        setting::set_variable(settings, &text).map_err(|error| variable.blame_key(error))?;
    }
    Ok(())
}

fn healthcheck(value: TomlValue) -> Result<Healthcheck> {
    if value.is_string() {
        return value.parse(|text| match text {
            "none" => Ok(Healthcheck { test: vec!["NONE".to_owned()], ..Healthcheck::default() }),
            _ => Err(Error::input("a healthcheck is a table, or \"none\"")
                .with_hint(r#"healthcheck = { test = ["CMD", "/bin/app", "--health"], interval = "30s" }"#)),
        });
    }
    let table = value.table()?;
    let test = table.take("test");
    let duration = |key| table.take(key).map(|value| value.parse(setting::duration)).transpose();
    let mut healthcheck = Healthcheck {
        test: Vec::new(),
        interval: duration("interval")?.unwrap_or(0),
        timeout: duration("timeout")?.unwrap_or(0),
        start_period: duration("start-period")?.unwrap_or(0),
        start_interval: duration("start-interval")?.unwrap_or(0),
        retries: table.take("retries").map(retries).transpose()?.unwrap_or(0),
    };
    table.finish()?;
    let test = test.ok_or_else(|| {
        table.blame(Error::input("a healthcheck has no `test`").with_hint(r#"test = ["CMD", "/bin/app", "--health"]"#))
    })?;
    healthcheck.test = setting::health_test(test.strings()?).map_err(|error| test.blame(error))?;
    Ok(healthcheck)
}

fn retries(value: TomlValue) -> Result<u64> {
    let number = value.integer().and_then(|(digits, radix)| u32::from_str_radix(digits, radix).ok());
    number.map(u64::from).ok_or_else(|| value.blame(Error::input("`retries` is not a number of times, 0 or more")))
}

pub(super) fn pairs(value: TomlValue) -> Result<Map<String>> {
    let mut pairs = Map::new();
    for entry in value.table()?.entries() {
        let key = setting::label_key(entry.key).map_err(|error| entry.blame_key(error))?;
        pairs.insert(key.to_owned(), entry.string()?.to_owned());
    }
    Ok(pairs)
}

impl std::str::FromStr for Libc {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "musl" => Ok(Libc::Musl),
            "gnu" => Ok(Libc::Gnu),
            _ => Err(Error::input(format!("unknown libc `{text}`")).with_hint("known ones are musl and gnu")),
        }
    }
}

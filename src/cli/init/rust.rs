//! Rust programs: the binaries of a package, or of a workspace.

use toml::Table;

use super::draft::{Draft, RecipeForm};
use super::look::LookedAt;
use super::program::{Program, chosen};
use super::quote::{is_plain, is_plain_path, plain, toml_string};
use crate::error::{Error, Result};

/// What it goes by.
pub const MANIFEST: &str = "Cargo.toml";

/// In bytes. A longer text is no description.
const LONGEST_FACT: usize = 300;

/// What was seen of a package or a workspace.
struct RustProject {
    seen: Vec<String>,
    /// The program that is to be run, and the package that has it.
    program: Program,
    /// `Cargo.lock` is there.
    is_locked: bool,
    /// The version that `rust-toolchain.toml` asks for.
    toolchain: Option<String>,
    description: Option<String>,
    licenses: Option<String>,
}

/// Returns a recipe for the program `wanted`, or the one that is there. Fails if it is not clear which.
pub fn draft(directory: &LookedAt, form: Option<RecipeForm>, wanted: Option<&str>) -> Result<Draft> {
    let project = RustProject::look(directory, wanted)?;
    let form = form.unwrap_or(RecipeForm::Spec);
    let (body, before) = match form {
        RecipeForm::Spec => (project.spec(), project.compile()),
        RecipeForm::Dockerfile => (project.dockerfile(), Vec::new()),
    };
    let (name, seen) = (project.program.name, project.seen);
    Ok(Draft {
        title: "a Rust program".to_owned(),
        name,
        form,
        seen,
        body,
        ignored: &["target"],
        before,
        left_open: None,
    })
}

impl RustProject {
    fn look(directory: &LookedAt, wanted: Option<&str>) -> Result<Self> {
        let manifest = directory.toml(MANIFEST)?.ok_or_else(|| Error::not_found(format!("there is no {MANIFEST}")))?;
        let mut seen = Vec::new();
        let mut programs = Vec::new();
        let mut default = None;
        if manifest.contains_key("package") {
            default = text(&manifest, "package", "default-run").map(str::to_owned);
            programs.extend(programs_of(directory, "", &manifest, &mut seen)?);
        }
        for member in members(directory, &manifest) {
            if let Some(manifest) = directory.toml(&format!("{member}/{MANIFEST}"))? {
                programs.extend(programs_of(directory, &format!("{member}/"), &manifest, &mut seen)?);
            }
        }
        let program = chosen(programs, wanted, default.as_deref().or(text(&manifest, "package", "name")), MANIFEST)?;
        let is_locked = directory.has("Cargo.lock");
        if is_locked {
            seen.push("Cargo.lock: the versions of what it depends on".to_owned());
        }
        let toolchain = toolchain(directory);
        seen.extend(toolchain.iter().map(|channel| format!("rust-toolchain.toml: the toolchain {channel}")));
        let fact = |key: &str| {
            let text = text(&manifest, "package", key)
                .or_else(|| text(manifest.get("workspace")?.as_table()?, "package", key))?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty() && text.len() <= LONGEST_FACT)
        };
        let (description, licenses) = (fact("description"), fact("license"));
        Ok(RustProject { seen, program, is_locked, toolchain, description, licenses })
    }

    /// The words that compile the program.
    fn cargo(&self) -> String {
        let locked = if self.is_locked { " --locked" } else { "" };
        let package = self.program.package.as_ref().map(|name| format!(" --package {name}")).unwrap_or_default();
        format!("cargo build --release{locked}{package} --bin {}", self.program.name)
    }

    fn compile(&self) -> Vec<String> {
        let triple =
            crate::oci::Platform::host().triple("musl").unwrap_or_else(|| "x86_64-unknown-linux-musl".to_owned());
        vec![format!("rustup target add {triple}"), format!("{} --target {triple}", self.cargo())]
    }

    fn spec(&self) -> String {
        let name = &self.program.name;
        let about =
            [("title", Some(name)), ("description", self.description.as_ref()), ("licenses", self.licenses.as_ref())];
        let about = about.iter().filter_map(|(key, text)| Some(format!("{key} = {}\n", toml_string(text.as_ref()?))));
        let compile: String = self.compile().iter().map(|line| format!("#   {line}\n")).collect();
        format!(
            "# The program is compiled first, for each platform that the image is to have:\n#\n{compile}#\n\
             # {{triple}} is the target of the platform. For another one than this machine's, or several, say so here:\n\
             # platforms = [\"linux/amd64\", \"linux/arm64\"]\n\
             libc = \"musl\"\n\n\
             # Nothing but the program. With certificates and time zones: \"gcr.io/distroless/static-debian12\".\n\
             base = \"scratch\"\n\n\
             {about}\n\
             [[layer]]\n\
             add = [{{ from = \"target/{{triple}}/release/{name}\", to = \"/usr/bin/\", mode = \"0755\" }}]\n\n\
             [config]\n\
             entrypoint = [\"/usr/bin/{name}\"]\n\
             user = \"65532:65532\"\n",
            about = about.collect::<String>(),
        )
    }

    fn dockerfile(&self) -> String {
        let name = &self.program.name;
        let version = self.toolchain.as_deref().unwrap_or("1");
        format!(
            "FROM rust:{version}-slim-bookworm AS build\n\
             WORKDIR /src\n\
             COPY . .\n\
             RUN --mount=type=cache,target=/usr/local/cargo/registry \\\n    \
                 --mount=type=cache,target=/src/target \\\n    \
                 {cargo} && \\\n    \
                 mkdir -p /out && cp target/release/{name} /out/\n\n\
             FROM debian:bookworm-slim\n\
             COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/\n\
             COPY --from=build /out/{name} /usr/local/bin/\n\
             USER 65532:65532\n\
             ENTRYPOINT [\"/usr/local/bin/{name}\"]\n",
            cargo = self.cargo(),
        )
    }
}

fn text<'a>(manifest: &'a Table, section: &str, key: &str) -> Option<&'a str> {
    manifest.get(section)?.get(key)?.as_str()
}

/// The programs of the package whose manifest lies in `place`, as cargo finds them.
fn programs_of(directory: &LookedAt, place: &str, manifest: &Table, seen: &mut Vec<String>) -> Result<Vec<Program>> {
    let file = format!("{place}{MANIFEST}");
    let Some(package) = text(manifest, "package", "name") else { return Ok(Vec::new()) };
    let package = plain(package, &file, "the name of the package")?;
    let mut names = Vec::new();
    let mut paths = Vec::new();
    for bin in manifest.get("bin").and_then(|bins| bins.as_array()).into_iter().flatten() {
        names.extend(
            bin.get("name")
                .and_then(|name| name.as_str())
                .map(|name| plain(name, &file, "the name of a program"))
                .transpose()?,
        );
        paths.extend(bin.get("path").and_then(|path| path.as_str()));
    }
    let is_automatic = manifest.get("package").and_then(|package| package.get("autobins")?.as_bool()) != Some(false);
    let mut add = |name: &str, path: &str| {
        if is_automatic && is_plain(name) && !paths.contains(&path) && directory.has(&format!("{place}{path}")) {
            names.push(name.to_owned());
        }
    };
    add(&package, "src/main.rs");
    for name in directory.names(&format!("{place}src/bin")) {
        match name.strip_suffix(".rs") {
            Some(stem) => add(stem, &format!("src/bin/{name}")),
            None => add(&name, &format!("src/bin/{name}/main.rs")),
        }
    }
    names.sort();
    names.dedup();
    let facts = ["version", "edition", "rust-version"]
        .into_iter()
        .filter_map(|key| Some(format!(", {key} {}", text(manifest, "package", key)?)));
    let programs = if names.is_empty() { "no program".to_owned() } else { format!("programs {}", names.join(", ")) };
    seen.push(format!("{file}: the package {package}{}: {programs}", facts.collect::<String>()));
    let of = |name| Program { name, package: (!place.is_empty()).then(|| package.clone()), path: place.to_owned() };
    Ok(names.into_iter().map(of).collect())
}

/// The directories of a workspace's members: those that are named, and those that a last `*` stands for.
fn members(directory: &LookedAt, manifest: &Table) -> Vec<String> {
    let named =
        manifest.get("workspace").and_then(|workspace| workspace.get("members")?.as_array()).into_iter().flatten();
    let mut all = Vec::new();
    for member in named.filter_map(|member| member.as_str()) {
        match member.trim_end_matches('/').strip_suffix('*') {
            Some("") => all.extend(directory.names(".")),
            Some(above) => all.extend(directory.names(above).into_iter().map(|name| format!("{above}{name}"))),
            None => all.push(member.trim_end_matches('/').trim_start_matches("./").to_owned()),
        }
    }
    all.retain(|path| is_plain_path(path) && directory.has(&format!("{path}/{MANIFEST}")));
    all
}

/// The version that the directory pins, if it is one that an image can have.
fn toolchain(directory: &LookedAt) -> Option<String> {
    let table: Table = directory.glance("rust-toolchain.toml")?.parse().ok()?;
    let channel = table.get("toolchain")?.get("channel")?.as_str()?;
    let is_version =
        channel.starts_with(|c: char| c.is_ascii_digit()) && channel.chars().all(|c| c.is_ascii_digit() || c == '.');
    (is_version && is_plain(channel)).then(|| channel.to_owned())
}

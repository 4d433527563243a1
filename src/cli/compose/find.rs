//! The files of a project, and the variables that it is read with: found as docker compose finds them.

use std::env;
use std::fs::File;
use std::io;
use std::path::{self, Path, PathBuf};

use clap::Args;

use crate::cli::build::keep_input;
use crate::cli::print::tell;
use crate::cli::text_file::read_text;
use crate::error::{Error, Result};
use crate::oci::Map;
use crate::plan::compose::{ComposeFile, ComposeReader, Project, ProjectRequest, clean, dotenv};
use crate::plan::quantity;

/// The flags that say which project is meant.
#[derive(Debug, Args)]
pub struct ProjectFlags {
    /// Compose file, later ones override earlier ones; - is standard input [default: compose.yaml, docker-compose.yml]
    #[arg(short, long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Directory that paths are relative to [default: that of the first file]
    #[arg(long, alias = "workdir", value_name = "DIR")]
    project_directory: Option<PathBuf>,
    /// Name of the project [default: `name:` of the file, or its directory's]
    #[arg(short, long, value_name = "NAME")]
    project_name: Option<String>,
    /// Turn services of a profile on
    #[arg(long, value_name = "PROFILE")]
    profile: Vec<String>,
    /// File of variables [default: .env]
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Keep what no service uses, with `config`
    #[arg(long)]
    pub all_resources: bool,
    /// Show what would be done
    #[arg(long)]
    pub dry_run: bool,
    #[arg(long, hide = true)]
    ansi: Option<String>,
    #[arg(long, hide = true, allow_hyphen_values = true)]
    parallel: Option<String>,
    #[arg(long, hide = true)]
    pub compatibility: bool,
    #[arg(long, hide = true)]
    verbose: bool,
}

/// The names that a compose file has, the first ones first.
const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

/// The names of a file that is laid over it.
const OVERRIDES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];

/// The largest file, in bytes; far more than any compose file needs.
const LARGEST: u64 = 4 << 20;

/// What is left as it is in a project that is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct LeftAlone {
    /// Variables.
    pub variables: bool,
    /// Paths.
    pub paths: bool,
    /// What may be missing.
    pub is_unchecked: bool,
    /// What the files leave unsaid.
    pub is_left_unsaid: bool,
}

impl ProjectFlags {
    /// Reads the project that these flags mean; `services` are named on the command line.
    pub fn read(&self, services: &[String], left: LeftAlone) -> Result<Project> {
        let here = env::current_dir().map_err(|source| Error::io("find", "the working directory", source))?;
        let found = self.find(&here)?;
        let usual_name = found.variable("COMPOSE_PROJECT_NAME");
        let name = self.project_name.as_deref().or(usual_name).filter(|name| !name.is_empty());
        // One without a name is on as long as none is named.
        let usual = found.variable("COMPOSE_PROFILES").unwrap_or_default();
        let usual: Vec<String> = usual.split(',').map(|profile| profile.trim().to_owned()).collect();
        let request = ProjectRequest {
            files: &found.files,
            directory: &found.directory,
            name,
            usual_name: None,
            profiles: if self.profile.is_empty() { &usual } else { &self.profile },
            services,
            is_unchecked: left.is_unchecked,
            is_left_unsaid: left.is_left_unsaid,
            variables: found.variables.clone(),
        };
        let reader = ComposeReader {
            read: &|path| read(path, &shown(path, &here)),
            warn: &|text| tell(&format!("warning: {text}")),
            interpolates: !left.variables,
            resolves_paths: !left.paths,
            kept: None,
        };
        Project::read(request, &reader)
    }

    fn find(&self, here: &Path) -> Result<FoundFiles> {
        let whole = |path: &Path| clean(&here.join(path));
        let mut found = FoundFiles { variables: variables(here), files: Vec::new(), directory: here.to_owned() };
        let of_first = |files: &[PathBuf]| {
            let first = files.first().filter(|file| *file != Path::new("-"))?;
            whole(first).parent().map(Path::to_owned)
        };
        let named = self.project_directory.as_deref().map(whole);
        let first = named.clone().or_else(|| of_first(&self.file)).unwrap_or_else(|| here.to_owned());
        let variable_files = match &self.env_file[..] {
            [] => found.variable("COMPOSE_ENV_FILES").map(list).unwrap_or_default().iter().map(PathBuf::from).collect(),
            given => given.to_vec(),
        };
        let is_usual = variable_files.is_empty() && !found.is_on("COMPOSE_DISABLE_ENV_FILE");
        match is_usual {
            true => found.take_usual_variables(&first, here)?,
            false => found.take_variables(&variable_files.iter().map(|file| whole(file)).collect::<Vec<_>>(), here)?,
        }
        let files = match &self.file[..] {
            [] => match found.variable("COMPOSE_FILE").filter(|files| !files.is_empty()) {
                Some(files) => {
                    let separator =
                        found.variable("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty()).unwrap_or(":");
                    files.split(separator).map(PathBuf::from).collect()
                }
                None => usual_files(&first)?,
            },
            given => given.to_vec(),
        };
        found.directory = named.or_else(|| of_first(&files)).unwrap_or_else(|| here.to_owned());
        if is_usual && found.directory != first {
            found.take_usual_variables(&found.directory.clone(), here)?;
        }
        for file in files {
            found.files.push(match file == Path::new("-") {
                true => standard_input(here)?,
                false => {
                    let path = whole(&file);
                    ComposeFile { shown: shown(&path, here), path, text: None }
                }
            });
        }
        Ok(found)
    }
}

struct FoundFiles {
    variables: Map<String>,
    files: Vec<ComposeFile>,
    directory: PathBuf,
}

impl FoundFiles {
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        self.variable(name).and_then(quantity::boolean) == Some(true)
    }

    /// Takes the variables of `.env` in `directory`, if there is one.
    fn take_usual_variables(&mut self, directory: &Path, here: &Path) -> Result<()> {
        let file = directory.join(".env");
        match file.is_file() {
            true => self.take_variables(&[file], here),
            false => Ok(()),
        }
    }

    /// Takes the variables of `files` that are not set: of two files, those of the later one.
    fn take_variables(&mut self, files: &[PathBuf], here: &Path) -> Result<()> {
        let mut taken = Map::new();
        for file in files {
            let shown = shown(file, here);
            let text = read(file, &shown)?;
            let text = text.ok_or_else(|| Error::not_found(format!("there is no file of variables {shown}")))?;
            let known = |name: &str| self.variables.get(name).or_else(|| taken.get(name)).cloned();
            let unset = |name: &str| {
                tell(&format!("warning: The \"{name}\" variable is not set. Defaulting to a blank string."));
            };
            taken.extend(dotenv::read(&shown, &text, &known, &unset)?);
        }
        for (name, value) in taken {
            self.variables.entry(name).or_insert(value);
        }
        Ok(())
    }
}

/// The variables of the environment, and the working directory among them.
fn variables(here: &Path) -> Map<String> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let mut variables: Map<String> = env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
    variables.insert("PWD".to_owned(), here.to_string_lossy().into_owned());
    variables
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// The file that has a usual name, and the one that is laid over it, in `directory` or the nearest above it.
fn usual_files(directory: &Path) -> Result<Vec<PathBuf>> {
    for directory in directory.ancestors() {
        let there = |names: &[&str]| -> Vec<PathBuf> {
            names.iter().map(|name| directory.join(name)).filter(|file| file.is_file()).collect()
        };
        let files = there(&NAMES);
        let Some(file) = files.first() else { continue };
        if files.len() > 1 {
            tell(&format!(
                "warning: there are {} compose files in {}: using {}",
                files.len(),
                directory.display(),
                name(file)
            ));
        }
        let overrides = there(&OVERRIDES);
        return Ok([file].into_iter().chain(overrides.first()).cloned().collect());
    }
    Err(Error::not_found(format!("there is no compose file in {} or above it", directory.display()))
        .with_hint(format!("name one with -f; by default it is one of {}", NAMES.join(", "))))
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// A path as the user knows it.
fn shown(path: &Path, here: &Path) -> String {
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// Returns the text of a file; none if there is no such file.
pub fn read(path: &Path, shown: &str) -> Result<Option<String>> {
    match File::open(path) {
        Ok(_) if path.is_dir() => Ok(None),
        Ok(file) => read_text(file, shown, LARGEST, "compose file").map(Some),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Error::io("read", shown, source)),
    }
}

/// What comes on standard input, which can be read again.
fn standard_input(here: &Path) -> Result<ComposeFile> {
    let bytes = keep_input().map_err(|source| Error::io("read", "standard input", source))?;
    let text = String::from_utf8(bytes).map_err(|_| Error::input("the compose file on standard input is not UTF-8"))?;
    let path = path::absolute(here.join("-")).unwrap_or_else(|_| PathBuf::from("-"));
    Ok(ComposeFile { path, shown: "(standard input)".to_owned(), text: Some(text) })
}

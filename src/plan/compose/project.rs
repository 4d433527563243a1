//! A whole project: its services, and which of them are meant.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::load::{ComposeFile, ComposeReader, Loading, Scope};
use super::node::Node;
use super::service_build::ServiceBuild;
use super::{check, normal, project_name};
use crate::error::{Error, Result, suggestion};
use crate::oci::Map;

/// What is asked of compose files.
pub struct ProjectRequest<'a> {
    /// The files, the later ones laid over the earlier.
    pub files: &'a [ComposeFile],
    /// The directory that paths are relative to; whole.
    pub directory: &'a Path,
    /// The name, if it does not come from the files.
    pub name: Option<&'a str>,
    /// The variables, those of the environment before those of files.
    pub variables: Map<String>,
    /// The profiles that are on; `*` for all.
    pub profiles: &'a [String],
    /// The services that are named, which need no profile.
    pub services: &'a [String],
    /// Leave out checks of whether all is there that is named.
    pub is_unchecked: bool,
}

/// What compose files say together.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The directory that it lies in.
    pub directory: PathBuf,
    /// The variables that it was read with.
    pub variables: Map<String>,
    /// All that the files say, in its one form.
    pub file: Node,
    active: BTreeSet<String>,
}

impl Project {
    /// Reads the files of `request` by `reader`. Fails for what is wrong in them; the error shows the line.
    pub fn read(request: ProjectRequest<'_>, reader: &ComposeReader<'_>) -> Result<Project> {
        let loading = Loading::new(reader);
        let ProjectRequest { files, directory, mut variables, .. } = request;
        let name = match request.name {
            Some(name) => project_name::checked(name)?,
            None => name_of(&loading, files, directory, &variables)?,
        };
        variables.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
        let mut file = loading.files(files, Scope { directory, variables: &variables }, &[])?;
        if reader.interpolates {
            normal::normalize(&mut file, &name, &variables);
        }
        let mut project = Project { name, directory: directory.to_owned(), variables, file, active: BTreeSet::new() };
        project.activate(request.profiles, request.services)?;
        if !request.is_unchecked && reader.interpolates {
            check::project(&project)?;
        }
        Ok(project)
    }

    fn activate(&mut self, profiles: &[String], named: &[String]) -> Result<()> {
        let is_on = |service: &Node| {
            let mut own = service.values_of("profiles").iter().filter_map(Node::text).peekable();
            own.peek().is_none() || own.any(|own| profiles.iter().any(|profile| profile == own || profile == "*"))
        };
        let mut active: BTreeSet<String> = self
            .file
            .entries_of("services")
            .filter(|(_, service)| is_on(service))
            .map(|(name, _)| name.clone())
            .collect();
        for name in named {
            self.named(name)?;
            active.insert(name.clone());
        }
        self.active = active;
        Ok(())
    }

    /// Returns the service `name`, on or not. Fails if there is none.
    pub fn named(&self, name: &str) -> Result<&Node> {
        self.service(name).ok_or_else(|| {
            let error = Error::not_found(format!("no such service: {name}"));
            match suggestion(name, self.service_names()) {
                Some(near) => error.with_hint(format!("did you mean `{near}`?")),
                None => error.with_hint("`config --services` lists what there is"),
            }
        })
    }

    /// Returns the service `name`, on or not; none if there is none.
    pub fn service(&self, name: &str) -> Option<&Node> {
        self.file.get("services")?.get(name)
    }

    /// Returns the names of all services.
    pub fn service_names(&self) -> impl Iterator<Item = &str> {
        self.file.entries_of("services").map(|(name, _)| name.as_str())
    }

    /// Returns the services that are on, by their names.
    pub fn services(&self) -> impl Iterator<Item = (&str, &Node)> {
        let is_on = |(name, _): &(&String, &Node)| self.active.contains(*name);
        self.file.entries_of("services").filter(is_on).map(|(name, node)| (name.as_str(), node))
    }

    /// Returns the services that `names` mean, or all that are on if there are none, with those that they depend on, or not.
    pub fn selected(&self, names: &[String], with_dependencies: bool) -> Result<BTreeMap<&str, &Node>> {
        let mut selected = BTreeMap::new();
        let mut left: Vec<&str> = match names.is_empty() {
            true => self.services().map(|(name, _)| name).collect(),
            false => names.iter().map(String::as_str).collect(),
        };
        while let Some(name) = left.pop() {
            let (name, service) =
                match self.file.get("services").and_then(Node::mapping).and_then(|all| all.get_key_value(name)) {
                    Some((name, service)) => (name.as_str(), service),
                    None => return Err(self.named(name).err().unwrap_or_else(|| Error::not_found("no such service"))),
                };
            if selected.insert(name, service).is_none() && with_dependencies {
                let is_there = |name: &&str| self.service(name).is_some();
                left.extend(service.entries_of("depends_on").map(|(name, _)| name.as_str()).filter(is_there));
            }
        }
        Ok(selected)
    }

    /// Returns what is built of `names`, of all that are on if there are none, each behind those whose images it takes from.
    /// Fails for what `build:` says wrongly, and where images take from each other in a circle.
    pub fn builds(&self, names: &[String], with_dependencies: bool) -> Result<Vec<ServiceBuild>> {
        let mut ordered = Ordered { project: self, builds: Vec::new(), done: BTreeSet::new(), open: Vec::new() };
        for (name, service) in self.selected(names, with_dependencies)? {
            ordered.add(name, service)?;
        }
        Ok(ordered.builds)
    }

    /// Returns what `build:` of the service `name` says; none if it says nothing.
    pub fn build_of(&self, name: &str) -> Result<Option<ServiceBuild>> {
        ServiceBuild::read(self, name, self.named(name)?)
    }
}

/// Builds in the order in which they can be done.
struct Ordered<'a> {
    project: &'a Project,
    builds: Vec<ServiceBuild>,
    done: BTreeSet<String>,
    open: Vec<String>,
}

impl Ordered<'_> {
    fn add(&mut self, name: &str, service: &Node) -> Result<()> {
        if self.done.contains(name) {
            return Ok(());
        }
        if self.open.iter().any(|open| open == name) || self.open.len() > 200 {
            let way = self.open.join(", ");
            let error = Error::input(format!("services are built on each other in a circle: {way}, {name}"));
            return Err(service.get("build").unwrap_or(service).blame_key(error));
        }
        let Some(build) = ServiceBuild::read(self.project, name, service)? else { return Ok(()) };
        self.open.push(name.to_owned());
        for (_, other) in &build.service_contexts {
            self.add(other, self.project.named(other)?)?;
        }
        self.open.pop();
        self.done.insert(name.to_owned());
        self.builds.push(build);
        Ok(())
    }
}

/// The name that the last file gives, or else the directory.
fn name_of(loading: &Loading<'_>, files: &[ComposeFile], directory: &Path, variables: &Map<String>) -> Result<String> {
    let mut named = None;
    for file in files {
        for document in loading.documents(file)? {
            named = document.get("name").cloned().or(named);
        }
    }
    if let Some(mut node) = named {
        loading.interpolate(&mut node, Scope { directory, variables })?;
        let text = node.text().ok_or_else(|| node.blame(Error::input(format!("the name is {}", node.kind()))))?;
        return project_name::checked(text).map_err(|error| node.blame(error));
    }
    let name = directory.file_name().map(|name| project_name::of_directory(&name.to_string_lossy()));
    name.filter(|name| !name.is_empty()).ok_or_else(|| {
        Error::input("the project has no name: the one of its directory has no letter that a name can have")
            .with_hint("give one with `name:` at the top of the file, or -p NAME")
    })
}

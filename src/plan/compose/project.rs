//! A whole project: read, and what is built of it.

use std::collections::BTreeSet;
use std::path::Path;

use super::load::{ComposeFile, ComposeReader, Loading, ProjectScope};
use super::model::Project;
use super::node::YamlNode;
use super::service_build::ServiceBuild;
use super::shape::KeyTrail;
use super::{check, normal, project_name, schema};
use crate::error::{Error, Result};
use crate::oci::Map;

/// What is asked of compose files.
pub struct ProjectRequest<'a> {
    /// The files, the later ones laid over the earlier.
    pub files: &'a [ComposeFile],
    /// The directory that paths are relative to; whole.
    pub directory: &'a Path,
    /// The name, if it does not come from the files.
    pub name: Option<&'a str>,
    /// The name if nothing else says one; else it is the directory's.
    pub usual_name: Option<&'a str>,
    /// The variables, those of the environment before those of files.
    pub variables: Map<String>,
    /// The profiles that are on; `*` for all.
    pub profiles: &'a [String],
    /// The services that are named, which need no profile.
    pub services: &'a [String],
    /// Leave out checks of whether all is there that is named.
    pub is_unchecked: bool,
    /// Leave out what the files leave unsaid: names of resources, the default network.
    pub is_left_unsaid: bool,
}

impl Project {
    /// Reads the files of `request` by `reader`. Fails for what is wrong in them; the error shows the line.
    pub fn read(request: ProjectRequest<'_>, reader: &ComposeReader<'_>) -> Result<Project> {
        let loading = Loading::new(reader);
        let ProjectRequest { files, directory, mut variables, .. } = request;
        let name = match request.name {
            Some(name) => project_name::checked(name)?,
            None => match (named_by(&loading, files, directory, &variables)?, request.usual_name) {
                (Some(name), _) => name,
                (None, Some(name)) => name.to_owned(),
                (None, None) => name_of(directory)?,
            },
        };
        variables.insert("COMPOSE_PROJECT_NAME".to_owned(), name.clone());
        let mut file = loading.files(files, ProjectScope { directory, variables: &variables }, &[])?;
        let named = file.with_text(name.clone());
        if let Some(mapping) = file.mapping_mut() {
            mapping.insert("name".to_owned(), named);
        }
        if !request.is_left_unsaid && reader.kept.is_none() {
            // Where variables are left in, those without a value are, too.
            let none = Map::new();
            normal::normalize(&mut file, &name, if reader.interpolates { &variables } else { &none });
        }
        if reader.interpolates {
            file = schema::FILE.decoded(normal::without_nothing(file), &KeyTrail::TOP)?;
        }
        let mut project = Project { name, directory: directory.to_owned(), variables, file, active: BTreeSet::new() };
        project.activate(request.profiles);
        if !request.is_unchecked && reader.interpolates {
            check::project(&project)?;
            normal::spread_scale(&mut project.file);
        }
        project.activate_named(request.profiles, request.services)?;
        Ok(project)
    }

    fn activate(&mut self, profiles: &[String]) {
        let is_on = |service: &YamlNode| {
            let mut own = service.values_of("profiles").iter().filter_map(YamlNode::text).peekable();
            own.peek().is_none() || own.any(|own| profiles.iter().any(|profile| profile == own || profile == "*"))
        };
        let services = self.file.entries_of("services").filter(|(_, service)| is_on(service));
        self.active = services.map(|(name, _)| name.clone()).collect();
    }

    /// Turns on what is named, and what has a profile of what is named.
    fn activate_named(&mut self, profiles: &[String], named: &[String]) -> Result<()> {
        let mut profiles = profiles.to_vec();
        for name in named {
            let service = self.named(name)?;
            if !self.active.contains(name) {
                profiles.extend(service.values_of("profiles").iter().filter_map(YamlNode::scalar));
            }
        }
        self.activate(&profiles);
        Ok(())
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
    fn add(&mut self, name: &str, service: &YamlNode) -> Result<()> {
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

/// The name that the last file gives which gives one.
fn named_by(
    loading: &Loading<'_>,
    files: &[ComposeFile],
    directory: &Path,
    variables: &Map<String>,
) -> Result<Option<String>> {
    let mut named = None;
    for file in files {
        for document in loading.documents(file)? {
            let given = document.get("name").filter(|node| node.scalar().is_some_and(|text| !text.is_empty()));
            named = given.cloned().or(named);
        }
    }
    let Some(mut node) = named else { return Ok(None) };
    loading.interpolate(&mut node, ProjectScope { directory, variables })?;
    let text = node.scalar().unwrap_or_default();
    normalized_name(&text).map(Some).map_err(|error| node.blame(error))
}

/// The name of a project that lies in `directory` and has no other.
fn name_of(directory: &Path) -> Result<String> {
    normalized_name(&directory.file_name().map(|name| name.to_string_lossy()).unwrap_or_default())
}

fn normalized_name(text: &str) -> Result<String> {
    match project_name::normalized(text) {
        name if !name.is_empty() => Ok(name),
        _ => Err(Error::input(format!("the project has no name: `{text}` has no letter that a name can have"))
            .with_hint("give one with `name:` at the top of the file, or -p NAME")),
    }
}

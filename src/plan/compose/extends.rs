//! `extends`: a service that begins as another one is, of the same file or of another.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::load::{ComposeFile, Loading, ProjectScope, not_elsewhere};
use super::merge::merge;
use super::node::{NodeMapping, YamlNode};
use super::schema;
use crate::error::{Error, Result, suggestion};

/// The most services that may extend each other in a row.
const LONGEST: usize = 100;

/// The services on the way to one, each with its file.
type ExtendsChain = Vec<(PathBuf, String)>;

/// Where services are looked for.
#[derive(Clone, Copy)]
struct Services<'a> {
    all: &'a NodeMapping,
    file: &'a Path,
    scope: ProjectScope<'a>,
}

impl Loading<'_> {
    /// Puts what the services of `document` extend into them.
    pub fn extend(&self, document: &mut YamlNode, file: &ComposeFile, scope: ProjectScope<'_>) -> Result<()> {
        let Some(services) = document.mapping_mut().and_then(|mapping| mapping.get_mut("services")) else {
            return Ok(());
        };
        if services.mapping().is_none() {
            let error = Error::input(format!("services is {}, but it must be a mapping", services.kind()));
            return Err(services.blame_key(error));
        }
        let Some(all) = services.mapping_mut() else { return Ok(()) };
        let before = all.clone();
        for (name, service) in all.iter_mut() {
            if service.get("extends").is_some() {
                let key = service.key.clone();
                let found = Services { all: &before, file: &file.path, scope };
                *service = YamlNode { key, ..self.extended(name, found, &mut Vec::new())? };
            }
        }
        Ok(())
    }

    /// Returns the service `name` with all that it extends.
    fn extended(&self, name: &str, services: Services<'_>, chain: &mut ExtendsChain) -> Result<YamlNode> {
        let Some(service) = services.all.get(name) else {
            return Err(Error::not_found(format!("there is no service `{name}`")));
        };
        let Some(extends) = service.get("extends") else {
            self.spend_extended(service)?;
            return Ok(service.clone());
        };
        let step = (services.file.to_owned(), name.to_owned());
        if chain.len() >= LONGEST {
            let error = Error::input(format!("more than {LONGEST} services extend each other in a row"));
            return Err(extends.blame(error));
        }
        if chain.contains(&step) {
            let way = chain.iter().map(|(file, name)| format!("{name} in {}", file.display())).collect();
            return Err(extends.blame(Error::input(format!("the service `{name}` extends itself"))).with_details(way));
        }
        chain.push(step);
        let (wanted, other) = match extends.text() {
            Some(text) => (text, None),
            None => (extends.text_of("service").unwrap_or_default(), extends.get("file")),
        };
        if wanted.is_empty() {
            return Err(extends.blame(Error::input("`extends` does not say which service")));
        }
        let mut base = match other {
            Some(file) => self.base_of_file(wanted, file, extends, services.scope, chain)?,
            None if !services.all.contains_key(wanted) => return Err(missing(extends, wanted, services.all)),
            None => self.extended(wanted, services, chain)?,
        };
        base.unmark();
        let mut own = service.clone();
        if let Some(mapping) = own.mapping_mut() {
            mapping.remove("extends");
        }
        let mark = own.mark;
        own.mark = Default::default();
        let merged = merge(base, own, &mut vec!["services", name])?;
        Ok(YamlNode { mark, ..merged })
    }

    /// The service of another file, with its paths made whole there.
    fn base_of_file(
        &self,
        wanted: &str,
        file: &YamlNode,
        extends: &YamlNode,
        scope: ProjectScope<'_>,
        chain: &mut ExtendsChain,
    ) -> Result<YamlNode> {
        let Some(text) = file.text() else {
            return Err(file.blame(Error::input(format!("the file is {}, but it must be a path", file.kind()))));
        };
        not_elsewhere(file)?;
        let path = self.paths(scope).path(text);
        let all = self.services_of(&path, text, file, scope)?;
        if !all.contains_key(wanted) {
            return Err(missing(extends, wanted, &all));
        }
        let directory = path.parent().unwrap_or(scope.directory);
        let scope = ProjectScope { directory, ..scope };
        let base = self.extended(wanted, Services { all: &all, file: &path, scope }, chain)?;
        let mut base = schema::SERVICE.canonical(base)?;
        self.paths(scope).service(&mut base)?;
        Ok(base)
    }

    fn services_of(
        &self,
        path: &Path,
        shown: &str,
        file: &YamlNode,
        scope: ProjectScope<'_>,
    ) -> Result<Rc<NodeMapping>> {
        if let Some(known) = self.others.borrow().get(path) {
            return Ok(known.clone());
        }
        let other = ComposeFile { path: path.to_owned(), shown: shown.to_owned(), text: None };
        let mut all = NodeMapping::new();
        for mut document in self.documents(&other).map_err(|error| file.blame(error))? {
            self.interpolate(&mut document, scope)?;
            if let Some(services) = document.get("services").and_then(YamlNode::mapping) {
                all.extend(services.clone());
            }
        }
        let all = Rc::new(all);
        self.others.borrow_mut().insert(path.to_owned(), all.clone());
        Ok(all)
    }
}

fn missing(extends: &YamlNode, wanted: &str, all: &NodeMapping) -> Error {
    let place = extends.get("service").unwrap_or(extends);
    let error = place.blame(Error::not_found(format!("there is no service `{wanted}` to extend")));
    match suggestion(wanted, all.keys().map(String::as_str)) {
        Some(near) => error.with_hint(format!("did you mean `{near}`?")),
        None => error,
    }
}

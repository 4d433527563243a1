//! The results of shards, in the registry.

use crate::error::{Error, ErrorKind, Result};
use crate::image::{Document, Existing, Reader};
use crate::oci::{Descriptor, Digest, Platform, Reference, media_type};
use crate::plan::shared::{PlanNode, RESULT_LIMIT, SharedPlan, read_result, result, result_tag};
use crate::progress::Progress;
use crate::registry::{Client, Repository};
use crate::store::{Graph, LocalStore, Store, read_document};

/// What to do where two machines have made two things of one node.
const DIFFERS: &str = "its commands do not produce the same result twice: shards that share a step cache (cache-to \
    and cache-from) run them once; else remove the tag of the result, or make a new plan";

/// The results of a plan.
pub struct Results<'a> {
    plan: &'a SharedPlan,
    digest: Digest,
    client: &'a Client,
    progress: Progress<'a>,
}

/// What was found of a node: the descriptor of its manifest, with the platform that its config says.
pub type FoundResult = Option<Descriptor>;

impl<'a> Results<'a> {
    /// Returns the place of results, of which nothing is asked yet.
    pub fn new(plan: &'a SharedPlan, client: &'a Client, progress: Progress<'a>) -> Self {
        Results { plan, digest: plan.digest(), client, progress }
    }

    /// Returns the manifest that each of `nodes` has a result for, in their order. Fails for a result that is not one of this plan
    /// and node.
    pub fn find_all(&self, nodes: &[&PlanNode]) -> Result<Vec<FoundResult>> {
        self.client.gather(nodes, |node| self.find(node))
    }

    /// Finds the same, of manifests that every repository of their targets has.
    pub fn find_whole(&self, nodes: &[&PlanNode]) -> Result<Vec<FoundResult>> {
        self.client.gather(nodes, |node| match self.find(node)? {
            Some(manifest) if self.is_whole(node, &manifest)? => Ok(Some(manifest)),
            _ => Ok(None),
        })
    }

    /// Returns the manifest that the result of `node` names, once all that can be known of it is as it should be: it is an image
    /// for the platform of the node. Its documents are put into `store`.
    pub fn check(&self, node: &PlanNode, manifest: &Descriptor, store: &LocalStore) -> Result<()> {
        let repository = self.repository(node)?;
        let wrong = |why: String| Error::input(format!("the result for {}: {} {why}", node.name(), manifest.digest));
        let Some(stated) = &manifest.platform else { return Err(wrong("is for no platform".to_owned())) };
        let bytes = read_document(&repository, manifest)?;
        let plain = Descriptor::new(&manifest.media_type, manifest.digest, manifest.size);
        let image = Reader::new(&repository).image_in(&plain, &bytes)?;
        let Some(Existing { config, .. }) = image else { return Err(wrong("is not an image".to_owned())) };
        let (own, wanted) = (config.platform.normalised(), node.platform.parse::<Platform>()?.normalised());
        if own != stated.normalised() || (&own.os, &own.architecture) != (&wanted.os, &wanted.architecture) {
            return Err(wrong(format!("is an image for {own}, but is listed for {stated} and expected for {wanted}")));
        }
        store.put(&manifest.media_type, &bytes).map(drop)
    }

    /// Takes `manifest`, which was made for `node` and whose content is in `store`, to every repository of its target, and leaves the
    /// result for it. Fails if another machine has made something else of the node.
    pub fn leave(&self, node: &PlanNode, manifest: &Descriptor, store: &dyn Store, local: &LocalStore) -> Result<()> {
        let document = Document::new(media_type::IMAGE_INDEX, result(self.digest, node, manifest));
        local.put(&document.descriptor.media_type, &document.bytes)?;
        let graph = Graph::of(store, &document.descriptor)?;
        let repositories = self.plan.target(&node.target)?.repositories()?;
        for (number, name) in repositories.iter().enumerate() {
            let repository = self.client.repository(name, self.progress);
            if number > 0 {
                repository.upload(&Graph::of(store, manifest)?, store)?;
                continue;
            }
            repository.upload(&graph, store)?;
            self.agree(node, manifest)?;
            repository.tag(&graph, &[result_tag(self.digest, node)])?;
        }
        // Another machine may have done so at the same time: whoever was first finds out here.
        self.agree(node, manifest)
    }

    /// Fails if there is a result for `node` that is not `manifest`.
    pub fn agree(&self, node: &PlanNode, manifest: &Descriptor) -> Result<()> {
        match self.find(node)? {
            Some(other) if other.digest != manifest.digest => {
                let message = format!(
                    "{} was built as {} here, and as {} by another shard",
                    node.name(),
                    manifest.digest,
                    other.digest
                );
                Err(Error::integrity(message).with_hint(DIFFERS))
            }
            _ => Ok(()),
        }
    }

    /// Returns the repository that has the result for `node`, under its tag.
    pub fn name(&self, node: &PlanNode) -> Result<Reference> {
        let repositories = self.plan.target(&node.target)?.repositories()?;
        let first = repositories.first().ok_or_else(|| Error::input(format!("{} has no repository", node.name())))?;
        Ok(first.with_tag(&result_tag(self.digest, node)))
    }

    fn find(&self, node: &PlanNode) -> Result<FoundResult> {
        let repository = self.repository(node)?;
        let name = self.name(node)?;
        let wrong = |error: Error| {
            let message = format!("{name} is not a result: {}", error.message);
            Error { message, ..error }
                .with_hint("anyone who may push there may have set it: remove the tag, or make a new plan")
        };
        let Some(found) = repository.find(name.tag().unwrap_or_default())? else { return Ok(None) };
        if !media_type::is_index(&found.media_type) || found.size > RESULT_LIMIT {
            let what = format!("it has {} bytes of the type `{}`", found.size, found.media_type);
            return Err(wrong(Error::input(what)));
        }
        let bytes = read_document(&repository, &found)?;
        read_result(self.digest, node, &bytes).map(Some).map_err(wrong)
    }

    /// Whether every repository of the target has the manifest.
    fn is_whole(&self, node: &PlanNode, manifest: &Descriptor) -> Result<bool> {
        for name in self.plan.target(&node.target)?.repositories()? {
            match self.client.repository(&name, self.progress).resolve(Some(&manifest.digest.to_string())) {
                Ok(_) => {}
                Err(error) if error.kind == ErrorKind::NotFound => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn repository(&self, node: &PlanNode) -> Result<Repository<'_>> {
        Ok(self.client.repository(&self.name(node)?, self.progress))
    }
}

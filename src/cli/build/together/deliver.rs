//! Where the images of several builds go: content first, and names last.

use super::bases::BaseStores;
use super::named::{NamedRequest, Together};
use crate::build::Built;
use crate::cli::build::leave;
use crate::cli::build::request::{BuildMeans, BuildOrder, Delivery};
use crate::cli::metadata;
use crate::error::Result;
use crate::oci::Reference;
use crate::output::{Bundle, BundleEntry, Means, Output, OutputImage};
use crate::progress::Progress;
use crate::release::{self, PushedImage};
use crate::store::{Beside, Graph, Store};

/// What images are delivered with.
pub struct Delivering<'a, 'b> {
    pub together: &'a Together<'a>,
    pub orders: &'a [BuildOrder],
    pub bases: &'a BaseStores<'b>,
    pub means: &'a BuildMeans,
    pub progress: Progress<'a>,
}

/// A target on its way out.
struct Parcel<'d> {
    named: &'d NamedRequest<'d>,
    order: &'d BuildOrder,
    built: &'d Built,
    /// The names under which it is pushed, those without a tag among them; none if it is not.
    pushed: Vec<Reference>,
}

impl Delivering<'_, '_> {
    /// Writes `built`, whose blobs are in `store`, to all outputs: to those of this machine first, then to registries, and then
    /// lets names stand for it.
    pub fn deliver(&self, built: &[Built], store: &dyn Store) -> Result<()> {
        let whole = &Beside { first: self.bases, second: store };
        if let Some(share) = self.together.share {
            return (share.deliver)(built, whole, &self.means.store);
        }
        let parcels: Vec<Parcel<'_>> = self
            .together
            .requests
            .iter()
            .zip(self.orders)
            .zip(built)
            .map(|((named, order), built)| Parcel::new(named, order, built))
            .collect();
        let jobs = self.together.requests.first().map(|named| named.request.output.jobs).unwrap_or_default();
        let means = &Means { client: &self.means.client, jobs, progress: self.progress };
        self.write(&parcels, whole, means)?;
        let images: Vec<PushedImage<'_>> = parcels
            .iter()
            .filter(|parcel| !parcel.pushed.is_empty())
            .map(|parcel| PushedImage {
                image: OutputImage { store: whole, root: &parcel.built.root, names: &parcel.pushed },
                release: match parcel.named.request.delivery {
                    Delivery::Release(release) => Some(release),
                    Delivery::Outputs | Delivery::Push | Delivery::Store | Delivery::Share { .. } => None,
                },
            })
            .collect();
        release::push_together(&images, means)?;
        let fetch = |blobs: &[_]| self.bases.fetch(blobs, jobs);
        for parcel in parcels.iter().filter(|parcel| parcel.leaves()) {
            let image = OutputImage { store: whole, root: &parcel.built.root, names: &parcel.order.names };
            leave::leave(image, !parcel.pushed.is_empty(), &self.means.store, &fetch, self.progress)?;
        }
        self.note(&parcels, whole)
    }

    /// Writes to what is not a registry.
    fn write(&self, parcels: &[Parcel<'_>], whole: &dyn Store, means: &Means<'_>) -> Result<()> {
        for parcel in parcels {
            let names = &parcel.order.names;
            let others: Vec<Output> =
                parcel.order.outputs.iter().filter(|output| **output != Output::Registry).cloned().collect();
            if others.is_empty() {
                continue;
            }
            self.bases.fetch(&Graph::of(whole, &parcel.built.root)?.blobs, means.jobs)?;
            release::write(&others, OutputImage { store: whole, root: &parcel.built.root, names }, means)?;
        }
        if self.together.outputs.is_empty() {
            return Ok(());
        }
        let mut entries = Vec::new();
        for parcel in parcels.iter().filter(|parcel| !matches!(parcel.named.request.delivery, Delivery::Store)) {
            self.bases.fetch(&Graph::of(whole, &parcel.built.root)?.blobs, means.jobs)?;
            let image = OutputImage { store: whole, root: &parcel.built.root, names: &parcel.order.names };
            entries.push(BundleEntry { image, short_names: &[], referrers: &[] });
        }
        release::write_all(self.together.outputs, &Bundle { entries, left_out: None }, means)
    }

    /// Writes the files that tell of the results.
    fn note(&self, parcels: &[Parcel<'_>], whole: &dyn Store) -> Result<()> {
        let mut images = Vec::with_capacity(parcels.len());
        for Parcel { named, order, built, .. } in parcels {
            let image = OutputImage { store: whole, root: &built.root, names: &order.names };
            if matches!(named.request.delivery, Delivery::Outputs | Delivery::Push) {
                named.request.output.note(image, named.request.commands)?;
            }
            images.push((&*named.name, image));
        }
        let commands = self.together.requests.first().map(|named| named.request.commands);
        match self.together.metadata_file.zip(commands) {
            Some((path, commands)) => metadata::write_all(path, &images, commands),
            None => Ok(()),
        }
    }
}

impl<'d> Parcel<'d> {
    fn new(named: &'d NamedRequest<'d>, order: &'d BuildOrder, built: &'d Built) -> Self {
        let by_digest = named.request.repositories.iter().map(|repository| repository.with_digest(built.root.digest));
        let pushed = match order.outputs.contains(&Output::Registry) {
            true => order.names.iter().cloned().chain(by_digest).collect(),
            false => Vec::new(),
        };
        Parcel { named, order, built, pushed }
    }

    /// Whether it is left in the local store. A release is built from what is there at its time, and leaves nothing.
    fn leaves(&self) -> bool {
        matches!(self.named.request.delivery, Delivery::Outputs | Delivery::Push)
            && !self.named.request.output.is_cache_only()
    }
}

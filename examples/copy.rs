//! Copies all images of a layout, an archive or a repository into an OCI layout, with their names.
//!
//! `cargo run --example copy -- SOURCE LAYOUT`

use std::error::Error;

use ocibake::output::{Bundle, BundleEntry, Means, Names, Output, OutputImage};
use ocibake::registry::{OnDemand, RegistryOptions};
use ocibake::release;
use ocibake::source::collection::{Collection, ImageChoice};
use ocibake::source::image::Location;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(source), Some(layout)) = (arguments.next(), arguments.next()) else {
        return Err("usage: copy SOURCE LAYOUT".into());
    };
    let location: Location = source.parse()?;
    let client = OnDemand::new(RegistryOptions::default());
    let silent = |_: ocibake::progress::Event<'_>| ();

    let mut collection = Collection::new(&client, &silent);
    collection.add(&source, &location, ImageChoice::default())?;
    let names: Vec<Names> = collection.images.iter().map(|found| Names::kept(&found.image)).collect();
    for (found, names) in collection.images.iter().zip(&names) {
        println!("{} {:?}", found.image.root.digest, names.full.iter().map(ToString::to_string).collect::<Vec<_>>());
    }
    let entries = collection.images.iter().zip(&names).map(|(found, names)| BundleEntry {
        image: OutputImage { store: &collection.content, root: &found.image.root, names: &names.full },
        short_names: &names.short,
        referrers: &found.referrers,
    });
    let bundle = Bundle { entries: entries.collect(), left_out: None };
    release::write_all(
        &[Output::Layout(layout.into())],
        &bundle,
        &Means { client: &client, jobs: 0, progress: &silent },
    )?;
    Ok(())
}

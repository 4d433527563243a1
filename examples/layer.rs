//! Lists the files of an image, from the headers of its layers alone: nothing is unpacked.
//!
//! `cargo run --example layer -- SOURCE`

use std::error::Error;

use ocibake::image::choose;
use ocibake::inspect::{FileReport, files};
use ocibake::oci::Platform;
use ocibake::registry::{OnDemand, RegistryOptions};
use ocibake::source::image::Location;

fn main() -> Result<(), Box<dyn Error>> {
    let source = std::env::args().nth(1).ok_or("usage: layer SOURCE")?;
    let location: Location = source.parse()?;
    let client = OnDemand::new(RegistryOptions::default());
    let (store, root) = location.open(&client, &|_| ())?;

    // Of an index, the image for this machine.
    let chosen = choose(store.as_ref(), &source, &root, &Platform::host())?;
    let (_, image) = chosen.ok_or("the name stands for an artifact and not for an image")?;
    println!("{} with {} layers", image.config.platform, image.layers()?.len());
    for (path, node) in files(store.as_ref(), &image)?.paths().skip(1) {
        println!("{}", serde_json::to_string(&FileReport::of(&path, node))?);
    }
    Ok(())
}

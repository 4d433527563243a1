//! `--verify-rebuild`: whether a second build comes out as the first one did.

use crate::build::{Built, BuiltStep};
use crate::error::{Error, Result};
use crate::inspect::differences;
use crate::layer::Layer;
use crate::oci::Descriptor;
use crate::store::{LocalStore, Store};

/// What to do about a step that does not come out the same.
const HINT: &str = "what it writes must not depend on the time, on random numbers or on the order of what is done side by \
                    side; SOURCE_DATE_EPOCH is set for tools that ask for a time";

/// Fails unless both builds came to the same: the error names the first file that differs and the step that has made it.
/// Each build stands with its store.
pub fn compare(first: (&Built, &LocalStore), second: (&Built, &LocalStore)) -> Result<()> {
    if first.0.root == second.0.root {
        return Ok(());
    }
    let steps = first.0.steps.iter().zip(&second.0.steps);
    let diff_id = |step: &BuiltStep| step.layer.as_ref().map(|layer| layer.diff_id);
    // Each stands behind those that it takes from: what comes later may only have taken over what differs.
    let Some((one, other)) = steps.into_iter().find(|(one, other)| diff_id(one) != diff_id(other)) else {
        let (one, other) = (first.0.root.digest, second.0.root.digest);
        return Err(Error::integrity(format!("a second build has the same layers, but is {other} and not {one}")));
    };
    let found = match (&one.layer, &other.layer) {
        (Some(one), Some(other)) => found((one, first.1), (other, second.1))?,
        (None, _) => "the step changed nothing in the first build, but did in the second".to_owned(),
        (_, None) => "the step changed nothing in the second build, but did in the first".to_owned(),
    };
    let error = Error::integrity(format!("a second build came out differently: {found}"))
        .with_details(vec![format!("{}, in the stage {}", one.title, one.stage)])
        .with_hint(HINT);
    Err(error.or_excerpt(one.place.as_ref()))
}

fn found((one, first): (&Layer, &LocalStore), (other, second): (&Layer, &LocalStore)) -> Result<String> {
    let open_first = |layer: &Descriptor| first.open(layer);
    let open_second = |layer: &Descriptor| second.open(layer);
    let differences = differences((one, &open_first), (other, &open_second), &|| second.scratch(), 1)?;
    Ok(match differences.first() {
        Some(difference) => difference.to_string(),
        None => format!("the layer is {} and not {}, though its files are the same", other.diff_id, one.diff_id),
    })
}

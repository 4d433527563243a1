//! What `--push` and `--load` make of the outputs of a target.

use super::entry::OutputEntry;
use crate::oci::Map;

/// Sees to it that the image is pushed, unless something other than a docker image is asked for; or that it is not.
pub(super) fn push(outputs: &mut Option<Vec<OutputEntry>>, is_pushed: bool) {
    if !is_pushed {
        for output in outputs.iter_mut().flatten().filter(|output| output.kind == "image") {
            output.attributes.insert("push".to_owned(), false.to_string());
        }
        if let Some(outputs) = outputs {
            remove_registries(outputs);
        }
        return;
    }
    let outputs = outputs.get_or_insert_default();
    let is_new = outputs.iter().all(|output| output.kind == "docker");
    for output in outputs.iter_mut().filter(|output| output.kind == "image") {
        output.attributes.insert("push".to_owned(), true.to_string());
    }
    if is_new {
        let attributes = Map::from([("push".to_owned(), true.to_string())]);
        outputs.push(OutputEntry { kind: "image".to_owned(), destination: String::new(), attributes });
    }
}

/// The last takes the place of each that is left out, as in buildx.
fn remove_registries(outputs: &mut Vec<OutputEntry>) {
    let mut at = 0;
    while at < outputs.len() {
        match outputs[at].kind == "registry" {
            true => drop(outputs.swap_remove(at)),
            false => at += 1,
        }
    }
}

/// Sees to it that the image is loaded into an engine, unless something is asked for that is not an image.
pub(super) fn load(outputs: &mut Option<Vec<OutputEntry>>) {
    for output in outputs.iter().flatten() {
        match output.kind.as_str() {
            "docker" if output.destination.is_empty() => return,
            "docker" | "image" | "registry" | "oci" => {}
            _ => return,
        }
    }
    outputs.get_or_insert_default().push(OutputEntry { kind: "docker".to_owned(), ..OutputEntry::default() });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(texts: &[&str], change: impl Fn(&mut Option<Vec<OutputEntry>>)) -> String {
        let mut outputs = Some(texts.iter().map(|text| OutputEntry::read(text).unwrap()).collect());
        change(&mut outputs);
        serde_json::to_string(&outputs.unwrap_or_default()).unwrap()
    }

    #[test]
    fn an_image_is_pushed_unless_it_is_no_image() {
        let push_on = |texts: &[&str]| after(texts, |outputs| push(outputs, true));
        assert_eq!(push_on(&[]), r#"[{"push":"true","type":"image"}]"#);
        assert_eq!(push_on(&["type=docker"]), r#"[{"type":"docker"},{"push":"true","type":"image"}]"#);
        assert_eq!(push_on(&["type=image,push=false"]), r#"[{"push":"true","type":"image"}]"#);
        assert_eq!(push_on(&["type=registry"]), r#"[{"type":"registry"}]"#);
        assert_eq!(push_on(&["out"]), r#"[{"dest":"out","type":"local"}]"#);
        let push_off = |texts: &[&str]| after(texts, |outputs| push(outputs, false));
        assert_eq!(
            push_off(&["type=registry", "type=docker", "type=image,push=true"]),
            r#"[{"push":"false","type":"image"},{"type":"docker"}]"#
        );
    }

    #[test]
    fn an_image_is_loaded_unless_it_is_no_image() {
        let loaded = |texts: &[&str]| after(texts, load);
        assert_eq!(loaded(&[]), r#"[{"type":"docker"}]"#);
        assert_eq!(loaded(&["type=docker"]), r#"[{"type":"docker"}]"#);
        assert_eq!(loaded(&["type=registry"]), r#"[{"type":"registry"},{"type":"docker"}]"#);
        assert_eq!(loaded(&["type=tar,dest=a"]), r#"[{"dest":"a","type":"tar"}]"#);
    }
}

//! The short forms of compose's keys, brought into their long ones.

use super::merge::{as_build, as_names, nothing, started};
use super::node::{NodeMapping, NodeValue, YamlNode};
use crate::error::{Error, Result};

/// Reads text as the words of a shell's line.
pub fn command(node: YamlNode) -> Result<YamlNode> {
    match &node.value {
        NodeValue::Text(text) => {
            let words = words(text).ok_or_else(|| {
                node.blame(Error::input(
                    "this line cannot be split into words: a quotation mark is not closed, or \
                    there is a parenthesis",
                ))
            })?;
            let words = words.into_iter().map(|word| node.with_text(word)).collect();
            Ok(node.with(NodeValue::List(words)))
        }
        NodeValue::List(values) => {
            let word = |value: &YamlNode| match value.scalar() {
                Some(text) => Ok(value.with_text(text)),
                None => Err(value
                    .blame(Error::input(format!("a word of a command must be text, but this is {}", value.kind())))),
            };
            Ok(node.with(NodeValue::List(values.iter().map(word).collect::<Result<_>>()?)))
        }
        _ => {
            Err(node
                .blame(Error::input(format!("a command must be text or a list of words, but this is {}", node.kind()))))
        }
    }
}

/// The words of a line, as compose splits it: up to the first sign by which a shell would join commands or files. None if a
/// quotation mark is not closed, and for parentheses that are no `$(…)`.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut is_word) = (Vec::new(), String::new(), false);
    let mut quote: Option<char> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (None | Some('"' | '`' | ')'), '\\') => {
                word.push(characters.next()?);
                is_word = true;
                continue;
            }
            (None, ' ' | '\t' | '\r' | '\n') => {
                if std::mem::take(&mut is_word) {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                continue;
            }
            (Some('"' | '\''), _) if quote == Some(c) => {
                quote = None;
                is_word = true;
                continue;
            }
            (None, '`') => quote = Some(c),
            (Some('`'), '`') | (Some(')'), ')') => quote = None,
            (None, '(') if word.ends_with('$') => {
                quote = Some(')');
                word.push(c);
                continue;
            }
            (None | Some(')'), '(') | (None, ')') => return None,
            (None, ';' | '&' | '|' | '<' | '>') => {
                // `2>` is not a word.
                is_word &= !(c == '>' && word.starts_with(|c: char| c.is_ascii_digit()));
                break;
            }
            _ => {}
        }
        is_word = true;
        word.push(c);
    }
    if is_word {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

/// Reads text as the context.
pub fn build(node: YamlNode) -> Result<YamlNode> {
    Ok(as_build(node))
}

/// Reads text as the source.
pub fn source(node: YamlNode) -> Result<YamlNode> {
    match node.text() {
        Some(_) => Ok(node.with_entries([("source", node.clone())])),
        None => Ok(node),
    }
}

/// Reads a list of names as a mapping of dependencies; each has to be there unless it says otherwise.
pub fn dependencies(node: YamlNode) -> Result<YamlNode> {
    let mut node = as_names(node, started);
    for dependency in node.mapping_mut().into_iter().flat_map(NodeMapping::values_mut) {
        let required = dependency.with(NodeValue::Boolean(true));
        if let Some(mapping) = dependency.mapping_mut() {
            mapping.entry("required".to_owned()).or_insert(required);
        }
    }
    Ok(node)
}

/// Reads a list of names as a mapping with nothing of each.
pub fn networks(node: YamlNode) -> Result<YamlNode> {
    Ok(as_names(node, nothing))
}

/// Reads text, and each text of a list, as the path of a file that has to be there.
pub fn variable_files(node: YamlNode) -> Result<YamlNode> {
    let values = match &node.value {
        NodeValue::List(values) => values.clone(),
        NodeValue::Text(_) => vec![node.clone()],
        _ => return Ok(node),
    };
    let file = |value: YamlNode| {
        let required = value.with(NodeValue::Boolean(true));
        let mut file = match value.text() {
            Some(_) => value.with_entries([("path", value.clone())]),
            None => value,
        };
        if let Some(mapping) = file.mapping_mut() {
            mapping.entry("required".to_owned()).or_insert(required);
        }
        file
    };
    Ok(node.with(NodeValue::List(values.into_iter().map(file).collect())))
}

/// Reads text as the service.
pub fn extends(node: YamlNode) -> Result<YamlNode> {
    match node.text() {
        Some(_) => Ok(node.with_entries([("service", node.clone())])),
        None => Ok(node),
    }
}

/// Reads one value as a list of it.
pub fn texts(node: YamlNode) -> Result<YamlNode> {
    match node.scalar() {
        Some(_) => Ok(node.with(NodeValue::List(vec![node.clone()]))),
        None => Ok(node),
    }
}

/// Reads the same, without what is empty.
pub fn addresses(node: YamlNode) -> Result<YamlNode> {
    let mut node = texts(node)?;
    if let NodeValue::List(values) = &mut node.value {
        values.retain(|value| value.text().is_none_or(|text| !text.is_empty()));
    }
    Ok(node)
}

/// Reads a limit without keys of one's own.
pub fn limit(mut node: YamlNode) -> Result<YamlNode> {
    if let Some(mapping) = node.mapping_mut() {
        mapping.retain(|key, _| !key.starts_with("x-"));
    }
    Ok(node)
}

/// Reads a truth as the word for it.
pub fn worded(node: YamlNode) -> Result<YamlNode> {
    match node.scalar() {
        Some(text) => Ok(node.with_text(text)),
        None => Ok(node),
    }
}

/// Reads `all` as any number of devices of any driver.
pub fn gpus(node: YamlNode) -> Result<YamlNode> {
    match node.text() {
        Some("all") => Ok(node.with(NodeValue::List(vec![node.with_entries([("count", node.clone())])]))),
        _ => Ok(node),
    }
}

/// Reads a list of `KEY=VALUE` as a mapping.
pub fn pairs(node: YamlNode) -> Result<YamlNode> {
    let Some(values) = node.list() else { return Ok(node) };
    let mut mapping = NodeMapping::new();
    for value in values {
        let text = value.text().unwrap_or_default();
        let Some((name, content)) = text.split_once('=') else {
            let error = Error::input(format!("`{text}` has no value"));
            return Err(value.blame(error.with_hint("write NAME=VALUE")));
        };
        mapping.insert(name.to_owned(), value.with_text(content));
    }
    Ok(node.with(NodeValue::Mapping(mapping)))
}

/// Returns nothing of what is read and kept nowhere.
pub fn nothing_of(node: YamlNode) -> Result<YamlNode> {
    Ok(node.with(NodeValue::Null))
}

/// Reads a list of `default` and `ID=PATH` as a mapping.
pub fn agents(node: YamlNode) -> Result<YamlNode> {
    let Some(values) = node.list() else { return Ok(node) };
    let mut mapping = NodeMapping::new();
    for value in values {
        let text = value.text().unwrap_or_default();
        let (name, path) = match text.split_once('=') {
            Some((name, path)) => (name, value.with_text(path)),
            None if text == "default" => (text, value.with(NodeValue::Null)),
            None => {
                let error = Error::input(format!("`{text}` is not an SSH agent"));
                return Err(value.blame(error.with_hint("write `default`, or ID=PATH")));
            }
        };
        mapping.insert(name.to_owned(), path);
    }
    Ok(node.with(NodeValue::Mapping(mapping)))
}

/// Returns a mapping of agents as a list of `ID` and `ID=PATH`.
pub fn agent_list(node: YamlNode) -> Result<YamlNode> {
    let agent = |(name, path): (&String, &YamlNode)| match path.text().filter(|path| !path.is_empty()) {
        Some(text) => path.with_text(format!("{name}={text}")),
        None => path.with_text(name.clone()),
    };
    let agents = node.mapping().into_iter().flatten().map(agent).collect();
    Ok(node.with(NodeValue::List(agents)))
}

/// Returns `NAME:ADDRESS`, `NAME=ADDRESS` or a mapping, as a sorted list of `NAME=ADDRESS`.
pub fn hosts(node: YamlNode) -> Result<YamlNode> {
    let mut hosts = Vec::new();
    for (name, addresses) in node.mapping().into_iter().flatten() {
        let all = addresses.list().map_or_else(|| vec![addresses], |all| all.iter().collect());
        for address in all {
            hosts.push(host(name, address.text().unwrap_or_default(), address)?);
        }
    }
    for value in node.list().into_iter().flatten() {
        let text = value.text().unwrap_or_default();
        let Some((name, addresses)) = text.split_once('=').or_else(|| text.split_once(':')) else {
            let error = Error::input(format!("`{text}` has no address"));
            return Err(value.blame(error.with_hint("write NAME=ADDRESS")));
        };
        for address in addresses.split(',') {
            hosts.push(host(name, address, value)?);
        }
    }
    hosts.sort_by(|a, b| a.text().cmp(&b.text()));
    Ok(node.with(NodeValue::List(hosts)))
}

fn host(name: &str, address: &str, node: &YamlNode) -> Result<YamlNode> {
    if name.is_empty() || name.contains([':', '=']) {
        let error = Error::input(format!("`{name}` cannot be the name of a host"));
        return Err(node.blame(error.with_hint("write NAME=ADDRESS")));
    }
    let inner = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
    let address = inner.filter(|inner| !inner.is_empty()).unwrap_or(address);
    Ok(node.with_text(format!("{name}={address}")))
}

/// Reads `external: {name: NAME}`, which is external, and has that name.
pub fn external(mut node: YamlNode) -> Result<YamlNode> {
    let Some(external) = node.get("external").filter(|external| external.mapping().is_some()).cloned() else {
        return Ok(node);
    };
    let name = external.get("name").cloned();
    if let (Some(own), Some(other)) = (node.text_of("name"), name.as_ref().and_then(YamlNode::text))
        && own != other
    {
        let error = Error::input(format!("it is called `{own}` here, and `{other}` in `external`"));
        return Err(external.blame(error.with_hint("say `external: true`, and the name once, with `name`")));
    }
    if let Some(mapping) = node.mapping_mut() {
        if let Some(name) = name {
            mapping.entry("name".to_owned()).or_insert(name);
        }
        mapping.insert("external".to_owned(), external.with(NodeValue::Boolean(true)));
    }
    Ok(node)
}

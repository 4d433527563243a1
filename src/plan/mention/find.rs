//! This file finds the images that a text names, and puts digests in.

use std::collections::HashSet;
use std::ops::Range;

use super::yaml::{MOST_VALUES, SpannedContent, SpannedYaml, YamlFault, parts};
use crate::error::{Excerpt, Result};
use crate::oci::{Digest, Reference};

/// A file of YAML or JSON documents, and the images that it names.
#[derive(Debug)]
pub struct MentionText {
    file: String,
    text: String,
    mentions: Vec<ImageMention>,
    template: Option<usize>,
}

/// An image that a text names, without a digest.
#[derive(Debug)]
pub struct ImageMention {
    /// What the text says.
    pub name: Reference,
    /// Which tag is meant is said elsewhere: in the resources that a kustomization changes, or by a chart.
    pub is_open: bool,
    /// The line on which it stands.
    pub line: usize,
    span: Range<usize>,
    edits: Vec<TextEdit>,
}

/// What is put in the place of `span`.
#[derive(Debug)]
struct TextEdit {
    span: Range<usize>,
    before: String,
    has_digest: bool,
    after: &'static str,
}

impl ImageMention {
    /// Returns what it is called, as docker shows names; without a tag if that is open.
    pub fn title(&self) -> String {
        if self.is_open { self.name.name() } else { self.name.familiar() }
    }

    /// Returns whether there is a place for a digest: Helm values that have neither a tag nor a digest have none.
    pub fn has_place(&self) -> bool {
        !self.edits.is_empty()
    }
}

impl MentionText {
    /// Reads `text`, which errors call `file`. What is a template of Helm's, and no YAML until that has filled it in, is left
    /// alone. Fails for anything else that is no YAML, and for more than anybody writes.
    pub fn read(file: &str, text: String) -> Result<Self> {
        let (mut mentions, mut template, mut left) = (Vec::new(), None, MOST_VALUES);
        for part in parts(&text) {
            match SpannedYaml::read(file, &text, part.clone(), &mut left) {
                Ok(yaml) => mentions.extend(Finder::new(&yaml).find(is_kustomization_file(file))),
                Err(_) if text[part.clone()].contains("{{") => template = template.or(Some(part.start)),
                Err(YamlFault { error, span }) => return Err(error.with_excerpt(Excerpt::new(file, &text, span))),
            }
        }
        let (mut line, mut at) = (1, 0);
        for mention in &mut mentions {
            line += text[at..mention.span.start].matches('\n').count();
            (at, mention.line) = (mention.span.start, line);
        }
        let template = template.map(|start| text[..start].matches('\n').count() + 1);
        Ok(MentionText { file: file.to_owned(), text, mentions, template })
    }

    /// Returns its name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns whether it is `text`.
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }

    /// Returns the images that it names, in their order.
    pub fn mentions(&self) -> &[ImageMention] {
        &self.mentions
    }

    /// Returns the line at which the first document begins that is a template; none if none is.
    pub fn template(&self) -> Option<usize> {
        self.template
    }

    /// Returns the line of an image.
    pub fn excerpt(&self, mention: &ImageMention) -> Excerpt {
        Excerpt::new(&self.file, &self.text, mention.span.clone())
    }

    /// Returns the text with the digests of the images that have one by `digest_of`; everything else is as it was.
    pub fn resolved(&self, digest_of: impl Fn(&ImageMention) -> Option<Digest>) -> String {
        let mut edits: Vec<(&TextEdit, String)> = Vec::new();
        for mention in &self.mentions {
            let Some(digest) = digest_of(mention).map(|digest| digest.to_string()) else { continue };
            edits.extend(mention.edits.iter().map(|edit| (edit, edit.text(&digest))));
        }
        edits.sort_by_key(|(edit, _)| edit.span.start);
        let (mut resolved, mut done) = (String::with_capacity(self.text.len()), 0);
        for (edit, text) in edits {
            resolved.push_str(&self.text[done..edit.span.start]);
            resolved.push_str(&text);
            done = edit.span.end;
        }
        resolved.push_str(&self.text[done..]);
        resolved
    }
}

impl TextEdit {
    fn text(&self, digest: &str) -> String {
        format!("{}{}{}", self.before, if self.has_digest { digest } else { "" }, self.after)
    }
}

/// Whether `file` has a name by which kustomize knows its own.
fn is_kustomization_file(file: &str) -> bool {
    let name = file.rsplit('/').next().unwrap_or(file);
    matches!(name, "kustomization.yaml" | "kustomization.yml" | "Kustomization")
}

struct Finder<'a> {
    yaml: &'a SpannedYaml<'a>,
    mentions: Vec<ImageMention>,
    /// The values that are mentions.
    known: HashSet<usize>,
    /// The aliases that stand for images, and what they stand for.
    aliases: Vec<(usize, usize)>,
}

impl<'a> Finder<'a> {
    fn new(yaml: &'a SpannedYaml<'a>) -> Self {
        Finder { yaml, mentions: Vec::new(), known: HashSet::new(), aliases: Vec::new() }
    }

    fn find(mut self, is_kustomization: bool) -> Vec<ImageMention> {
        for &root in &self.yaml.roots {
            let is_kustomization = is_kustomization || self.is_kustomization(root);
            self.visit(root, is_kustomization);
        }
        // Where what an alias stands for is edited, it follows.
        for (alias, meant) in std::mem::take(&mut self.aliases) {
            if !self.known.contains(&meant) {
                let span = self.yaml.value(alias).span.clone();
                self.name(alias, meant, |before| vec![TextEdit { span, before, has_digest: true, after: "" }]);
            }
        }
        self.mentions.sort_by_key(|mention| mention.span.start);
        self.mentions
    }

    fn is_kustomization(&self, root: usize) -> bool {
        let of = |key| self.yaml.text_of(root, key).unwrap_or_default();
        of("apiVersion").starts_with("kustomize.config.k8s.io/") && matches!(of("kind"), "Kustomization" | "Component")
    }

    fn visit(&mut self, number: usize, is_kustomization: bool) {
        let yaml = self.yaml;
        match &yaml.value(number).content {
            SpannedContent::Scalar(..) | SpannedContent::Alias(_) => {}
            SpannedContent::List(values) => values.iter().for_each(|value| self.visit(*value, false)),
            SpannedContent::Mapping(entries) => {
                for (key, value) in entries {
                    match (yaml.scalar(*key), &yaml.value(*value).content) {
                        (Some("image"), _) => self.image(*value),
                        (Some("images"), SpannedContent::List(images)) => {
                            images.iter().for_each(|image| self.kustomized(*image, is_kustomization));
                        }
                        _ => {}
                    }
                    self.visit(*value, false);
                }
            }
        }
    }

    /// Looks at the value of a key `image`.
    fn image(&mut self, number: usize) {
        match self.yaml.value(number).content {
            SpannedContent::Scalar(..) => self.named(number),
            SpannedContent::Alias(meant) => match self.yaml.value(meant).content {
                SpannedContent::Scalar(..) => self.aliases.push((number, meant)),
                SpannedContent::Mapping(_) => self.image(meant),
                _ => {}
            },
            SpannedContent::Mapping(_) if self.yaml.entry(number, "repository").is_some() => self.values(number),
            // An image that is a volume.
            SpannedContent::Mapping(_) => {
                if let Some((_, reference)) = self.yaml.entry(number, "reference") {
                    self.image(reference);
                }
            }
            SpannedContent::List(_) => {}
        }
    }

    /// Adds the scalar that is all of a name.
    fn named(&mut self, number: usize) {
        let Some(slot) = self.slot(number) else { return };
        self.name(number, number, |name| vec![slot.filled(name)]);
    }

    /// Adds, at the value `number`, the name that the scalar `meant` says; `edits` gets what stands before the digest.
    fn name(&mut self, number: usize, meant: usize, edits: impl FnOnce(String) -> Vec<TextEdit>) {
        let SpannedContent::Scalar(text, is_plain) = &self.yaml.value(meant).content else { return };
        if self.yaml.is_empty(meant) || (*is_plain && is_no_text(text)) {
            return;
        }
        let Some(name) = text.parse::<Reference>().ok().filter(|name| name.digest().is_none()) else { return };
        let tag = name.tag().map_or(0, |tag| tag.len() + 1);
        let before = format!("{}@", &text[..text.len() - tag]);
        self.add(number, name, false, edits(before));
    }

    /// Adds what Helm values call an image: `repository`, beside `registry`, `tag` and `digest`.
    fn values(&mut self, number: usize) {
        let yaml = self.yaml;
        let of = |key| yaml.text_of(number, key);
        // Where the name is a further part of it, nobody knows how they go together.
        let (Some(repository), None, None) = (of("repository"), of("name"), of("digest")) else { return };
        let registry = of("registry").map(|registry| format!("{registry}/")).unwrap_or_default();
        let tag = of("tag");
        let Some(name) = reference(&format!("{registry}{repository}"), tag) else { return };
        let edits: Vec<TextEdit> = match (yaml.entry(number, "digest"), yaml.entry(number, "tag"), tag) {
            (Some(digest), ..) => self.put(digest, String::new()).into_iter().collect(),
            // Charts put both behind the repository as they are.
            (None, Some(entry), Some(tag)) => self.put(entry, format!("{tag}@")).into_iter().collect(),
            _ => Vec::new(),
        };
        let at = yaml.entry(number, "repository").map_or(number, |(_, value)| value);
        self.add(at, name, tag.is_none(), edits);
    }

    /// Adds what a kustomization says of an image: `newName` and `newTag` for the `name` in its resources.
    fn kustomized(&mut self, number: usize, is_kustomization: bool) {
        let yaml = self.yaml;
        let of = |key| yaml.text_of(number, key);
        let (Some(name), None) = (of("name"), of("digest")) else { return };
        let (new_name, tag) = (of("newName"), of("newTag"));
        if !is_kustomization && new_name.is_none() && tag.is_none() {
            return;
        }
        let Some(reference) = reference(new_name.unwrap_or(name), tag) else { return };
        let edits: Vec<TextEdit> = match (yaml.entry(number, "digest"), yaml.entry(number, "newTag")) {
            (Some(digest), _) => self.put(digest, String::new()).into_iter().collect(),
            (None, Some((key, value))) => {
                let digest = self.put((key, value), String::new());
                let key = self.slot(key).map(|slot| slot.with("digest".to_owned(), false));
                key.into_iter().zip(digest).flat_map(|(key, digest)| [key, digest]).collect()
            }
            (None, None) => self.added(number).into_iter().collect(),
        };
        let at = yaml.entry(number, "newName").or(yaml.entry(number, "name")).map_or(number, |(_, value)| value);
        self.add(at, reference, tag.is_none(), edits);
    }

    fn add(&mut self, number: usize, name: Reference, is_open: bool, edits: Vec<TextEdit>) {
        if self.known.insert(number) {
            let span = self.slot(number).map_or(self.yaml.value(number).span.clone(), |slot| slot.span);
            self.mentions.push(ImageMention { name, is_open, line: 0, span, edits });
        }
    }

    /// Returns the edit that gives `key` a digest as its value, behind `before`.
    fn put(&self, (key, value): (usize, usize), before: String) -> Option<TextEdit> {
        let is_written = match &self.yaml.value(value).content {
            SpannedContent::Scalar(text, is_plain) => !(*is_plain && text.is_empty()),
            _ => false,
        };
        if is_written {
            return self.slot(value).map(|slot| slot.filled(before));
        }
        // There is nothing behind the colon.
        let key = self.yaml.value(key).span.end;
        let rest = self.yaml.text.get(key..)?;
        let colon = rest.trim_start_matches([' ', '\t']);
        let at = key + (rest.len() - colon.len()) + 1;
        let is_nothing = matches!(self.yaml.value(value).content, SpannedContent::Scalar(..)) && colon.starts_with(':');
        is_nothing.then(|| TextEdit { span: at..at, before: format!(" {before}"), has_digest: true, after: "" })
    }

    /// Returns the edit that adds the key `digest` behind the last one of a mapping that names an image.
    fn added(&self, number: usize) -> Option<TextEdit> {
        let SpannedYaml { text, .. } = self.yaml;
        let (key, value) = self.yaml.entry(number, "newName").or(self.yaml.entry(number, "name"))?;
        let (key, end) = (self.yaml.written(key)?, self.yaml.written(value)?.end);
        let opening = self.yaml.value(number).span.clone();
        if text[opening].ends_with('{') {
            let quote = if text[key].starts_with('"') { "\"" } else { "" };
            let before = format!(", {quote}digest{quote}: {quote}");
            return Some(TextEdit { span: end..end, before, has_digest: true, after: quote });
        }
        let line_start = text[..key.start].rfind('\n').map_or(0, |at| at + 1);
        let indent = text[line_start..key.start].chars().count();
        let at = text[end..].find('\n').map_or(text.len(), |at| end + at);
        let at = if text[..at].ends_with('\r') { at - 1 } else { at };
        let newline = if text[at..].starts_with('\r') { "\r\n" } else { "\n" };
        let before = format!("{newline}{}digest: ", " ".repeat(indent));
        Some(TextEdit { span: at..at, before, has_digest: true, after: "" })
    }

    /// Returns the bytes of a scalar without its anchor, its tag and its quotation marks; with these, where it stands there
    /// otherwise than it reads. None if it spans lines.
    fn slot(&self, number: usize) -> Option<ScalarSlot> {
        let SpannedContent::Scalar(text, _) = &self.yaml.value(number).content else { return None };
        let written = self.yaml.written(number)?;
        let quote = self.yaml.text[written.clone()].chars().next().filter(|first| matches!(first, '"' | '\''));
        let inner = quote.map_or(written.clone(), |_| written.start + 1..written.end - 1);
        match quote {
            _ if self.yaml.text[inner.clone()] == **text => Some(ScalarSlot { span: inner, quote: "" }),
            Some('"') => Some(ScalarSlot { span: written, quote: "\"" }),
            _ => None,
        }
    }
}

/// The bytes that a scalar has in a text.
struct ScalarSlot {
    span: Range<usize>,
    /// What has to stand around what comes there.
    quote: &'static str,
}

impl ScalarSlot {
    fn filled(self, before: String) -> TextEdit {
        self.with(before, true)
    }

    fn with(self, text: String, has_digest: bool) -> TextEdit {
        let before = format!("{}{text}", self.quote);
        TextEdit { span: self.span, before, has_digest, after: self.quote }
    }
}

/// Returns the image of a repository that is named without a tag.
fn reference(repository: &str, tag: Option<&str>) -> Option<Reference> {
    let name: Reference = repository.parse().ok()?;
    let text = match (name.tag(), name.digest(), tag) {
        (None, None, Some(tag)) => format!("{repository}:{tag}"),
        (None, None, None) => repository.to_owned(),
        _ => return None,
    };
    text.parse().ok().filter(|name: &Reference| name.digest().is_none())
}

/// Whether YAML takes a plain scalar for something other than text.
fn is_no_text(text: &str) -> bool {
    matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
        || (text.parse::<f64>().is_ok() && !text.starts_with(char::is_alphabetic))
}

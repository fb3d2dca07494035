//! A file of TOML or YAML as values that know their line, and how they were written: a tenant may be called
//! `007` or `1e3`, and no parser of numbers may touch it.

use saphyr::{MarkedYaml, ScalarStyle, YamlData, YamlLoader};
use saphyr_parser::{Event, Parser, SpannedEventReceiver as _};
use toml::de::{DeTable, DeValue};

/// Maximum nesting of lists and tables. A plan needs four.
const DEPTH_MAX: usize = 64;

/// A value and where it is.
#[derive(Debug)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    /// Quoted.
    Text(String),
    /// Not quoted, as it is written: a word, a number, a date.
    Plain(String),
    List(Vec<Node>),
    /// In the file's order.
    Table(Vec<(String, Node)>),
    /// Of a kind that no field takes.
    Other,
}

impl Node {
    /// Text, quoted or not.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Plain(text) => Some(text),
            _ => None,
        }
    }

    /// True or false.
    pub(super) fn is_true(&self) -> Option<bool> {
        match &self.value {
            Value::Plain(word) => word.to_ascii_lowercase().parse().ok(),
            _ => None,
        }
    }

    /// A name, as it is written. `Err`: it is nothing, or somebody else may read it as something else.
    pub(super) fn name(&self, is_yaml: bool) -> Result<&str, String> {
        match &self.value {
            Value::Text(text) => Ok(text),
            Value::Plain(text) => {
                // YAML calls these nothing. TOML has no plain words: it is a number, a date, or true.
                let is_nothing = matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
                let is_name = if is_yaml { !is_nothing } else { text.bytes().all(|it| it.is_ascii_digit()) };
                if is_name { Ok(text) } else { Err(format!("quote it: {text:?}")) }
            }
            _ => Err("give text".to_owned()),
        }
    }

    /// The elements of a list, or the one value that stands for a list of it.
    pub(super) fn elements(&self) -> &[Self] {
        match &self.value {
            Value::List(list) => list,
            _ => std::slice::from_ref(self),
        }
    }
}

/// Is it YAML? By its name's end; without one, by its looks.
pub(super) fn is_yaml(name: &str, text: &str) -> bool {
    match name.rsplit_once('.') {
        Some((_, "yaml" | "yml")) => true,
        Some((_, "toml")) => false,
        _ => looks_like_yaml(text),
    }
}

/// Reads a file.
pub(super) fn parse(text: &str, is_yaml: bool) -> Result<Node, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if is_yaml { yaml(text) } else { toml(text) }
}

/// TOML has no line that begins with a word and a colon.
fn looks_like_yaml(text: &str) -> bool {
    let word = |line: &str| {
        let line = line.trim_start().trim_start_matches("- ");
        line.split_once(':').is_some_and(|(key, rest)| {
            let is_word =
                !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            is_word && (rest.is_empty() || rest.starts_with(' '))
        })
    };
    text.lines().any(word)
}

fn toml(text: &str) -> Result<Node, String> {
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at).collect();
    let line_of = |offset: usize| 1 + ends.partition_point(|end| *end < offset);
    let told = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        format!("line {line}: {}", error.message())
    };
    let table = DeTable::parse(text).map_err(told)?;
    let file = TomlFile { text, line_of: &line_of };
    Ok(Node { line: 1, value: file.table(table.get_ref()) })
}

struct TomlFile<'a> {
    text: &'a str,
    line_of: &'a dyn Fn(usize) -> usize,
}

impl TomlFile<'_> {
    fn table(&self, table: &DeTable<'_>) -> Value {
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let entry =
            |(key, value): (&toml::Spanned<std::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
                let line = (self.line_of)(key.span().start);
                (key.get_ref().to_string(), Node { line, value: self.value(value) })
            };
        Value::Table(entries.into_iter().map(entry).collect())
    }

    fn value(&self, value: &toml::Spanned<DeValue<'_>>) -> Value {
        match value.get_ref() {
            DeValue::String(text) => Value::Text(text.to_string()),
            DeValue::Array(list) => {
                let node = |value: &toml::Spanned<DeValue<'_>>| Node {
                    line: (self.line_of)(value.span().start),
                    value: self.value(value),
                };
                Value::List(list.iter().map(node).collect())
            }
            DeValue::Table(table) => self.table(table),
            _ => self.text.get(value.span()).map_or(Value::Other, |plain| Value::Plain(plain.to_owned())),
        }
    }
}

fn yaml(text: &str) -> Result<Node, String> {
    let told = |error: &saphyr::ScanError| format!("line {}: {}", error.marker().line(), error.info());
    let mut loader = YamlLoader::<MarkedYaml<'_>>::default();
    // Else `007` is a number before anybody has asked what it is to be.
    loader.early_parse(false);
    // Not the parser's own loop, which takes a stack frame for each level.
    let mut depth = 0_usize;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| told(&error))?;
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            let line = span.start.line();
            return Err(format!("line {line}: lists and tables are nested in more than {DEPTH_MAX} levels"));
        }
        loader.on_event(event, span);
    }
    if let Some(error) = loader.error() {
        return Err(told(error));
    }
    match loader.into_documents().as_slice() {
        [] => Ok(Node { line: 1, value: Value::Table(Vec::new()) }),
        [one] => Ok(yaml_node(one, 0)),
        [_, second, ..] => {
            let line = second.span.start.line();
            Err(format!("line {line}: a second document begins: a plan is one"))
        }
    }
}

/// Aliases may nest what is not nested in the file.
fn yaml_node(node: &MarkedYaml<'_>, depth: usize) -> Node {
    let inner = |node: &MarkedYaml<'_>| yaml_node(node, depth + 1);
    let value = match &node.data {
        _ if depth > DEPTH_MAX => Value::Other,
        YamlData::Representation(text, ScalarStyle::Plain, None) => Value::Plain(text.to_string()),
        YamlData::Representation(text, ..) => Value::Text(text.to_string()),
        YamlData::Sequence(list) => Value::List(list.iter().map(inner).collect()),
        YamlData::Mapping(table) => {
            let entry = |(key, value): (&MarkedYaml<'_>, &MarkedYaml<'_>)| {
                let name = inner(key).text().unwrap_or("?").to_owned();
                (name, Node { line: key.span.start.line(), ..inner(value) })
            };
            Value::Table(table.iter().map(entry).collect())
        }
        _ => Value::Other,
    };
    Node { line: node.span.start.line(), value }
}

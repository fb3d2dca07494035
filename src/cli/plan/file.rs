//! A file of TOML or YAML as values that know their line.

use saphyr::{LoadableYamlNode as _, MarkedYaml, Scalar, YamlData};
use toml::de::{DeTable, DeValue};

/// A value and where it is.
#[derive(Debug)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Text(String),
    /// As it is written, or as short as it can be.
    Number(String),
    Bool(bool),
    List(Vec<Node>),
    /// In the file's order.
    Table(Vec<(String, Node)>),
    /// Of a kind that no field takes.
    Other,
}

impl Node {
    /// Text, or a number, as text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Some(text),
            _ => None,
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

/// Reads a file by its name's end; without one, by its looks.
pub(super) fn parse(name: &str, text: &str) -> Result<Node, String> {
    let is_yaml = match name.rsplit_once('.') {
        Some((_, "yaml" | "yml")) => true,
        Some((_, "toml")) => false,
        _ => looks_like_yaml(text),
    };
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
    let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let told = |error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(span.start));
        format!("line {line}: {}", error.message())
    };
    let table = DeTable::parse(text).map_err(told)?;
    Ok(Node { line: 1, value: toml_table(table.get_ref(), &line_of) })
}

fn toml_table(table: &DeTable<'_>, line_of: &impl Fn(usize) -> usize) -> Value {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (
            name.to_string(),
            Node { line: line_of(key.span().start), value: toml_value(value.get_ref(), line_of) },
        )
    };
    Value::Table(entries.into_iter().map(entry).collect())
}

fn toml_value(value: &DeValue<'_>, line_of: &impl Fn(usize) -> usize) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Number(number.to_string()),
        DeValue::Float(number) => Value::Number(number.to_string()),
        DeValue::Boolean(is) => Value::Bool(*is),
        // Hours need no quotes.
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(list) => {
            let node = |value: &toml::Spanned<DeValue<'_>>| Node {
                line: line_of(value.span().start),
                value: toml_value(value.get_ref(), line_of),
            };
            Value::List(list.iter().map(node).collect())
        }
        DeValue::Table(table) => toml_table(table, line_of),
    }
}

fn yaml(text: &str) -> Result<Node, String> {
    let told = |error: saphyr::ScanError| format!("line {}: {}", error.marker().line(), error.info());
    let documents = MarkedYaml::load_from_str(text).map_err(told)?;
    match documents.as_slice() {
        [] => Ok(Node { line: 1, value: Value::Table(Vec::new()) }),
        [one] => Ok(yaml_node(one)),
        [_, second, ..] => {
            let line = second.span.start.line();
            Err(format!("line {line}: a second document begins: a plan is one"))
        }
    }
}

fn yaml_node(node: &MarkedYaml<'_>) -> Node {
    let value = match &node.data {
        YamlData::Value(Scalar::String(text)) => Value::Text(text.to_string()),
        YamlData::Value(Scalar::Integer(number)) => Value::Number(number.to_string()),
        YamlData::Value(Scalar::FloatingPoint(number)) => Value::Number(number.to_string()),
        YamlData::Value(Scalar::Boolean(is)) => Value::Bool(*is),
        YamlData::Sequence(list) => Value::List(list.iter().map(yaml_node).collect()),
        YamlData::Mapping(table) => {
            let entry = |(key, value): (&MarkedYaml<'_>, &MarkedYaml<'_>)| {
                let name = yaml_node(key).text().unwrap_or("?").to_owned();
                (name, Node { line: key.span.start.line(), ..yaml_node(value) })
            };
            Value::Table(table.iter().map(entry).collect())
        }
        _ => Value::Other,
    };
    Node { line: node.span.start.line(), value }
}

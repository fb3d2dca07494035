//! Columns that are composed of several attributes, and the way back: `{org}#{id}`.

use std::{fmt, str::FromStr};

use super::{ColumnPath, Misfit, Reason};
use crate::document::{Attribute, Number};

/// A text with attributes in it. Any two have a separator between them, which neither of them may contain, so a text
/// has only one way back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// What is before the first field.
    before: String,
    /// At least one.
    fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Field {
    path: ColumnPath,
    is_number: bool,
    /// The separator from the next field, or what is after the last one.
    after: String,
}

impl Template {
    /// The attributes that it takes.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &ColumnPath> {
        self.fields.iter().map(|field| &field.path)
    }

    /// The text of these attributes, one for each of [`Self::paths`].
    pub(super) fn text(&self, attributes: &[Option<&Attribute>]) -> Result<String, Misfit> {
        let misfit = |field: &Field, reason| Misfit { path: field.path.to_string(), column: None, reason };
        let (mut text, mut values) = (self.before.clone(), Vec::with_capacity(self.fields.len()));
        for (field, attribute) in self.fields.iter().zip(attributes) {
            let value = match (attribute, field.is_number) {
                (None, _) => return Err(misfit(field, Reason::Part)),
                (Some(Attribute::S(text)), false) => text.as_str(),
                (Some(Attribute::N(number)), true) => number.as_str(),
                (Some(other), is_number) => {
                    return Err(misfit(field, Reason::PartType { found: other.kind(), is_number }));
                }
            };
            text.push_str(value);
            text.push_str(&field.after);
            values.push(value);
        }
        // Where it would be split otherwise, a value contains a separator or begins or ends like one.
        let is_split_so = self.split(&text).is_some_and(|parts| parts == values);
        for (at, (field, value)) in self.fields.iter().zip(values).enumerate() {
            if let Some(separator) = self.separators(at).find(|it| value.contains(it)) {
                return Err(misfit(field, Reason::Separator(separator.to_owned())));
            }
            if let (false, Some(separator)) = (is_split_so, self.separators(at).next_back()) {
                return Err(misfit(field, Reason::Separator(separator.to_owned())));
            }
        }
        Ok(text)
    }

    /// The attributes of a text; `None`: it is not one of [`Self::text`].
    pub(super) fn attributes(&self, text: &str) -> Option<Vec<Attribute>> {
        let parts = self.split(text)?;
        let attributes = self.fields.iter().zip(parts).enumerate().map(|(at, (field, part))| {
            if self.separators(at).any(|separator| part.contains(separator)) {
                return None;
            }
            if !field.is_number {
                return Some(Attribute::S(part.to_owned()));
            }
            let number: Number = part.parse().ok()?;
            (number.as_str() == part).then_some(Attribute::N(number))
        });
        attributes.collect()
    }

    /// Splits a text at the first of each separator.
    fn split<'t>(&self, text: &'t str) -> Option<Vec<&'t str>> {
        let mut rest = text.strip_prefix(self.before.as_str())?;
        let (last, others) = self.fields.split_last()?;
        let mut parts = Vec::with_capacity(self.fields.len());
        for field in others {
            let (part, after) = rest.split_once(field.after.as_str())?;
            parts.push(part);
            rest = after;
        }
        parts.push(rest.strip_suffix(last.after.as_str())?);
        Some(parts)
    }

    /// The separators beside a field.
    fn separators(&self, at: usize) -> impl DoubleEndedIterator<Item = &str> {
        let last = self.fields.len() - 1;
        let before = at.checked_sub(1).map(|at| self.fields[at].after.as_str());
        let after = (at < last).then(|| self.fields[at].after.as_str());
        before.into_iter().chain(after)
    }
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unbalanced =
            || "a brace without its other half: write {{ or }} for a brace in the text".to_owned();
        let (mut before, mut fields, mut rest) = (String::new(), Vec::<Field>::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (literal, tail) = rest.split_at(at);
            let into = fields.last_mut().map_or(&mut before, |field| &mut field.after);
            into.push_str(literal);
            if let Some(tail) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
                into.push_str(&rest[at..=at]);
                rest = tail;
                continue;
            }
            let (name, tail) =
                tail.strip_prefix('{').and_then(|it| it.split_once('}')).ok_or_else(unbalanced)?;
            let (dotted, is_number) = name.strip_suffix(":N").map_or((name, false), |name| (name, true));
            let path = ColumnPath::dotted(dotted).filter(|_| !name.contains('{'));
            let path = path.ok_or_else(|| format!("{{{name}}} is no path of an attribute, like {{id}}"))?;
            if let Some(one) = fields.iter().find(|field| field.path.overlaps(&path)) {
                return Err(format!(
                    "{{{}}} and {{{path}}} are the same attribute or a part of it",
                    one.path
                ));
            }
            if let Some(last) = fields.last().filter(|last| last.after.is_empty()) {
                return Err(format!(
                    "nothing separates {{{}}} from {{{path}}}, so nobody could tell where one ends: put a text \
                     between them",
                    last.path
                ));
            }
            fields.push(Field { path, is_number, after: String::new() });
            rest = tail;
        }
        match fields.last_mut() {
            Some(last) => last.after.push_str(rest),
            None => return Err("it has no attribute, like {id}: use constant instead".to_owned()),
        }
        Ok(Self { before, fields })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let literal = |text: &str| text.replace('{', "{{").replace('}', "}}");
        f.write_str(&literal(&self.before))?;
        for Field { path, is_number, after } in &self.fields {
            write!(f, "{{{path}{}}}{}", if *is_number { ":N" } else { "" }, literal(after))?;
        }
        Ok(())
    }
}

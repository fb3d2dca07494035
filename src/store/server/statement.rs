//! Statements that PostgreSQL and MySQL both understand: each writes placeholders and lists in its own way.

use std::borrow::Cow;

/// Where a list of rows belongs in a statement. It is a table with the alias `put`.
pub(in crate::store) const LIST: &str = "{list}";

/// A statement with `?` for each value and [`LIST`] for each list. Its constants contain no `?`.
pub(in crate::store) struct Statement<'a> {
    sql: Cow<'static, str>,
    pub(in crate::store) values: Vec<Value<'a>>,
}

pub(in crate::store) enum Value<'a> {
    Int(i64),
    Text(&'a str),
    OptionalText(Option<&'a str>),
    Bytes(Option<&'a [u8]>),
    List(List<'a>),
}

/// Rows, by columns of the same length.
pub(in crate::store) struct List<'a>(pub(in crate::store) Vec<(&'static str, Column<'a>)>);

pub(in crate::store) enum Column<'a> {
    Texts(Vec<&'a str>),
    Ints(Vec<i64>),
}

impl<'a> Statement<'a> {
    pub(in crate::store) fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self { sql: sql.into(), values: Vec::new() }
    }

    pub(in crate::store) fn int(self, value: i64) -> Self {
        self.value(Value::Int(value))
    }

    pub(in crate::store) fn text(self, value: &'a str) -> Self {
        self.value(Value::Text(value))
    }

    pub(in crate::store) fn optional(self, value: Option<&'a str>) -> Self {
        self.value(Value::OptionalText(value))
    }

    pub(in crate::store) fn bytes(self, value: Option<&'a [u8]>) -> Self {
        self.value(Value::Bytes(value))
    }

    pub(in crate::store) fn list(self, columns: Vec<(&'static str, Column<'a>)>) -> Self {
        self.value(Value::List(List(columns)))
    }

    fn value(mut self, value: Value<'a>) -> Self {
        self.values.push(value);
        self
    }

    /// The text for a server. `one` writes a placeholder and `list` a list, from the number of values before it; `list`
    /// also returns how many values it takes.
    pub(in crate::store) fn written(
        &self,
        one: impl Fn(usize) -> String,
        list: impl Fn(usize, &List<'_>) -> (String, usize),
    ) -> String {
        let (mut text, mut rest, mut before) = (String::new(), &*self.sql, 0);
        for value in &self.values {
            let (mark, placed, takes) = match value {
                Value::List(rows) => {
                    let (placed, takes) = list(before, rows);
                    (LIST, placed, takes)
                }
                _ => ("?", one(before), 1),
            };
            let (head, tail) = rest.split_once(mark).expect("a statement has a mark for each value");
            text.push_str(head);
            text.push_str(&placed);
            (rest, before) = (tail, before + takes);
        }
        text.push_str(rest);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_placed_in_order() {
        let statement = Statement::new("INSERT INTO a SELECT ?, put.b FROM {list} WHERE c = ?")
            .text("x")
            .list(vec![("b", Column::Texts(vec!["y"])), ("n", Column::Ints(vec![1]))])
            .int(7);
        let one = |before: usize| format!("${}", before + 1);
        let list = |before: usize, list: &List<'_>| {
            (format!("unnest(${}..${})", before + 1, before + list.0.len()), list.0.len())
        };
        let written = statement.written(one, list);
        assert_eq!(written, "INSERT INTO a SELECT $1, put.b FROM unnest($2..$3) WHERE c = $4");
    }
}

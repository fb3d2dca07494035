//! URLs of a store: the server's, and the schema.

use form_urlencoded::Serializer;

use crate::store::OpenError;

/// The schema, unless the URL names another one.
const SCHEMA: &str = "cutover";
/// Longest name that PostgreSQL does not cut off.
const SCHEMA_MAX_BYTES: usize = 63;

/// The URL without `schema`, and the schema.
pub(super) fn split(url: &str) -> Result<(String, String), OpenError> {
    let (server, query) = url.split_once('?').unwrap_or((url, ""));
    let mut schema = SCHEMA.to_owned();
    let mut rest = Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "schema" => schema = value.into_owned(),
            _ => _ = rest.append_pair(&name, &value),
        }
    }
    let is_name = schema.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && schema.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !schema.starts_with("pg_")
        && schema.len() <= SCHEMA_MAX_BYTES;
    if !is_name {
        return Err(OpenError::Url(format!(
            "malformed schema {schema:?}: use lower-case letters, digits and _, like schema=cutover"
        )));
    }
    let rest = rest.finish();
    Ok((if rest.is_empty() { server.to_owned() } else { format!("{server}?{rest}") }, schema))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_split_off_and_checked() {
        let of = |url| split(url).unwrap();
        assert_eq!(of("postgres://a/b"), ("postgres://a/b".to_owned(), "cutover".to_owned()));
        let (server, schema) = of("postgres://a/b?schema=moves&sslmode=verify-full");
        assert_eq!((&*server, &*schema), ("postgres://a/b?sslmode=verify-full", "moves"));
        for schema in ["", "Moves", "a b", "a\"b", "pg_moves", "1a", &"a".repeat(64)] {
            let refused = split(&format!("postgres://a/b?schema={schema}")).unwrap_err();
            assert!(refused.to_string().contains("malformed schema"), "{refused}");
        }
    }
}

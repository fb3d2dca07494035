//! URLs of database servers, without their passwords.

use std::{borrow::Cow, ops::Range};

use form_urlencoded::Serializer;

/// The URL without its password. Hides too much rather than too little.
pub(in crate::store) fn shown(url: &str) -> Cow<'_, str> {
    let url = match in_user(url) {
        Some(hidden) => {
            // What follows may be the end of another one.
            let is_in_query = url[hidden.clone()].contains(IN_QUERY);
            let rest = &url[hidden.end..];
            let rest = if is_in_query { rest.find('&').map_or("", |end| &rest[end..]) } else { rest };
            Cow::Owned(format!("{}{rest}", &url[..hidden.start]))
        }
        None => Cow::Borrowed(url),
    };
    let Some((server, query)) = url.split_once('?') else { return url };
    let of_query = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name != "password");
    let query = Serializer::new(String::new()).extend_pairs(of_query).finish();
    Cow::Owned(if query.is_empty() { server.to_owned() } else { format!("{server}?{query}") })
}

/// The password in the URL, as it is written there.
pub(in crate::store) fn password_of(url: &str) -> Option<&str> {
    let of_user = in_user(url).map(|hidden| &url[hidden][1..]);
    let of_query = || url.split_once(IN_QUERY).map(|(_, rest)| rest.split('&').next().unwrap_or(rest));
    of_user.or_else(of_query).filter(|password| !password.is_empty())
}

const IN_QUERY: &str = "password=";

/// From the first `:` after the scheme to the last `@`: a password may have every character, encoded or not.
fn in_user(url: &str) -> Option<Range<usize>> {
    let scheme = url.find(':')? + 1;
    let from = scheme + url[scheme..].len() - url[scheme..].trim_start_matches('/').len();
    let colon = from + url[from..].find(':')?;
    let at = url.rfind('@')?;
    (colon < at).then_some(colon..at)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_never_shown() {
        for (url, says, password) in [
            ("postgres://host/db", "postgres://host/db", None),
            ("postgres://ada@host/db", "postgres://ada@host/db", None),
            ("postgres://ada:s3cret@host:1/db", "postgres://ada@host:1/db", Some("s3cret")),
            (
                "postgres://ada:s3:c@r%40et@host/db?schema=a",
                "postgres://ada@host/db?schema=a",
                Some("s3:c@r%40et"),
            ),
            ("postgres://host/db?password=s3cret&user=ada", "postgres://host/db?user=ada", Some("s3cret")),
            ("postgres://ada:@host/db", "postgres://ada@host/db", None),
            ("postgres://ada@host:5432/db", "postgres://ada@host:5432/db", None),
            ("postgres://ada:pa/s?s@host/db", "postgres://ada@host/db", Some("pa/s?s")),
            ("postgres://ada:12/x@y@host/db", "postgres://ada@host/db", Some("12/x@y")),
            ("postgres:ada:s3cret@host/db", "postgres:ada@host/db", Some("s3cret")),
            ("postgres://host/db?password=s3@cret&user=ada", "postgres://host/db?user=ada", Some("s3@cret")),
            (
                "postgres://a:b@host/db?password=s3@cret&user=c",
                "postgres://a&user=c",
                Some("b@host/db?password=s3"),
            ),
        ] {
            assert_eq!(shown(url), says, "{url}");
            assert_eq!(password_of(url), password, "{url}");
        }
    }
}

//! URLs of a store.

use sqlx::mysql::MySqlConnectOptions;

use crate::store::{OpenError, server::url::password_of};

/// What may follow a `?`. The driver would leave out others without a word.
const PARAMETERS: [&str; 5] = ["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket"];
/// Where a password is, if not in the URL. The command `mysql` looks there as well.
const PASSWORD: &str = "MYSQL_PWD";

/// The options of a connection. `place` is for messages.
pub(super) fn parse(url: &str, place: &str) -> Result<MySqlConnectOptions, OpenError> {
    let malformed = |why: String| {
        // Without parameters: an unknown one may be a password.
        let server = place.split('?').next().unwrap_or(place);
        OpenError::Url(format!(
            "malformed URL {server}: {why}. Give mysql://USER@HOST:3306/DATABASE, and in a password write %2F for /, \
             %3F for ?, %40 for @"
        ))
    };
    let connect: MySqlConnectOptions =
        url.parse().map_err(|error: sqlx::Error| malformed(error.to_string()))?;
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let unknown = |name: &str| !PARAMETERS.contains(&name);
    if let Some((name, _)) = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| unknown(name)) {
        return Err(malformed(format!("unknown parameter {name}; known are {}", PARAMETERS.join(", "))));
    }
    if connect.get_database().is_none() {
        return Err(malformed("it names no database".to_owned()));
    }
    Ok(match std::env::var(PASSWORD) {
        Ok(password) if password_of(url).is_none() => connect.password(&password),
        _ => connect,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_database_and_no_unknown_parameters() {
        let parsed = parse("mysql://ada@db:3307/cutover?ssl-mode=VERIFY_IDENTITY&ssl-ca=ca.pem", "")
            .expect("it is well");
        assert_eq!(
            (parsed.get_host(), parsed.get_port(), parsed.get_database()),
            ("db", 3307, Some("cutover"))
        );
        for (url, says) in [
            ("mysql://ada@db", "names no database"),
            ("mysql://ada@db/", "names no database"),
            ("mysql://ada@db/cutover?sslmode=verify-full", "verify-full"),
            ("mysql://ada@db/cutover?ssl_mode=REQUIRED", "unknown parameter ssl_mode"),
            ("mysql://ada@db/cutover?schema=a", "unknown parameter schema"),
            ("mysql://ada@db:port/cutover", "port"),
        ] {
            let refused = parse(url, "PLACE?passwd=s3cret").expect_err(url).to_string();
            assert!(refused.contains(says) && refused.contains("PLACE"), "{url}: {refused}");
            assert!(!refused.contains("s3cret"), "{refused}");
        }
    }
}

//! How a controller lets this process in.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::{ExposeSecret as _, SecretString};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use crate::tls::TlsFiles;

/// The environment variable with a token.
const TOKEN: &str = "CUTOVER_TOKEN";
/// The environment variable with the name of a file that has one.
const TOKEN_FILE: &str = "CUTOVER_TOKEN_FILE";
/// The environment variables with the names of files for TLS.
const CA: &str = "CUTOVER_CA";
const CLIENT_CERT: &str = "CUTOVER_CLIENT_CERT";
const CLIENT_KEY: &str = "CUTOVER_CLIENT_KEY";
/// The environment variable that allows a token without TLS: `true`, `1`, `yes` or `on`.
const INSECURE: &str = "CUTOVER_INSECURE";

/// What to show a controller, and which controllers to trust. The default shows nothing, which is enough for one without
/// tokens, and trusts the system's CAs.
///
/// ```
/// use cutover_client::{Access, Options};
///
/// // A token file is read again for each call, and files for TLS for each connection: new ones need no restart.
/// let access = Access::default()
///     .with_token_file("/run/secrets/cutover-token")
///     .with_ca_file("/etc/cutover/ca.pem");
/// let options = Options { access, ..Options::default() };
/// ```
#[derive(Clone, Debug, Default)]
pub struct Access {
    token: Option<Token>,
    tls: TlsFiles,
    insecure: bool,
    /// Why the last call had no token, which has been logged. Clones share it.
    warned: Arc<Mutex<Option<String>>>,
}

/// Why there is no token to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct AccessError(String);

#[derive(Clone)]
enum Token {
    Text(SecretString),
    File(PathBuf),
}

/// A connection whose calls have the token.
pub type AuthorizedChannel = InterceptedService<Channel, Access>;

impl Access {
    /// With this token.
    #[must_use]
    pub fn with_token(self, text: impl Into<String>) -> Self {
        Self { token: Some(Token::Text(SecretString::from(text.into()))), ..self }
    }

    /// With the token in this file, which is read for each call.
    #[must_use]
    pub fn with_token_file(self, path: impl Into<PathBuf>) -> Self {
        Self { token: Some(Token::File(path.into())), ..self }
    }

    /// Trusts controllers whose certificate a CA in this file has signed, in PEM, instead of those of the system's CAs.
    #[must_use]
    pub fn with_ca_file(self, path: impl Into<PathBuf>) -> Self {
        Self { tls: TlsFiles { ca: Some(path.into()), ..self.tls }, ..self }
    }

    /// With a client certificate and its private key, in PEM.
    #[must_use]
    pub fn with_client_certificate(self, cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self { tls: TlsFiles { cert: Some(cert.into()), key: Some(key.into()), ..self.tls }, ..self }
    }

    /// Shows the token without TLS to controllers on other machines, too: for networks where a mesh or a tunnel encrypts the
    /// way.
    #[must_use]
    pub fn insecure(self) -> Self {
        Self { insecure: true, ..self }
    }

    /// What the environment has: a token in `CUTOVER_TOKEN`, or in the file that `CUTOVER_TOKEN_FILE` names; files for TLS in
    /// `CUTOVER_CA`, `CUTOVER_CLIENT_CERT` and `CUTOVER_CLIENT_KEY`; and `CUTOVER_INSECURE`. Empty: none.
    #[must_use]
    pub fn from_env() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let file = |name: &str| set(name).map(PathBuf::from);
        Self {
            token: set(TOKEN)
                .map(|text| Token::Text(text.into()))
                .or_else(|| file(TOKEN_FILE).map(Token::File)),
            tls: TlsFiles { ca: file(CA), cert: file(CLIENT_CERT), key: file(CLIENT_KEY) },
            warned: Arc::default(),
            insecure: set(INSECURE).is_some_and(|value| is_yes(&value)),
        }
    }

    /// Fails if there is to be a token, and it can't be read now. Calls would go out without it: the controller has to see
    /// that a process lives. Whoever can wait for a person should not begin.
    pub fn check(&self) -> Result<(), AccessError> {
        self.header().map(drop).map_err(AccessError)
    }

    /// Whether calls show a token, if it can be read.
    pub(crate) const fn shows_token(&self) -> bool {
        self.token.is_some()
    }

    pub(crate) const fn is_insecure(&self) -> bool {
        self.insecure
    }

    pub(crate) const fn tls(&self) -> &TlsFiles {
        &self.tls
    }

    /// A channel that shows the token with every call.
    #[must_use]
    pub fn authorize(&self, channel: Channel) -> AuthorizedChannel {
        InterceptedService::new(channel, self.clone())
    }

    /// The value of the header. `None`: there is no token. An error says why there can't be one.
    fn header(&self) -> Result<Option<MetadataValue<Ascii>>, String> {
        let text = match &self.token {
            None => return Ok(None),
            Some(Token::Text(text)) => text.clone(),
            Some(Token::File(path)) => {
                let read = std::fs::read_to_string(path)
                    .map_err(|error| format!("can't read the token file {}: {error}", path.display()));
                SecretString::from(read?)
            }
        };
        if text.expose_secret().trim().is_empty() {
            return Err(format!("{} is empty", self.place()));
        }
        let header = SecretString::from(format!("Bearer {}", text.expose_secret().trim()));
        let value = MetadataValue::try_from(header.expose_secret());
        let mut value = value.map_err(|_| self.malformed())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn place(&self) -> String {
        match &self.token {
            Some(Token::File(path)) => format!("the token file {}", path.display()),
            _ => "the token".to_owned(),
        }
    }

    fn malformed(&self) -> String {
        format!(
            "{} has characters that no token has: put the text there that cutover token create printed",
            self.place()
        )
    }
}

/// As commands read it.
fn is_yes(value: &str) -> bool {
    ["true", "t", "1", "yes", "y", "on"].iter().any(|yes| value.eq_ignore_ascii_case(yes))
}

impl Interceptor for Access {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let failed = match self.header() {
            Ok(header) => {
                if let Some(header) = header {
                    request.metadata_mut().insert("authorization", header);
                }
                None
            }
            // The controller has to see and refuse the call. Otherwise it takes a silent process for dead.
            Err(error) => Some(error),
        };
        // Once for each cause: there are many calls.
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if *warned != failed {
            failed.iter().for_each(|error| tracing::warn!("calling the controller without a token: {error}"));
            *warned = failed;
        }
        drop(warned);
        Ok(request)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(access: &Access) -> Option<String> {
        let mut access = access.clone();
        let request = access.call(Request::new(())).expect("every call goes out");
        let debug = format!("{access:?} {request:?}");
        assert!(!debug.contains("secret-text"), "{debug}");
        request.metadata().get("authorization").map(|value| value.to_str().expect("text").to_owned())
    }

    #[test]
    fn a_token_is_shown_to_the_controller_and_to_nobody_else() {
        assert_eq!(shown(&Access::default()), None);
        let text = shown(&Access::default().with_token("secret-text\n"));
        assert_eq!(text.as_deref(), Some("Bearer secret-text"));
        let wrong = Access::default().with_token("secret-text\u{1}");
        assert_eq!(shown(&wrong), None);
        let why = wrong.header().expect_err("it is malformed");
        assert!(!why.contains("secret-text"), "{why}");
    }

    #[test]
    fn a_file_is_read_again_for_each_call() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("token");
        let access = Access::default().with_token_file(&path);
        let missing = access.header().expect_err("it is missing");
        assert!(missing.starts_with("can't read the token file"), "{missing}");
        assert_eq!(access.check(), Err(AccessError(missing.clone())));
        assert_eq!(shown(&access), None, "the controller sees the call, and refuses it");
        let warned = || access.warned.lock().expect("no panic").clone();
        assert_eq!(warned(), Some(missing), "clones share what has been logged");
        std::fs::write(&path, "\n").expect("it is written");
        assert!(access.header().is_err_and(|why| why.ends_with("token is empty")));
        assert_eq!(shown(&access), None);
        for text in ["secret-text-1", "secret-text-2"] {
            std::fs::write(&path, text).expect("it is written");
            assert_eq!(shown(&access), Some(format!("Bearer {text}")));
            assert_eq!(warned(), None, "the next failure is logged again");
        }
    }
}

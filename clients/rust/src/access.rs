//! How a controller lets this process in.

use std::{fmt, path::PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

/// The environment variable with a token.
const TOKEN: &str = "CUTOVER_TOKEN";
/// The environment variable with the name of a file that has one.
const TOKEN_FILE: &str = "CUTOVER_TOKEN_FILE";

/// What to show a controller. The default shows nothing, which is enough for one without tokens.
///
/// ```
/// use cutover_client::{Access, Options};
///
/// // A file is read again for each call, so a rotated token needs no restart.
/// let access = Access::default().with_token_file("/run/secrets/cutover-token");
/// let options = Options { access, ..Options::default() };
/// ```
#[derive(Clone, Debug, Default)]
pub struct Access {
    token: Option<Token>,
}

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
        Self { token: Some(Token::Text(SecretString::from(text.into()))) }
    }

    /// With the token in this file, which is read for each call.
    #[must_use]
    pub fn with_token_file(self, path: impl Into<PathBuf>) -> Self {
        Self { token: Some(Token::File(path.into())) }
    }

    /// With the token that the environment has: in `CUTOVER_TOKEN`, or in the file that `CUTOVER_TOKEN_FILE` names.
    /// Empty: none.
    #[must_use]
    pub fn from_env() -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (set(TOKEN), set(TOKEN_FILE)) {
            (Some(text), _) => Self::default().with_token(text),
            (None, Some(path)) => Self::default().with_token_file(path),
            (None, None) => Self::default(),
        }
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
        let header = SecretString::from(format!("Bearer {}", text.expose_secret().trim()));
        let value = MetadataValue::try_from(header.expose_secret());
        let mut value = value.map_err(|_| self.malformed())?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn malformed(&self) -> String {
        let place = match &self.token {
            Some(Token::File(path)) => format!("the token file {}", path.display()),
            _ => "the token".to_owned(),
        };
        format!(
            "{place} has characters that no token has: put the text there that cutover token create printed"
        )
    }
}

impl Interceptor for Access {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        match self.header() {
            Ok(Some(header)) => _ = request.metadata_mut().insert("authorization", header),
            Ok(None) => {}
            // The controller has to see and refuse the call. Otherwise it takes a silent process for dead.
            Err(error) => tracing::warn!("calling the controller without a token: {error}"),
        }
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
        assert_eq!(shown(&access), None, "the controller sees the call, and refuses it");
        for text in ["secret-text-1", "secret-text-2"] {
            std::fs::write(&path, text).expect("it is written");
            assert_eq!(shown(&access), Some(format!("Bearer {text}")));
        }
    }
}

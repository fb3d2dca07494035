//! The table `[oidc]` of the configuration file.

use std::{collections::BTreeMap, path::PathBuf};

use cutover_core::text::shown_address;
use hyper::Uri;
use serde::Deserialize;

use crate::domain::Role;

/// As it is in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    issuer: String,
    audience: String,
    keys: String,
    name: Option<String>,
    groups: Option<String>,
    roles: BTreeMap<String, Vec<String>>,
}

/// Whom to believe, and what of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The provider, as its tokens name it (`iss`).
    pub issuer: String,
    /// This controller, as tokens name it (`aud`).
    pub audience: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// The claim that names a person.
    pub name: String,
    /// The claim with the person's groups.
    pub groups: String,
    /// Which groups give a role.
    pub roles: Vec<(Role, Vec<String>)>,
}

/// Where a provider's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// In a file, which somebody else renews.
    File(PathBuf),
    /// At its address.
    Url(Uri),
}

impl std::fmt::Display for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Url(url) => f.write_str(&shown_address(&url.to_string())),
        }
    }
}

/// What is wrong with the table.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A text is empty.
    #[error("[oidc] {0} is empty: docs/guides/security.md says what belongs there")]
    Empty(&'static str),
    /// The keys could be replaced on the way.
    #[error(
        "[oidc] keys = {0:?} has no https: whoever is on the way could put in keys of their own. Use https://, or a file"
    )]
    Unsafe(String),
    /// Malformed address.
    #[error(
        "[oidc] keys is no address that can be used: give https://HOST/PATH without a password, or a file"
    )]
    Url,
    /// A role that nobody can have this way.
    #[error("[oidc.roles] {0:?} is no role for people: give viewer, operator, approver or admin")]
    Role(String),
    /// Nobody could get in.
    #[error("[oidc.roles] gives no group a role: add, for example, operator = [\"platform\"]")]
    NoRoles,
}

impl File {
    /// Checks it, and fills in defaults.
    pub fn check(self) -> Result<Settings, SettingsError> {
        let name = self.name.unwrap_or_else(|| "email".to_owned());
        let groups = self.groups.unwrap_or_else(|| "groups".to_owned());
        let texts = [
            ("issuer", &self.issuer),
            ("audience", &self.audience),
            ("keys", &self.keys),
            ("name", &name),
            ("groups", &groups),
        ];
        if let Some((what, _)) = texts.into_iter().find(|(_, text)| text.trim().is_empty()) {
            return Err(SettingsError::Empty(what));
        }
        let mut roles = Vec::new();
        for (role, groups) in self.roles {
            // Processes are not people: they need tokens, which outlive a login.
            let known = role.parse().ok().filter(|role| !matches!(role, Role::Sdk | Role::Worker));
            let known = known.ok_or(SettingsError::Role(role))?;
            if groups.iter().any(|group| group.trim().is_empty()) {
                return Err(SettingsError::Empty("roles"));
            }
            roles.push((known, groups));
        }
        if roles.iter().all(|(_, groups)| groups.is_empty()) {
            return Err(SettingsError::NoRoles);
        }
        let keys = key_source(self.keys)?;
        Ok(Settings { issuer: self.issuer, audience: self.audience, keys, name, groups, roles })
    }
}

fn key_source(text: String) -> Result<KeySource, SettingsError> {
    if !text.contains("://") {
        return Ok(KeySource::File(text.into()));
    }
    let Ok(url) = text.parse::<Uri>() else { return Err(SettingsError::Url) };
    let host = url.host().unwrap_or_default();
    // It would not be sent.
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(SettingsError::Url);
    }
    match url.scheme_str() {
        Some("https") if !host.is_empty() => Ok(KeySource::Url(url)),
        // Nobody is on the way.
        Some("http") if matches!(host, "localhost" | "127.0.0.1" | "[::1]") => Ok(KeySource::Url(url)),
        Some("http") => Err(SettingsError::Unsafe(shown_address(&text))),
        _ => Err(SettingsError::Url),
    }
}

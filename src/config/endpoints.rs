//! Notification endpoints from flags and file, with their secrets read.

use std::{collections::BTreeMap, path::PathBuf};

use super::{Error, Serve};
use crate::notify::{Endpoint, EndpointError, Secret, Shape};

/// Endpoints in the file; a flag with the same name takes precedence.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) webhook: BTreeMap<String, String>,
    pub(super) secret_file: BTreeMap<String, String>,
    pub(super) slack: BTreeMap<String, String>,
}

/// All endpoints, by name.
pub(super) fn load(serve: &Serve, file: Named) -> Result<Vec<Endpoint>, Error> {
    if !serve.slack.is_empty() {
        tracing::warn!(
            "everybody on this machine can read the URL of --slack (ps), and post there with it: put it into the table \
             [slack] of --config FILE instead"
        );
    }
    let mut endpoints: BTreeMap<String, Endpoint> = BTreeMap::new();
    for (shape, given, in_file) in
        [(Shape::Webhook, &serve.webhook, file.webhook), (Shape::Slack, &serve.slack, file.slack)]
    {
        for (name, url) in merged(shape.flag(), given, in_file)? {
            let endpoint = Endpoint::new(shape, &name, &url)?;
            if endpoints.insert(name.clone(), endpoint).is_some() {
                return Err(Error::TwoEndpoints(name));
            }
        }
    }
    let flag = "--webhook-secret-file";
    for (name, path) in merged(flag, &serve.webhook_secret_file, file.secret_file)? {
        let known = endpoints.get_mut(&name).filter(|endpoint| endpoint.shape == Shape::Webhook);
        let Some(endpoint) = known else { return Err(Error::NoWebhook(name)) };
        let path = PathBuf::from(path);
        let text = std::fs::read_to_string(&path).map_err(|error| Error::SecretUnreadable {
            name: name.clone(),
            path: path.clone(),
            error,
        })?;
        let Some(secret) = Secret::new(&text) else { return Err(Error::SecretEmpty { name, path }) };
        endpoint.secret = Some(secret);
    }
    Ok(endpoints.into_values().collect())
}

fn merged(
    flag: &'static str,
    given: &[String],
    mut in_file: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut from_flags = BTreeMap::new();
    for text in given {
        let (name, value) = text.split_once('=').ok_or(EndpointError::NoName { flag })?;
        if from_flags.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(Error::TwoEndpoints(name.to_owned()));
        }
    }
    in_file.append(&mut from_flags);
    Ok(in_file)
}

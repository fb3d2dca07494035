//! Opens the store that a URL names, for one controller alone or for several of which one leads.

use std::{borrow::Cow, path::Path, sync::Arc};

#[cfg(feature = "postgres")]
use super::postgres::{self, PostgresStore};
#[cfg(feature = "sqlite")]
use super::sqlite::{self, SqliteStore};
use super::{Inspected, OpenError, Store};

/// What this build can open.
const GIVE: &str = match (cfg!(feature = "sqlite"), cfg!(feature = "postgres")) {
    (true, true) => "sqlite:PATH or postgres://USER@HOST/DATABASE",
    (true, false) => "sqlite:PATH",
    (false, true) => "postgres://USER@HOST/DATABASE",
    (false, false) => "nothing: this build has no store",
};

/// Opens the store that a URL names: `sqlite:PATH` or `postgres://USER@HOST/DATABASE`.
pub async fn open_store(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    let Some((scheme, rest)) = url.split_once(':') else {
        return Err(OpenError::Url(format!("{url:?} names no store: give {GIVE}")));
    };
    match scheme {
        #[cfg(feature = "sqlite")]
        "sqlite" => Ok(Arc::new(SqliteStore::open(rest).await?)),
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            if postgres::password_of(url).is_some()
                && std::env::args_os().any(|arg| arg.to_string_lossy().contains(url))
            {
                return Err(OpenError::Url(
                    "everybody on this machine can read a password on the command line (ps). Leave it out of --store, \
                     and set PGPASSWORD; or set CUTOVER_STORE and give no URL"
                        .to_owned(),
                ));
            }
            Ok(Arc::new(PostgresStore::open(url).await?))
        }
        known if ["sqlite", "postgres", "postgresql", "mysql", "dynamodb"].contains(&known) => {
            Err(OpenError::Url(format!("this build has no {known} store: give {GIVE}")))
        }
        _ => {
            _ = rest;
            Err(OpenError::Url(format!("{scheme:?} is no store: give {GIVE}")))
        }
    }
}

/// Looks at the file that a URL names, also while a controller uses it. Writes nothing.
pub async fn inspect_store(url: &str) -> Result<Inspected, OpenError> {
    match url.split_once(':') {
        #[cfg(feature = "sqlite")]
        Some(("sqlite", path)) => sqlite::inspect(path.as_ref()).await,
        _ => Err(OpenError::Url(format!(
            "{} is no file: give sqlite:PATH. A database server has its own tools (docs/guides/replicas.md)",
            shown_store(url)
        ))),
    }
}

/// The URL without its password, for messages.
pub fn shown_store(url: &str) -> Cow<'_, str> {
    match url.split_once(':') {
        #[cfg(feature = "postgres")]
        Some(("postgres" | "postgresql", _)) => postgres::shown(url),
        _ => Cow::Borrowed(url),
    }
}

/// A controller's claim to a file. It ends when dropped, or with its process.
#[derive(Debug)]
pub struct Hold {
    _lock: Option<std::fs::File>,
}

/// Claims a file for this controller, before anything is read or written; a second controller is refused. Stores that
/// several controllers share have a [`Lease`](super::Lease) instead. `holder`: who this is, for the one that is refused.
pub fn hold_store(url: &str, holder: &str) -> Result<Hold, OpenError> {
    match url.split_once(':') {
        #[cfg(feature = "sqlite")]
        Some(("sqlite", path)) => {
            let path = sqlite::check_place(path.as_ref())?;
            Ok(Hold { _lock: Some(sqlite::hold(&path, holder)?) })
        }
        // Opening it reports what is wrong.
        _ => {
            _ = holder;
            Ok(Hold { _lock: None })
        }
    }
}

/// Creates a store from a backup file, with a new history. No controller may run on it, and nothing may exist
/// at its place.
pub async fn restore_store(url: &str, file: &Path) -> Result<(), OpenError> {
    let _hold = hold_store(url, "cutover restore")?;
    match url.split_once(':') {
        #[cfg(feature = "sqlite")]
        Some(("sqlite", path)) => sqlite::restore(path.as_ref(), file).await,
        _ => {
            let (url, file) = (shown_store(url), file.display());
            Err(OpenError::Url(format!(
                "{file} can't be restored to {url}: give sqlite:PATH. A database server has its own tools: \
                 docs/guides/replicas.md"
            )))
        }
    }
}

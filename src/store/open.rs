//! Opens the store that a URL names, for one controller alone or for several of which one leads.

use std::{borrow::Cow, path::Path, sync::Arc};

#[cfg(feature = "dynamodb")]
use super::dynamodb;
#[cfg(feature = "mysql")]
use super::mysql::MySql;
#[cfg(feature = "postgres")]
use super::postgres::Postgres;
#[cfg(any(feature = "mysql", feature = "postgres"))]
use super::server::url;
#[cfg(feature = "sqlite")]
use super::sqlite::{self, SqliteStore};
use super::{Inspected, OpenError, Store};

/// What this build can open.
fn give() -> String {
    let given = [
        (cfg!(feature = "sqlite"), "sqlite:PATH"),
        (cfg!(feature = "postgres"), "postgres://USER@HOST/DATABASE"),
        (cfg!(feature = "mysql"), "mysql://USER@HOST/DATABASE"),
        (cfg!(feature = "dynamodb"), "dynamodb://TABLE?region=REGION"),
    ];
    let given: Vec<_> = given.iter().filter(|(is_here, _)| *is_here).map(|(_, url)| *url).collect();
    match &given[..] {
        [] => "nothing: this build has no store".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// Opens the store that a URL names: `sqlite:PATH`, `postgres://USER@HOST/DATABASE`, `mysql://USER@HOST/DATABASE` or
/// `dynamodb://TABLE?region=REGION`.
pub async fn open_store(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    match url.split_once(':') {
        #[cfg(feature = "sqlite")]
        Some(("sqlite", path)) => Ok(Arc::new(SqliteStore::open(path).await?)),
        #[cfg(feature = "postgres")]
        Some(("postgres" | "postgresql", _)) => {
            check_arguments(url, "PGPASSWORD")?;
            Ok(Arc::new(Postgres::open(url).await?))
        }
        #[cfg(feature = "mysql")]
        Some(("mysql", _)) => {
            check_arguments(url, "MYSQL_PWD")?;
            Ok(Arc::new(MySql::open(url).await?))
        }
        #[cfg(feature = "dynamodb")]
        Some(("dynamodb", _)) => Ok(Arc::new(dynamodb::open(url).await?)),
        _ => Err(no_store(url)),
    }
}

/// Refuses a password where everybody on the machine can read it.
#[cfg(any(feature = "mysql", feature = "postgres"))]
fn check_arguments(url: &str, variable: &str) -> Result<(), OpenError> {
    let is_shown = || std::env::args_os().any(|arg| arg.to_string_lossy().contains(url));
    if url::password_of(url).is_some() && is_shown() {
        return Err(OpenError::Url(format!(
            "everybody on this machine can read a password on the command line (ps). Leave it out of --store, and set \
             {variable}; or set CUTOVER_STORE and give no URL"
        )));
    }
    Ok(())
}

/// Looks at the store that a URL names, also while controllers use it. Writes nothing.
pub async fn inspect_store(url: &str) -> Result<Inspected, OpenError> {
    match url.split_once(':') {
        #[cfg(feature = "sqlite")]
        Some(("sqlite", path)) => sqlite::inspect(path.as_ref()).await,
        #[cfg(feature = "postgres")]
        Some(("postgres" | "postgresql", _)) => {
            check_arguments(url, "PGPASSWORD")?;
            Postgres::inspect(url).await
        }
        #[cfg(feature = "mysql")]
        Some(("mysql", _)) => {
            check_arguments(url, "MYSQL_PWD")?;
            MySql::inspect(url).await
        }
        #[cfg(feature = "dynamodb")]
        Some(("dynamodb", _)) => dynamodb::inspect(url).await,
        _ => Err(no_store(url)),
    }
}

/// Why a URL can't be opened.
fn no_store(url: &str) -> OpenError {
    OpenError::Url(match url.split_once(':') {
        None => format!("{url:?} names no store: give {}", give()),
        Some((known, _)) if ["sqlite", "postgres", "postgresql", "mysql", "dynamodb"].contains(&known) => {
            format!("this build has no {known} store: give {}", give())
        }
        Some((scheme, _)) => format!("{scheme:?} is no store: give {}", give()),
    })
}

/// The URL without its password, for messages.
pub fn shown_store(url: &str) -> Cow<'_, str> {
    match url.split_once(':') {
        #[cfg(any(feature = "mysql", feature = "postgres"))]
        Some(("postgres" | "postgresql" | "mysql", _)) => url::shown(url),
        _ => Cow::Borrowed(url),
    }
}

/// A controller's claim to a file. It ends when dropped, or with its process.
#[derive(Debug)]
pub struct Hold {
    lock: Option<std::fs::File>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // A child that is being started may have the open file, too, until its program begins.
        _ = self.lock.as_ref().map(std::fs::File::unlock);
    }
}

/// Claims a file for this controller, before anything is read or written; a second controller is refused. Stores that
/// several controllers share have a [`Lease`](super::Lease) instead. `holder`: who this is, for the one that is refused.
pub fn hold_store(url: &str, holder: &str) -> Result<Hold, OpenError> {
    match url.split_once(':') {
        #[cfg(feature = "sqlite")]
        Some(("sqlite", path)) => {
            let path = sqlite::check_place(path.as_ref())?;
            Ok(Hold { lock: Some(sqlite::hold(&path, holder)?) })
        }
        // Opening it reports what is wrong.
        _ => {
            _ = holder;
            Ok(Hold { lock: None })
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

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_free_again_although_a_child_that_is_being_started_has_it_open() {
        let dir = tempfile::tempdir().expect("a directory");
        let url = format!("sqlite:{}", dir.path().join("cutover.db").display());
        let first = hold_store(&url, "first").expect("free");
        let inherited = first.lock.as_ref().map(|lock| lock.try_clone().expect("a copy"));
        drop(first);
        let second = hold_store(&url, "second").expect("free again");
        drop(inherited);
        let refused = hold_store(&url, "third").expect_err("taken").to_string();
        assert!(refused.contains("second"), "{refused}");
        drop(second);
    }
}

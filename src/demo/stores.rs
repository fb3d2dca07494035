//! The two databases of the demo. A spec in the demo's directory tells every process.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, bail};
use cutover_store::{
    Store,
    mapping::Dialect,
    spec::{Missing, Spec, StoreSpec, StoreUrl},
};

use super::KEY;

/// The spec's name in the demo's directory.
const FILE: &str = "stores.toml";

/// Which stores the demo shall move its records between.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Choice {
    /// Kinds of source and target: sqlite, mysql, postgres, dynamodb; a server needs its URL (the script
    /// ./demo builds the stores and starts servers for dynamodb, mysql and postgres)
    #[arg(long, value_name = "SOURCE,TARGET", default_value = "sqlite,sqlite")]
    stores: String,
    /// The source server, as in a spec (docs/spec.md); the demo creates its own table there
    #[arg(long, value_name = "URL", env = "CUTOVER_DEMO_SOURCE", hide_env_values = true)]
    source: Option<String>,
    /// The target server
    #[arg(long, value_name = "URL", env = "CUTOVER_DEMO_TARGET", hide_env_values = true)]
    target: Option<String>,
}

impl Choice {
    /// Writes the spec for all processes; fails, with one line, if a store can't be used.
    pub(super) async fn settle(&self, dir: &Path) -> anyhow::Result<()> {
        let table = format!("cutover_demo_{:08x}", rand::random::<u32>());
        let text = self.spec(dir, &table)?;
        // Before it is written: it may contain a password, and it is of no use if it is wrong.
        text.parse::<Spec>().context("--stores")?;
        std::fs::write(dir.join(FILE), text)?;
        open(dir).await?;
        Ok(())
    }

    fn spec(&self, dir: &Path, table: &str) -> anyhow::Result<String> {
        let Some((source, target)) = self.stores.split_once(',') else {
            bail!("--stores {:?}: give two kinds, like dynamodb,mysql", self.stores);
        };
        let source = side("source", source.trim(), self.source.as_deref(), dir, table)?;
        let target = side("target", target.trim(), self.target.as_deref(), dir, table)?;
        Ok(format!("migration = {KEY:?}\n{source}{target}"))
    }
}

/// The part of the spec for one store.
fn side(side: &str, kind: &str, url: Option<&str>, dir: &Path, table: &str) -> anyhow::Result<String> {
    let schemes: &[&str] = match kind {
        "sqlite" => {
            let file = dir.join(format!("{side}.db"));
            return Ok(format!(
                "[{side}]\nurl = {:?}\ntable = \"records\"\n",
                format!("sqlite:{}", file.display())
            ));
        }
        "mysql" => &["mysql:", "mariadb:"],
        "postgres" => &["postgres:", "postgresql:"],
        "dynamodb" => &["dynamodb:"],
        _ => bail!("--stores: unknown kind {kind:?}: give sqlite, mysql, postgres or dynamodb"),
    };
    let Some(url) = url else {
        bail!("--stores {kind} as the {side}: give --{side} URL, or run ./demo, which starts servers");
    };
    if !schemes.iter().any(|scheme| url.starts_with(scheme)) {
        bail!("--{side}: a URL of {kind} begins with {}//", schemes[0]);
    }
    Ok(match url.strip_prefix("dynamodb://") {
        // DynamoDB's table is part of its URL.
        Some(rest) => {
            let options = rest.split_once('?').map_or("", |(_, options)| options);
            format!("[{side}]\nurl = {:?}\n", format!("dynamodb://{table}?{options}"))
        }
        None => format!("[{side}]\nurl = {url:?}\ntable = {table:?}\n"),
    })
}

/// Opens the two databases of the demo in this directory.
pub(super) async fn open(dir: &Path) -> anyhow::Result<(Arc<dyn Store>, Arc<dyn Store>)> {
    let spec = read(dir)?;
    let open = async |store: &StoreSpec| store.open(Missing::Create, |_| None).await;
    let (source, target) = (open(&spec.source).await, open(&spec.target).await);
    Ok((source.context("the source")?, target.context("the target")?))
}

/// Their kinds, for people.
pub(super) fn kinds(dir: &Path) -> anyhow::Result<[&'static str; 2]> {
    let spec = read(dir)?;
    Ok([&spec.source, &spec.target].map(|store| match store.url {
        StoreUrl::Sqlite { .. } => "sqlite",
        StoreUrl::Server { dialect: Dialect::Postgres, .. } => "postgres",
        StoreUrl::Server { .. } => "mysql",
        StoreUrl::DynamoDb { .. } => "dynamodb",
    }))
}

/// The spec that was written; without one both are SQLite.
fn read(dir: &Path) -> anyhow::Result<Spec> {
    let text = std::fs::read_to_string(dir.join(FILE)).or_else(|_| {
        let embedded = Choice { stores: "sqlite,sqlite".to_owned(), source: None, target: None };
        embedded.spec(dir, "")
    });
    Ok(text?.parse()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn chosen(stores: &str, source: Option<&str>, target: Option<&str>) -> Result<Spec, String> {
        let [source, target] = [source, target].map(|url| url.map(str::to_owned));
        let choice = Choice { stores: stores.to_owned(), source, target };
        let text = choice.spec(Path::new("/demo"), "records_of_demo").map_err(|error| error.to_string())?;
        Ok(text.parse().unwrap())
    }

    #[test]
    fn two_kinds_and_their_urls_make_a_spec() {
        let urls =
            ("dynamodb://?region=us-east-1&endpoint=http://127.0.0.1:8000", "mysql://u:p@localhost/demo");
        let spec = chosen("dynamodb,mysql", Some(urls.0), Some(urls.1)).unwrap();
        assert_eq!(
            (spec.source.table.as_str(), spec.target.table.as_str()),
            ("records_of_demo", "records_of_demo")
        );
        let mixed = chosen("sqlite, mysql", None, Some(urls.1)).unwrap();
        assert_eq!(mixed.source.table, "records");
    }

    #[test]
    fn a_choice_that_can_not_be_is_told_with_what_to_give() {
        for (stores, source, why) in [
            ("mysql", None, "give two kinds"),
            ("oracle,sqlite", None, "unknown kind \"oracle\": give sqlite"),
            ("dynamodb,sqlite", None, "give --source URL"),
            ("dynamodb,sqlite", Some("mysql://u@h/d"), "begins with dynamodb://"),
        ] {
            let error = chosen(stores, source, None).unwrap_err();
            assert!(error.contains(why), "{stores}: {error}");
        }
    }
}

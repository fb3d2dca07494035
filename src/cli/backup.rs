//! A copy of the controller's store, and the way back from it.

use std::{
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use cutover_proto::v1;
use serde_json::json;

use super::{
    ChangeArgs, Global,
    connect::{answer, failure},
    exit::Failure,
    out, percent, render,
};
use crate::server;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Verb {
    /// Copy the controller's store to a file, while it runs
    Backup {
        /// The file; it must not exist
        file: PathBuf,
    },
    /// Make a store of a backup, while no controller runs on it
    ///
    /// Then start the controller and run cutover confirm for each migration.
    Restore {
        /// The file that cutover backup wrote
        file: PathBuf,
        /// The store; nothing may be there
        #[arg(
            long,
            value_name = "URL",
            env = "CUTOVER_STORE",
            hide_env_values = true,
            default_value = "sqlite:cutover.db"
        )]
        store: String,
    },
    /// After a restore: say who was at target-only, and continue
    ///
    /// The backup can't know who has been at target-only since it was made. Nobody moves before this.
    Confirm {
        /// The migration
        key: String,
        /// Percent of the tenants whose writes are in the target alone: the highest share at target-only since
        /// the backup that no reverse pass has brought back. 0: none
        #[arg(long, value_name = "PERCENT", value_parser = percent::ppm)]
        target_only: u32,
        /// A tenant with such writes by its own pin; may be repeated
        #[arg(long = "tenant", value_name = "TENANT")]
        tenants: Vec<String>,
        /// A tenant without such writes although its bucket is in that share, because it was pinned or rolled
        /// back; may be repeated
        #[arg(long, value_name = "TENANT")]
        except: Vec<String>,
        /// A clean reverse pass since the backup has brought the others back that the backup has there
        #[arg(long)]
        reversed: bool,
        /// Every process whose calls were refused for its token has ended, so none can name its routes
        #[arg(long)]
        refused_ended: bool,
        #[command(flatten)]
        change: ChangeArgs,
    },
}

impl Verb {
    pub(super) async fn run(self, global: &Global) -> anyhow::Result<ExitCode> {
        match self {
            Self::Backup { file } => backup(global, &file).await?,
            Self::Restore { file, store } => {
                server::restore(&store, &file).await?;
                if global.json {
                    out::json(&json!({ "restored": store, "from": file }));
                } else {
                    out::line(&format!("restored {store} from {}", file.display()));
                    out::line(&format!("start the controller with it: cutover serve --store {store}"));
                    out::line("nobody moves before: cutover confirm KEY --target-only PERCENT");
                }
            }
            Self::Confirm { key, target_only, tenants, except, reversed, refused_ended, change } => {
                let mutation = Some(change.to_wire());
                let request = v1::ConfirmRestoreRequest {
                    mutation,
                    key,
                    target_only_ppm: target_only,
                    tenants,
                    except,
                    reversed,
                    refused_ended,
                };
                let answered = answer(global.admin().await?.confirm_restore(request)).await?;
                render::changed(global, &answered, &render::Waits::All);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// It has its name only once it is whole.
async fn backup(global: &Global, file: &Path) -> anyhow::Result<()> {
    let name = file.display();
    if file.exists() {
        return Err(Failure::usage(format!("{name} exists: give another name, or move it away first")).into());
    }
    let mut parts = answer(global.admin().await?.backup(v1::BackupRequest {})).await?;
    let mut part_name = file.as_os_str().to_owned();
    part_name.push(".part");
    let part_name = PathBuf::from(part_name);
    let written = async {
        let mut part = OpenOptions::new().write(true).create(true).truncate(true).open(&part_name)?;
        let mut bytes = 0;
        loop {
            let message = parts.message().await.map_err(|status| failure(&status))?;
            let v1::BackupResponse { data, last } = message.context("the controller cut the backup short")?;
            part.write_all(&data)?;
            bytes += data.len() as u64;
            if last {
                part.sync_all()?;
                return anyhow::Ok(bytes);
            }
        }
    };
    let written = written.await;
    if written.is_err() {
        drop(std::fs::remove_file(&part_name));
    }
    let bytes = written.with_context(|| format!("no backup in {name}"))?;
    std::fs::rename(&part_name, file).with_context(|| format!("can't name the backup {name}"))?;
    if let Some(directory) = file.parent().filter(|directory| !directory.as_os_str().is_empty()) {
        File::open(directory)?.sync_all()?;
    }
    // What came after it is what a restore lacks.
    let revision = server::inspect(&format!("sqlite:{name}")).await?.revision();
    if global.json {
        out::json(&json!({ "backup": file, "bytes": bytes, "revision": revision }));
    } else {
        out::line(&format!("{bytes} bytes in {name}, everything up to revision {revision}"));
    }
    Ok(())
}
